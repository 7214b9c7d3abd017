"""Every link of every alert and dashboard opens on a fresh install: a real Prometheus serves what is rendered."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import render
import yaml
from chart.conftest import Render, Rendered
from prometheus_process import serving

PORT_FORWARD = "http://localhost:9090"
EVERYTHING = {"rules": {"files": {"trends": True}}}


@pytest.fixture(scope="module")
def release(rendered: Render) -> Rendered:
    return rendered(values=EVERYTHING)


@pytest.fixture(scope="module")
def prometheus(release: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Prometheus with the arguments and the ConfigMaps of the values, as Prometheus Operator starts it."""
    folder = tmp_path_factory.mktemp("prometheus")
    values = yaml.safe_load((render.CHART / "values.yaml").read_text())
    spec = values["kube-prometheus-stack"]["prometheus"]["prometheusSpec"]
    mounted = folder / "configmaps"
    for name in spec["configMaps"]:
        (mounted / name).mkdir(parents=True)
        for file, text in release.one("ConfigMap", name)["data"].items():
            (mounted / name / file).write_text(text)
    arguments = [f"--{a['name']}={a['value']}" for a in spec["additionalArgs"]]
    mounted_here = [argument.replace("/etc/prometheus/configmaps", str(mounted)) for argument in arguments]
    with serving(folder, *mounted_here) as url, httpx.Client(base_url=url) as client:
        yield client


def alerts(release: Rendered) -> dict[str, dict[str, str]]:
    """Annotations by alert."""
    groups = [group for o in release.of("PrometheusRule").values() for group in o["spec"]["groups"]]
    return {r["alert"]: r["annotations"] for group in groups for r in group["rules"] if "alert" in r}


def linked_by_dashboards(release: Rendered) -> set[str]:
    """Links of the dashboards; a variable that stands for an alert's name is any of them."""
    boards = [o["data"] for name, o in release.of("ConfigMap").items() if "-dashboard-" in name]
    texts = [text for data in boards for text in data.values()]
    links = {url for text in texts for url in re.findall(r'"url": *"([^"]+)"', text)}
    assert all(json.loads(text) for text in texts)
    variable = {url for url in links if "${__value.raw}" in url}
    return (links - variable) | {url.replace("${__value.raw}", name) for url in variable for name in alerts(release)}


def test_every_link_opens(release: Rendered, prometheus: httpx.Client) -> None:
    told = {annotations["runbook_url"] for annotations in alerts(release).values()}
    links = told | linked_by_dashboards(release)
    assert len(told) == len(alerts(release)) > 15
    for link in sorted(links):
        assert link.startswith(f"{PORT_FORWARD}/"), link
        page = prometheus.get(link.removeprefix(PORT_FORWARD))
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8"), link
        assert f"<title>{Path(link).stem}</title>" in page.text or link.endswith("/README.html")


def test_every_link_of_a_page_opens(release: Rendered, prometheus: httpx.Client) -> None:
    (pages,) = [o["data"] for name, o in release.of("ConfigMap").items() if name.endswith("-runbooks")]
    for name in pages:
        for link in re.findall(r'href="([^"]+)"', pages[name]):
            target, _, part = link.partition("#")
            page = prometheus.get(f"/user/{target or name}")
            assert page.status_code == 200, f"{name}: {link}"
            assert not part or f'id="{part}"' in page.text, f"{name}: {link}"


def test_an_outcome_links_to_the_list_of_records(release: Rendered, rendered: Render) -> None:
    link = re.fullmatch(
        r"http://localhost:3000/d/([\w-]+)\?viewPanel=(\d+)&var-(\w+)=\{\{ \$labels\.namespace \}\}",
        alerts(release)["RemediationEnded"]["dashboard_url"],
    )
    assert link
    texts = [t for n, o in release.of("ConfigMap").items() if "-dashboard-" in n for t in o["data"].values()]
    (board,) = [board for text in texts if (board := json.loads(text))["uid"] == link[1]]
    (panel,) = [panel for panel in board["panels"] if str(panel["id"]) == link[2]]
    assert panel["title"] == "Records"
    assert link[3] in {variable["name"] for variable in board["templating"]["list"]}
    elsewhere = alerts(rendered(values={"dashboards": {"url": "https://g.example.com/"}}))["RemediationEnded"]
    assert elsewhere["dashboard_url"].startswith("https://g.example.com/d/streaming-remediations?")
    without = alerts(rendered(values={"kube-prometheus-stack": {"grafana": {"enabled": False}}}))["RemediationEnded"]
    assert "dashboard_url" not in without


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"rules": {"runbookUrl": "https://git.example.com/{alert}.md?$x"}}, "https://git.example.com/{}.md?$x"),
        (
            {"kube-prometheus-stack": {"prometheus": {"prometheusSpec": {"externalUrl": "https://p.example.com/"}}}},
            "https://p.example.com/user/{}.html",
        ),
    ],
    ids=["elsewhere", "Prometheus behind an ingress"],
)
def test_alerts_and_dashboards_link_to_one_place(rendered: Render, values: dict, url: str) -> None:
    result = rendered(values={**values, "rules": {**values.get("rules", {}), **EVERYTHING["rules"]}})
    assert {a["runbook_url"] for a in alerts(result).values()} == {url.format(name) for name in alerts(result)}
    # Dashboards are the same everywhere: they link to alerts that are not installed, too.
    pages = {page.stem for page in (render.ROOT / "docs/runbooks").glob("*.md")}
    assert linked_by_dashboards(result) <= {url.format(name) for name in pages}


def test_prometheus_always_finds_its_configmap(rendered: Render) -> None:
    """It does not start without; whatever else is switched off, and whatever the release is called."""
    off = {"rules": {"enabled": False}, "dashboards": {"enabled": False}, "remediator": {"enabled": False}}
    assert "streaming-monitoring-runbooks" in rendered(values=off, release="other").of("ConfigMap")
    existing = rendered("existing-prometheus-values.yaml", release="other")
    assert "other-streaming-monitoring-runbooks" in existing.of("ConfigMap")
