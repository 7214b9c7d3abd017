"""``remediator backtest`` and a real Prometheus that has stored alerts of three days."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from backtest_worlds import at, deployment, minutes, policy
from ports import free_port
from prometheus_process import serving
from remediator.__main__ import main

DAY = 24 * 60
RANGE = ["--from=2026-03-02T00:00:00Z", "--to=2026-03-05T00:00:00Z"]
Run = Callable[..., tuple[int, str, str]]


def points(metric: str, labels: dict[str, str], values: Iterable[tuple[int, float]]) -> str:
    named = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return "".join(f"{metric}{{{named}}} {value} {at(minute).timestamp()}\n" for minute, value in values)


def fired(app: str, *spans: tuple[int, int, int, int], alert: str = "Lag") -> tuple[str, str]:
    """The points of ALERTS and of ALERTS_FOR_STATE of an alert: active since a minute, seen from another one on, firing
    from a third one, until a last one."""
    labels = {"alertname": alert, "app": app, "namespace": "streaming", "severity": "critical"}
    firing = [(m, 1) for _, _, begin, end in spans for m in range(begin, end + 1)]
    pending = [(m, 1) for _, seen, begin, _ in spans for m in range(seen, begin)]
    since = [(m, at(active).timestamp()) for active, seen, _, end in spans for m in range(seen, end + 1)]
    alerts = points("ALERTS", {**labels, "alertstate": "firing"}, firing)
    alerts += points("ALERTS", {**labels, "alertstate": "pending"}, pending)
    return alerts, points("ALERTS_FOR_STATE", labels, since)


HISTORY = [
    fired("orders", (600, 600, 600, 629), (DAY + 1420, DAY + 1420, DAY + 1430, 2 * DAY + 20)),
    # Prometheus was down for five minutes, and remembered since when the alert was active; the one after it is another.
    fired(
        "clicks",
        (2 * DAY + 290, 2 * DAY + 290, 2 * DAY + 300, 2 * DAY + 309),
        (2 * DAY + 290, 2 * DAY + 315, 2 * DAY + 317, 2 * DAY + 330),
        (2 * DAY + 340, 2 * DAY + 340, 2 * DAY + 345, 2 * DAY + 350),
    ),
    fired("views", (5, 5, 10, 12), (DAY + 5, DAY + 5, DAY + 5, DAY + 5)),
    fired("orders", (700, 700, 700, 710), alert="Other"),
]
LAG = points(
    "lag", {"app": "orders", "namespace": "streaming"}, [(m, 5000 if 100 <= m <= 120 else 10) for m in range(200)]
)


@pytest.fixture(scope="module")
def prometheus(promtool: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus with this history. What is imported has no marks of where a series ends, so that no
    point may count for longer than a minute."""
    folder = tmp_path_factory.mktemp("history")
    alerts, states = ("".join(texts) for texts in zip(*HISTORY, strict=True))
    text = f"# TYPE ALERTS gauge\n{alerts}# TYPE ALERTS_FOR_STATE gauge\n{states}# TYPE lag gauge\n{LAG}# EOF\n"
    (folder / "history").write_text(text)
    promtool("tsdb", "create-blocks-from", "openmetrics", folder / "history", folder / "data")
    with serving(folder, "--storage.tsdb.retention.time=100y", "--query.lookback-delta=59s") as url:
        yield url


