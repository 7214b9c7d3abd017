"""``remediator explain``: one folder of files for each example; what it prints and its exit code, as users see them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from remediator.__main__ import main
from worlds import flink_resource

EXAMPLES = Path(__file__).parent / "explain"
NOW = "--now=2026-03-01T03:00:00Z"
FILES = {
    "policy": "policy.yaml",
    "alert": "alert.json",
    "target": "target.yaml",
    "job": "job.json",
    "checkpoints": "checkpoints.json",
    "history": "history.yaml",
}
REQUIRED = ("policy", "alert", "target")


def run(folder: Path, *more: str) -> int:
    """Explain what a folder holds, with the common files where it has none of its own."""
    arguments = [NOW]
    for option, name in FILES.items():
        own = folder / name
        if own.exists() or option in REQUIRED:
            arguments.append(f"--{option}={own if own.exists() else EXAMPLES / 'common' / name}")
    return main(["explain", *arguments, *more])


@pytest.mark.parametrize("example", sorted(p.name for p in EXAMPLES.iterdir() if (p / "expected.yaml").exists()))
def test_examples(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(EXAMPLES / example)
    printed = capsys.readouterr()
    decision = yaml.safe_load(printed.out)
    assert printed.out == (EXAMPLES / example / "expected.yaml").read_text()
    assert code == {"Act": 0, "Wait": 3, "Refuse": 4, "Cancel": 4}[decision["decision"]]
    assert printed.err == ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the common files, to break."""
    return Path(shutil.copytree(EXAMPLES / "common", tmp_path / "files"))


ALERT = json.loads((EXAMPLES / "common/alert.json").read_text())
RECORD = {
    "kind": "FlinkRemediation",
    "metadata": {"name": "r", "namespace": "streaming", "creationTimestamp": "2026-03-01T02:00:00Z"},
}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("policy.yaml", "kind: FlinkRemediationPolicy\nspec: {}\n", "policy.yaml: spec.match: Field required"),
        ("policy.yaml", "kind: Pod\nspec: {}\n", "a FlinkRemediationPolicy with a spec is expected, not Pod"),
        ("policy.yaml", "a: [", "policy.yaml: no YAML: while parsing"),
        ("policy.yaml", "kind: A\n---\nkind: B\n", "one document is expected, not 2"),
        ("policy.yaml", "", "one document is expected, not 0"),
        ("alert.json", '{"labels": }', "alert.json: line 1, column 12: no JSON"),
        ("alert.json", "{}", "alert.json: status: Field required"),
        ("alert.json", '{"alerts": []}', "alert.json: holds 0 alerts; give one of them"),
        ("target.yaml", "kind: FlinkDeployment\nspec: {}\n", "target.yaml: metadata.name is missing"),
        (
            "target.yaml",
            "kind: FlinkDeployment\nmetadata: {name: a}\nspec: {job: 3}\n",
            "spec.job is not a map",
        ),
        ("job.json", '{"jid": "a", "state": "RUNNING"}', "job.json: vertices is missing"),
        ("checkpoints.json", '{"latest": {"completed": {"trigger_timestamp": 1}}}', "checkpoints.json: id is missing"),
        ("history.yaml", yaml.safe_dump(RECORD), "history.yaml: FlinkRemediation 1: spec is missing"),
    ],
)
def test_bad_input_is_named(
    folder: Path, name: str, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).write_text(text)
    assert run(folder) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err


def test_every_mistake_of_a_policy_is_told_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = yaml.safe_load((folder / "policy.yaml").read_text())
    policy["spec"]["actions"][0]["scale"] = {"max": 1, "speed": 3}
    policy["spec"]["guards"] = {"cooldown": "soon"}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    assert run(folder) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "spec.actions.0.scale.max",
        "spec.actions.0.scale.speed",
        "spec.guards.cooldown",
    ]


def test_a_missing_file_and_a_missing_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--job=absent.json") == 2
    assert capsys.readouterr().err == "absent.json: No such file or directory\n"
    with pytest.raises(SystemExit) as stopped:
        main(["explain", "--policy=p.yaml"])
    assert stopped.value.code == 2
    with pytest.raises(SystemExit) as stopped:
        run(folder, "--now=soon")
    assert stopped.value.code == 2
    assert "not a time such as" in capsys.readouterr().err


def test_a_webhook_or_a_list_with_one_alert_is_as_good(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    alone = capsys.readouterr().out
    webhook = {"version": "4", "groupKey": "", "alerts": [ALERT]}
    of_amtool = [{**ALERT, "status": {"state": "active", "silencedBy": []}, "receivers": [{"name": "a"}]}]
    for document in (webhook, of_amtool):
        (folder / "alert.json").write_text(json.dumps(document, indent="\t"))
        assert run(folder) == 0
        assert capsys.readouterr().out == alone


def test_a_manifest_as_it_stands_in_git_is_not_deployed_yet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written: dict[str, Any] = flink_resource()
    del written["status"], written["metadata"]["uid"], written["metadata"]["resourceVersion"]
    (folder / "target.yaml").write_text(yaml.safe_dump(written))
    assert run(folder) == 3
    assert yaml.safe_load(capsys.readouterr().out)["reason"] == "TargetNotStable"


def test_a_history_written_by_hand_may_know_of_its_times_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = yaml.safe_load((EXAMPLES / "cooldown/history.yaml").read_text())["items"][0]
    record["status"] = {"phase": "Succeeded", "times": dict.fromkeys(("patched", "finished"), "2026-03-01T02:50:00Z")}
    (folder / "history.yaml").write_text(yaml.safe_dump(record))
    assert run(folder) == 3
    assert capsys.readouterr().out == (EXAMPLES / "cooldown/expected.yaml").read_text()


def test_the_history_may_be_a_list_and_holds_what_was_done_about_this_alert(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alert = {"name": "HighKafkaLag", "fingerprint": ALERT["fingerprint"], "startsAt": ALERT["startsAt"], "labels": {}}
    target = {"namespace": "streaming", "name": "ml-recommender", "uid": "target-uid"}
    spec = {"policyRef": {"name": "high-kafka-lag", "uid": "p"}, "target": target, "alert": alert}
    attempt = {"step": 0, "action": "Scale 2 to 4", "planned": "2026-03-01T02:55:00Z"}
    status = {"phase": "Pending", "step": 1, "attempts": [attempt]}
    items = [{**RECORD, "spec": spec, "status": status}]
    (folder / "history.yaml").write_text(yaml.safe_dump({"kind": "List", "items": items}))
    assert run(folder) == 4
    decision = yaml.safe_load(capsys.readouterr().out)
    assert decision["reason"] == "PolicyInvalid"
    assert "no action 2" in decision["message"]
