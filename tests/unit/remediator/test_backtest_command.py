"""``remediator backtest`` on files: what it reads, prints, draws, and ends with."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from backtest_worlds import at, deployment, minutes, policy
from remediator.__main__ import main
from remediator.services.backtest.alerts import alerts_in
from remediator.services.backtest.command import progress
from remediator.services.backtest.limits import Limit

KIND = {"apiVersion": "remediation.streaming-monitoring.dev/v1alpha1", "kind": "FlinkRemediationPolicy"}
SVG = "{http://www.w3.org/2000/svg}"


def resource(name: str = "lag", **changes: Any) -> dict[str, Any]:
    spec = policy(name, **changes).spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**KIND, "metadata": {"name": name}, "spec": {**spec, "guards": {**spec["guards"], "storm": None}}}


def notice(begin: float, end: float | None, app: str = "orders", **labels: str) -> dict[str, Any]:
    named = {"alertname": "Lag", "namespace": "streaming", "app": app, "severity": "critical", **labels}
    times = {"startsAt": at(begin).isoformat(), "endsAt": at(end).isoformat() if end else "0001-01-01T00:00:00Z"}
    return {"status": "resolved" if end else "firing", "labels": named, "fingerprint": "f", **times}


def webhook(*alerts: dict[str, Any]) -> str:
    return json.dumps({"version": "4", "groupKey": "g", "alerts": alerts})


ALERTS = "\n".join(
    webhook(*alerts)
    for alerts in (
        [notice(0, None)],
        [notice(0, 40), notice(1, 5, "shy")],
        [notice(60, 70), notice(90, 100, severity="warning"), notice(2, 9, "gone")],
    )
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a policy, two FlinkDeployments and past alerts."""
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(resource(guards={"cooldown": "15m"})))
    (tmp_path / "smaller.yaml").write_text(
        yaml.safe_dump(resource(actions=[{"type": "Scale", "scale": {"max": 4}}], guards={"cooldown": "15m"}))
    )
    targets = {"kind": "List", "items": [deployment(), deployment("shy", labels={})]}
    (tmp_path / "targets.yaml").write_text(yaml.safe_dump(targets))
    (tmp_path / "alerts.json").write_text(ALERTS)
    return tmp_path


