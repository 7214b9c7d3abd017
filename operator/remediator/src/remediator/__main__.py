"""Command line of the remediator. Every option may also come from the environment, as ``REMEDIATOR_<OPTION>``."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import re2

from remediator import __version__, commandline
from remediator.api import crds
from remediator.api.policy import RE2_OPTIONS
from remediator.config import ControllerConfig, ReceiverConfig
from remediator.services.words import length
from remediator.telemetry import logging

BAD_INPUT = 2
EXIT_CODES = {"Act": 0, "Wait": 3, "Refuse": 4, "Cancel": 4}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with the environment's values as defaults."""
    top = argparse.ArgumentParser(prog="remediator", description="Guarded, verified remediations of FlinkDeployments.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True)

    common = argparse.ArgumentParser(add_help=False)
    _option(common, "namespace", help="namespace of the policies and FlinkRemediations", required=True)
    _option(
        common,
        "target-namespace",
        help="namespaces with FlinkDeployments, separated by commas; default: --namespace",
        many=True,
    )
    _option(common, "metrics-port", help="port of /metrics", kind=int, default="8081")
    _option(common, "kubeconfig", help="file to connect by; default: the pod's service account", kind=Path)
    _option(common, "log-level", help="DEBUG, INFO, WARNING or ERROR", default="INFO")

    receiver = commands.add_parser("receiver", parents=[common], help="take webhooks of Alertmanager")
    _option(receiver, "port", help="port of the webhook", kind=int, default="8080")
    _option(receiver, "token-file", help="file with the bearer token", kind=Path, required=True)
    _option(receiver, "tls-cert-file", help="certificate of the webhook; default: plain HTTP", kind=Path)
    _option(receiver, "tls-key-file", help="key of the certificate", kind=Path)
    _option(receiver, "max-body-bytes", help="largest webhook accepted", kind=int, default=str(1024 * 1024))
    _option(
        receiver,
        "alertmanager-url",
        help="where alerts are looked for that no webhook brought: each replica, or their headless Service",
        many=True,
    )
    _option(
        receiver,
        "alertmanager-receiver",
        help="regular expression (RE2) of the receivers there that stand for this webhook; default: all",
        kind=_pattern,
        default="",
    )
    _option(receiver, "resync-period", help="how often they are looked for", kind=length, default="1m")

    controller = commands.add_parser("controller", parents=[common], help="carry out FlinkRemediations")
    _option(controller, "prometheus-url", help="where verification queries go", required=True)
    _option(
        controller,
        "flink-rest-url-template",
        help="JobManager REST of a FlinkDeployment",
        default="http://{name}-rest.{namespace}:8081",
    )
    _option(
        controller,
        "sweep-period",
        help="how often old records are deleted and the watch is checked",
        kind=length,
        default="30s",
    )
    _option(
        controller,
        "history-limit",
        help="how many FlinkRemediations are kept, of all policies; what budgets are counted from stays beyond it",
        kind=int,
        default="2000",
    )
    definitions = commands.add_parser("crds", help="print the CustomResourceDefinitions, or apply them")
    definitions.add_argument("--apply", action="store_true", help="apply them to the cluster, on the server side")
    _option(definitions, "kubeconfig", help="file to connect by with --apply; default: the usual ones", kind=Path)
    commandline.add_explain(commands)
    commandline.add_doctor(commands)
    commandline.add_backtest(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    command_line = parser()
    arguments = command_line.parse_args(argv)
    if arguments.command == "receiver" and bool(arguments.tls_cert_file) != bool(arguments.tls_key_file):
        command_line.error("--tls-cert-file and --tls-key-file belong together")
    if arguments.command == "crds":
        return _apply_definitions(arguments.kubeconfig) if arguments.apply else _print_definitions()
    if arguments.command == "explain":
        return _explain(arguments)
    if arguments.command == "doctor":
        return asyncio.run(_doctor(arguments))
    if arguments.command == "backtest":
        return asyncio.run(_backtest(arguments))
    logging.setup(arguments.log_level)
    common = {
        "namespace": arguments.namespace,
        "target_namespaces": tuple(arguments.target_namespace or [arguments.namespace]),
        "metrics_port": arguments.metrics_port,
        "kubeconfig": arguments.kubeconfig,
    }
    # Each role imports only what it needs: the receiver runs without kopf.
    if arguments.command == "receiver":
        from remediator.receiver.run import run as run_receiver

        asyncio.run(
            run_receiver(
                ReceiverConfig(
                    **common,
                    port=arguments.port,
                    token_file=arguments.token_file,
                    tls_cert_file=arguments.tls_cert_file,
                    tls_key_file=arguments.tls_key_file,
                    max_body_bytes=arguments.max_body_bytes,
                    alertmanager_urls=tuple(arguments.alertmanager_url or ()),
                    alertmanager_receiver=arguments.alertmanager_receiver,
                    resync_period=arguments.resync_period,
                )
            )
        )
    else:
        from remediator.controller.run import run as run_controller

        run_controller(
            ControllerConfig(
                **common,
                prometheus_url=arguments.prometheus_url,
                flink_rest_url_template=arguments.flink_rest_url_template,
                sweep_period=arguments.sweep_period,
                history_limit=arguments.history_limit,
            )
        )
    return 0


def _pattern(text: str) -> str:
    try:
        re2.compile(text, RE2_OPTIONS)
    except re2.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression (RE2): {error}") from None
    return text


def _print_definitions() -> int:
    sys.stdout.write(crds.to_yaml())
    return 0


def _apply_definitions(kubeconfig: Path | None) -> int:
    from remediator.adapters import definitions
    from remediator.adapters.kube import KubeError

    try:
        names = asyncio.run(definitions.apply(crds.definitions(), kubeconfig))
    except KubeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name in names:
        sys.stdout.write(f"customresourcedefinition.apiextensions.k8s.io/{name} applied\n")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from remediator.services import explain
    from remediator.services.documents import BadInput

    names = (*commandline.REQUIRED_FILES, "job", "checkpoints", "history")
    try:
        policy, decision = explain.explain(
            explain.Files(**{name: getattr(arguments, name) for name in names}), arguments.now or datetime.now(UTC)
        )
    except BadInput as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    sys.stdout.write(explain.to_yaml(policy, decision))
    return EXIT_CODES[type(decision).__name__]


async def _doctor(arguments: argparse.Namespace) -> int:
    from remediator.adapters import kubeconfig
    from remediator.adapters.kube import KubeError
    from remediator.services import doctor
    from remediator.services.documents import BadInput

    try:
        if arguments.file:
            found = doctor.from_files(arguments.file, arguments.namespace or "default")
        else:
            namespace = arguments.namespace or kubeconfig.current_namespace(arguments.kubeconfig)
            async with kubeconfig.connect(arguments.kubeconfig) as kube:
                found = await doctor.from_cluster(kube, namespace, arguments.release_namespace or namespace)
        diagnoses = doctor.examine(found, arguments.name, arguments.skip)
    except (BadInput, KubeError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    sys.stdout.write(doctor.render(diagnoses, arguments.output))
    return 1 if any(diagnosis.missing for diagnosis in diagnoses) else 0


async def _backtest(arguments: argparse.Namespace) -> int:
    from remediator.adapters import kubeconfig
    from remediator.adapters.kube import Kube, KubeError
    from remediator.services.backtest.command import command
    from remediator.services.documents import BadInput

    try:
        async with AsyncExitStack() as stack:

            async def cluster() -> Kube:
                return await stack.enter_async_context(kubeconfig.connect(arguments.kubeconfig))

            namespace = arguments.namespace or kubeconfig.current_namespace(arguments.kubeconfig)
            return await command(arguments, cluster, namespace)
    except (BadInput, KubeError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT


def _option(
    parser: argparse.ArgumentParser,
    name: str,
    *,
    help: str,
    kind: Callable[[str], Any] = str,
    default: str | None = None,
    required: bool = False,
    many: bool = False,
) -> None:
    variable = "REMEDIATOR_" + name.upper().replace("-", "_")
    value = os.environ.get(variable, default)
    parser.add_argument(
        f"--{name}",
        type=_several if many else kind,
        default=_several(value) if many and value else value,
        required=required and value is None,
        action="extend" if many else "store",
        help=f"{help}{'; several are separated by commas' if many else ''} (environment: {variable})",
    )


def _several(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


if __name__ == "__main__":
    sys.exit(main())