@pytest.fixture
def backtest(prometheus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run it on that Prometheus."""
    spec = policy().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    body = {"kind": "FlinkRemediationPolicy", "metadata": {"name": "lag"}, "spec": {**spec, "mode": "Observe"}}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(body))
    (tmp_path / "targets.yaml").write_text(yaml.safe_dump_all(deployment(n) for n in ("orders", "clicks", "views")))

    def run(*options: str, url: str = prometheus) -> tuple[int, str, str]:
        files = [f"--policy={tmp_path / 'policy.yaml'}", f"--target={tmp_path / 'targets.yaml'}"]
        code = main(["backtest", f"--prometheus={url}", *files, *RANGE, "-o=json", "--outcome=no-effect", *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def incidents(text: str) -> list[tuple[str, float | None, float | None]]:
    """Target, begin and end of each incident, in minutes."""

    def minute(moment: str | None) -> float | None:
        return minutes(datetime.fromisoformat(moment)) if moment else None

    found = json.loads(text)["incidents"]
    return [(one["target"].split("/")[1], minute(one["began"]), minute(one["alertEnded"])) for one in found]


def test_every_alert_of_the_history_is_found_and_no_other(backtest: Run) -> None:
    code, out, err = backtest()
    assert (code, len(err.splitlines())) == (0, 10)
    assert incidents(out) == [
        ("views", 10, 13),
        ("orders", 600, 630),
        ("views", DAY + 5, DAY + 6),
        ("orders", DAY + 1430, 2 * DAY + 21),
        ("clicks", 2 * DAY + 300, 2 * DAY + 331),
        ("clicks", 2 * DAY + 345, 2 * DAY + 351),
    ]


def test_a_range_has_more_points_than_prometheus_gives_at_once(backtest: Run, prometheus: str) -> None:
    query = {"query": "ALERTS", "start": at(0).timestamp(), "end": at(3 * DAY).timestamp(), "step": 15}
    assert httpx.get(f"{prometheus}/api/v1/query_range", params=query).status_code == 400
    code, out, _ = backtest("--step=15s")
    assert (code, len(incidents(out))) == (0, 6)


def rule(**changes: Any) -> str:
    one = {"alert": "Lag", "expr": "lag > 1000", "for": "5m", "labels": {"severity": "critical"}, **changes}
    other = {"alert": "Other", "expr": "no such expression"}  # no policy answers it, so that nobody asks
    recorded = {"record": "x", "expr": "1"}
    return yaml.safe_dump({"groups": [{"name": "g", "rules": [recorded, one, other]}]})


@pytest.mark.parametrize(("changes", "span"), [({}, (105, 121)), ({"keep_firing_for": "3m", "for": None}, (100, 124))])
def test_other_rules_are_evaluated_over_the_history(
    backtest: Run, tmp_path: Path, changes: dict[str, Any], span: tuple[int, int]
) -> None:
    (tmp_path / "rules.yaml").write_text(rule(**changes))
    _, out, _ = backtest(f"--rules={tmp_path / 'rules.yaml'}")
    assert incidents(out) == [("orders", *span)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule(expr="lag >"), "does not answer 'lag >': invalid parameter \"query\": 1:6: parse error"),
        (rule(labels={"team": "{{ $labels.app }}"}), "alert Lag: the label team is a template"),
        (rule(**{"for": "soon"}), "alert Lag: for: not a duration"),
        ("groups: 1", "groups of rules are expected"),
        ("groups: [{name: g, rules: [{record: x, expr: '1'}]}]", "there is no alerting rule"),
        ("groups: [{name: g}]", "rules is missing"),
        ("- 1", "rules of Prometheus are expected"),
    ],
)
def test_rules_that_make_no_sense(backtest: Run, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    code, _, err = backtest(f"--rules={tmp_path / 'rules.yaml'}")
    assert code == 2
    assert said in err


@pytest.mark.parametrize("url", ["http://me:hunter2@127.0.0.1:{}", "http://[me:hunter2@", "me:hunter2@127.0.0.1:{}"])
def test_a_prometheus_that_is_not_there(backtest: Run, url: str) -> None:
    code, _, err = backtest(url=url.format(free_port()))
    assert (code, "hunter2" in err, "Traceback" in err) == (2, False, False)
    assert "does not answer" in err or "is to be a URL such as" in err


def test_a_password_of_the_address_is_not_in_the_report(backtest: Run, prometheus: str) -> None:
    code, out, err = backtest(url=prometheus.replace("//", "//me:hunter2@"))
    assert code == 0
    assert json.loads(out)["sources"]["alerts"].endswith(f"ALERTS of {prometheus}")
    assert "hunter2" not in out + err
