"""The local provider's pure parts."""

import json
from pathlib import Path

from cluster import tools
from cluster.local import components, layout


def test_every_component_has_a_command_or_is_the_forwarder() -> None:
    names = [*(b for build in tools.GO_BUILDS for b in build.binaries), *tools.PACKAGES]
    commands = components.commands({name: Path("/bin") / name for name in names})
    assert set(components.NAMES) - set(commands) == {"forwarder"}


def test_the_kubelet_keeps_below_our_cgroup() -> None:
    assert components.kubelet_configuration()["cgroupRoot"] == f"/{layout.CGROUP}"


def test_the_pod_network_is_json_and_does_not_masquerade() -> None:
    conflist = json.loads(json.dumps(components.cni()))
    assert conflist["plugins"][0]["ipMasq"] is False


def test_the_socket_path_fits_into_an_address() -> None:
    assert len(str(layout.CONTAINERD_SOCKET)) < 108
