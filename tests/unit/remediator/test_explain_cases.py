"""``remediator explain`` on inputs that differ in a few places: one table says what comes of each."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonpointer
import pytest
import yaml
from remediator.__main__ import main
from worlds import apply_json_patch

HERE = Path(__file__).parent
TABLE = yaml.safe_load((HERE / "explain_cases.yaml").read_text())
FILES = {"policy": "policy.yaml", "alert": "alert.json", "target": "target.yaml"}
MORE = {"job": "job.json", "checkpoints": "checkpoints.json"}
ABSENT = "<absent>"


def changed(document: Any, changes: dict[str, Any]) -> Any:
    """The document with other values at some places (JSON pointers)."""
    document = copy.deepcopy(document)
    for place, value in changes.items():
        if not place:
            return value
        *parents, last = jsonpointer.JsonPointer(place).parts
        node = document
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node.setdefault(parent, {})
        if value == ABSENT:
            del node[last]
        else:
            node[last] = value
    return document


def run(case: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str, dict[str, Any]]:
    """Explain a case; returns the exit code, what it printed and what it complained of, and the FlinkDeployment."""
    kind, arguments, target = TABLE["kinds"][case.get("kind", "scale")], ["--now=2026-03-01T03:00:00Z"], {}
    for option, name in {**FILES, **{o: n for o, n in MORE.items() if o in case}}.items():
        source = HERE / "explain" / kind.get(option, f"common/{name}")
        document = changed(yaml.safe_load(source.read_text()), case.get(option, {}))
        (folder / name).write_text(json.dumps(document) if name.endswith("json") else yaml.safe_dump(document))
        arguments.append(f"--{option}={folder / name}")
        target = document if option == "target" else target
    code = main(["explain", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err, target


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_it_is_decided_as_the_table_says(
    case: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err, target = run(case, tmp_path, capsys)
    assert case.get("absent", "\0") not in out + err
    if case["expect"] == 2:
        assert (code, out) == (2, "")
        assert case["message"] in err
        assert "Traceback" not in err
        return
    decision = yaml.safe_load(out)
    assert " ".join([decision["decision"], *filter(None, [decision.get("reason")])]) == case["expect"], out
    assert code == {"Act": 0, "Wait": 3, "Refuse": 4}[decision["decision"]]
    assert case.get("message", "") in decision.get("message", "")
    if code == 0:
        look_at_plan(decision["plan"], case, target)


def look_at_plan(plan: dict[str, Any], case: dict[str, Any], target: dict[str, Any]) -> None:
    told = {"before": plan["parallelismBefore"], "after": plan["parallelismAfter"], "method": plan["method"]}
    assert told == {key: case.get(key, value) for key, value in told.items()}
    patched = apply_json_patch(target, json.dumps(plan["patch"]))
    look_at(patched, case.get("patched", {}))
    if "undone" in case:
        look_at(apply_json_patch(patched, json.dumps(plan["inverse"])), case["undone"])


def look_at(document: dict[str, Any], expected: dict[str, Any]) -> None:
    seen = {place: jsonpointer.resolve_pointer(document, place, ABSENT) for place in expected}
    assert seen == expected


def test_a_big_alert_is_matched_on_all_its_labels_though_its_record_is_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {f"/labels/label_{n:02}": f"{n}{'x' * 10_000}" for n in range(100)}
    matchers = [
        {"label": "label_99", "operator": "=~", "value": "99x+"},
        {"label": "label_98", "operator": "!~", "value": ".*y"},
        {"label": "consumergroup", "value": "ml-recommender"},
    ]
    case = {"alert": labels, "policy": {"/spec/match": matchers}}
    assert run(case, tmp_path, capsys)[0] == 0
    other = {"alert": labels, "policy": {"/spec/match": [{"label": "label_99", "operator": "=~", "value": "99x+y"}]}}
    code, out, _, _ = run(other, tmp_path, capsys)
    assert (code, yaml.safe_load(out)["reason"]) == (4, "AlertNotMatched")
    assert len(out) < 1000