@pytest.fixture
def backtest(files: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run it on the files, with further options; returns the exit code and what it prints."""

    def run(*options: str) -> tuple[int, str, str]:
        given = {"--policy": "policy.yaml", "--target": "targets.yaml", "--alerts": "alerts.json"}
        named = {option.partition("=")[0] for option in options}
        defaults = [f"{option}={files / file}" for option, file in given.items() if option not in named]
        code = main(["backtest", *defaults, *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_table_tells_what_was_done_and_who_was_woken(backtest: Any, files: Path) -> None:
    code, out, err = backtest()
    rows = {line.split()[1]: line.split("   ") for line in out.splitlines() if "streaming/" in line}
    cells = {target: [cell.strip() for cell in row if cell.strip()] for target, row in rows.items()}
    assert (code, err) == (0, "")
    assert cells["streaming/orders"] == [
        *("lag", "streaming/orders", "3", "1 Scale 2 to 4, 1 Scale 4 to 8, 1 Scale 8 to 16", "-", "-"),
        *("0", "3", "0", "0", "0", "0"),
    ]
    assert cells["streaming/shy"][4] == "1 NotOptedIn"
    assert cells["streaming/gone"][4] == "1 TargetNotFound"
    assert "4 without the policies; with them 2 if every action helps, 3 if none does (1 to 2 fewer)" in out
    assert f"1 of {files / 'policy.yaml'}" in out
    assert "every action helps: a job runs 2m after an action" in out


def test_json_and_yaml_say_the_same(backtest: Any) -> None:
    (_, as_json, _), (_, as_yaml, _) = backtest("-o=json"), backtest("-o=yaml")
    document = json.loads(as_json)
    assert yaml.safe_load(as_yaml) == document
    assert document["totals"] == {
        "incidents": 5,
        "acts": {"Scale 2 to 4": 1, "Scale 4 to 8": 1, "Scale 8 to 16": 1},
        "refused": {"NotOptedIn": 1, "TargetNotFound": 1},
        "waited": {},
        "asked": 0,
        "phases": {"Refused": 2, "Succeeded": 3},
    }
    assert document["woken"] == {"without": 4, "with": {"ifEveryActionHelps": 2, "ifNoneDoes": 3}}
    first = document["incidents"][0]
    assert (first["began"], first["alertEnded"]) == ("2026-03-02T00:00:00Z", "2026-03-02T00:07:00Z")
    assert first["steps"] == [{"time": "2026-03-02T00:00:00Z", "kind": "act", "what": "Scale 2 to 4"}]


def test_two_policies_side_by_side(backtest: Any, files: Path) -> None:
    _, out, _ = backtest(f"--compare={files / 'smaller.yaml'}", "-o=json")
    document = json.loads(out)
    assert document["compared"]["totals"]["refused"] == {"AlreadyAtMaximum": 2, "NotOptedIn": 1, "TargetNotFound": 1}
    assert [(c["target"], c["began"][11:16], c["before"], c["after"]) for c in document["changes"]] == [
        ("streaming/orders", "01:00", "Refused (AlreadyAtMaximum)", "Scale 4 to 8, Succeeded (Verified)"),
        ("streaming/orders", "01:30", "Refused (AlreadyAtMaximum)", "Scale 8 to 16, Succeeded (Verified)"),
    ]
    _, out, _ = backtest(f"--compare={files / 'smaller.yaml'}")
    assert "Incidents decided otherwise than by the policies compared with: 2\n" in out


@pytest.mark.parametrize(
    ("limits", "code", "said"),
    [
        (["acts>2"], 1, "acts>2 holds: acts is 3\n"),
        (["acts>3", "woken>=3"], 0, ""),
        (["asks!=0", "refusals=2", "ineffective<1"], 1, "refusals=2 holds: refusals is 2\nineffective<1 holds: inef"),
    ],
)
def test_limits_for_continuous_integration(backtest: Any, limits: list[str], code: int, said: str) -> None:
    found, out, err = backtest(*(f"--fail-if={limit}" for limit in limits))
    assert (found, err[: len(said)], bool(err)) == (code, said, bool(said))
    assert "POLICY" in out


def test_woken_counts_by_the_outcome_that_is_asked_for(backtest: Any) -> None:
    assert backtest("--fail-if=woken=2")[0] == 1
    assert backtest("--fail-if=woken=3", "--outcome=no-effect", "--fail-if=ineffective=1")[0] == 1


@pytest.mark.parametrize("text", ["acts", "acts>", "ACTS>1", "acts>>1", "sleep>1", "acts>-1", "acts>1.5"])
def test_a_limit_that_makes_no_sense_is_refused(backtest: Any, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        backtest(f"--fail-if={text}")
    assert end.value.code == 2
    assert "not a limit such as 'acts>20'" in capsys.readouterr().err
    assert str(Limit.parse(" acts >= 3 ")) == "acts>=3"


def test_the_picture_is_svg_with_a_mark_for_each_step(backtest: Any, files: Path) -> None:
    (files / "alerts.json").write_text(ALERTS + webhook(notice(50, 55, "a<b>&\x07c")))
    _, out, _ = backtest(f"--svg={files / 'picture.svg'}", "-o=json")
    picture = ElementTree.parse(files / "picture.svg").getroot()
    marks = [circle.get("class") for circle in picture.iter(f"{SVG}circle") if circle.get("class") != "legend"]
    steps = [step["kind"] for incident in json.loads(out)["incidents"] for step in incident["steps"]]
    assert picture.tag == f"{SVG}svg"
    assert sorted(marks) == sorted(steps) == ["act"] * 3 + ["refuse"] * 3
    assert sum(len(rect) for rect in picture.iter(f"{SVG}rect")) == 6  # one bar for each alert, with its title


def test_the_picture_has_room_for_the_busiest_targets(backtest: Any, files: Path) -> None:
    busy = [webhook(notice(m, m + 2, f"job-{n}")) for n in range(45) for m in ([0, 30] if n >= 5 else [0])]
    (files / "alerts.json").write_text("\n".join(busy))
    backtest(f"--svg={files / 'picture.svg'}")
    picture = (files / "picture.svg").read_text()
    assert "5 targets with fewer incidents are left out." in picture
    assert picture.count(">streaming/job-") == 40


def matrix(*series: tuple[dict[str, str], list[float]]) -> str:
    result = [{"metric": m, "values": [[at(p).timestamp(), "1"] for p in points]} for m, points in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def test_alerts_in_every_form_that_people_can_export(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    labels = notice(0, None)["labels"]
    active = {"labels": labels, "startsAt": at(0).isoformat(), "endsAt": at(9).isoformat(), "fingerprint": "f"}
    state = {"updatedAt": at(5).isoformat(), "status": {"state": "active", "silencedBy": [], "inhibitedBy": []}}
    ended = {**active, **state, "updatedAt": at(9).isoformat()}
    forms = {
        webhook(notice(0, 9)): (0, 9),
        json.dumps(notice(0, 9)): (0, 9),
        json.dumps([{**active, **state}]): (0, None),
        json.dumps([ended], indent=2): (0, 9),
        matrix(({"__name__": "ALERTS", "alertstate": "firing", **labels}, [0, 5, 10, 15])): (0, None),
        matrix(
            ({"__name__": "ALERTS", "alertstate": "firing", **labels}, [0, 5, 10, 15]),
            ({"__name__": "ALERTS", "alertstate": "pending", **labels}, [25, 30, 35, 40]),
        ): (0, 20),
    }
    for text, expected in forms.items():
        file.write_text("\ufeff" + text)  # as some editors save it
        (one,) = alerts_in(file, at(1) - at(0))
        assert (dict(one.labels), minutes(one.starts_at), minutes(one.ends_at)) == (labels, *expected), text


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--alerts", "{", "line 1, column 2: no JSON"),
        ("--alerts", "[1]", "document 1: Alertmanager's webhooks or list of alerts"),
        ("--alerts", '{"a": 1}', "or Prometheus's answer to a range query of ALERTS, is expected"),
        ("--alerts", webhook({"labels": {"a": "b"}, "status": "firing"}), "document 1.startsAt: Field required"),
        ("--alerts", '{"data": {"alerts": []}}', "or Prometheus's answer to a range query of ALERTS, is expected"),
        ("--alerts", '{"data": {"resultType": "vector"}}', "a range query is expected (query_range), not a vector"),
        ("--policy", "kind: Other", "there is no FlinkRemediationPolicy"),
        ("--policy", "- 1", "a Kubernetes object is expected, such as a FlinkRemediationPolicy"),
        ("--policy", "kind: FlinkRemediationPolicy", "FlinkRemediationPolicy: metadata.name is missing"),
        ("--policy", yaml.safe_dump({**resource(), "spec": {"match": []}}), "FlinkRemediationPolicy lag: spec.target"),
        ("--policy", yaml.safe_dump_all([resource(), resource()]), "there are two FlinkRemediationPolicies lag"),
        ("--compare", yaml.safe_dump({**resource(), "spec": None}), "FlinkRemediationPolicy lag: spec is missing"),
        ("--target", yaml.safe_dump({**deployment(), "spec": {"job": 1}}), "orders: spec.job is not a map"),
        ("--rules", "groups: []", "--rules are asked of Prometheus"),
        ("--svg", "", "Is a directory"),
    ],
)
def test_bad_input_is_told_by_file_and_place(backtest: Any, tmp_path: Path, option: str, text: str, said: str) -> None:
    file = tmp_path / "given"
    file.mkdir() if option == "--svg" else file.write_text(text)
    code, out, err = backtest(f"{option}={file}")
    assert (code, out) == (2, "")
    assert said in err


def test_a_range_without_alerts_is_a_good_one(backtest: Any, files: Path) -> None:
    code, out, _ = backtest("--from=2026-03-03", "--to=2026-03-04", "--fail-if=acts>0", f"--svg={files / 'a.svg'}")
    assert (code, "There is no alert in this range.\n" in out) == (0, True)
    assert ElementTree.parse(files / "a.svg").getroot().tag == f"{SVG}svg"


def test_alerts_that_no_policy_answers_are_told(backtest: Any, files: Path) -> None:
    (files / "alerts.json").write_text(ALERTS + webhook(notice(3, 4, alertname="Other")))
    assert "Alerts that no policy answers: 1." in backtest()[1]


def test_options_that_do_not_go_together(backtest: Any, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "--policy=x", "--target=x"]) == 2
    assert "give past alerts by --alerts FILE or --prometheus URL" in capsys.readouterr().err
    assert "--from is not before --to" in backtest("--from=2026-03-02", "--to=2026-03-01")[2]
    absent = str(files / "absent")
    assert f"{absent}: No such file or directory" in backtest(f"--alerts={absent}")[2]


@pytest.mark.parametrize("option", ["--from=yesterday", "--step=0s", "--takes=x", "--outcome=well"])
def test_options_that_make_no_sense(backtest: Any, option: str) -> None:
    with pytest.raises(SystemExit) as end:
        backtest(option)
    assert end.value.code == 2


def test_a_range_cuts_history_and_what_fired_before_counts_as_begun_with_it(backtest: Any) -> None:
    _, out, _ = backtest("--from=2026-03-02T00:10:00Z", "--to=2026-03-02T01:30", "-o=json")
    document = json.loads(out)
    assert [(i["target"], i["began"][11:16]) for i in document["incidents"]] == [
        ("streaming/orders", "00:10"),
        ("streaming/orders", "01:00"),
        ("streaming/orders", "01:30"),
    ]
    assert (document["from"], document["to"]) == ("2026-03-02T00:10:00Z", "2026-03-02T01:30:00Z")


def test_progress_is_told_in_place_on_a_terminal_and_by_tenths_elsewhere() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        tell = progress(stream)
        for done in range(1, 31):
            tell(done, 30)
    assert terminal.getvalue().endswith("\rread 29 of 30 pages\rread 30 of 30 pages\n")
    assert log.getvalue().splitlines() == [f"read {n} of 30 pages" for n in range(3, 31, 3)]
