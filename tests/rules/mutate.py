"""Changes one thing at a time in each rule and tells which changes the unit tests do not notice.

`make mutate` runs it over all rule files, which takes half an hour of CPU; FILES="rules/ml.yaml" over one of them,
FILES="rules/kafka.yaml:HighKafkaLag" over one rule.
"""

import copy
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import promql_parser
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FLOOR = 0.96
STEP_SECONDS = 30
"""Two evaluations of the unit tests: a smaller change of `for` need not show, see kafka.test.yaml."""
PROMTOOL = str(ROOT / ".tools" / "bin" / "promtool")

OPERATORS = {">=": [">"], ">": [">=", "<"], "<=": ["<"], "<": ["<=", ">"], "==": ["!="]}
WORDS = {
    "max": ["min", "sum"],
    "min": ["max"],
    "sum": ["max", "count"],
    "count": ["sum"],
    "group": ["count"],
    "avg_over_time": ["max_over_time", "min_over_time"],
    "or": ["and"],
    "and": ["unless"],
    "unless": ["and"],
    "increase": ["delta", "rate"],
    "rate": ["irate", "increase"],
    "changes": ["resets"],
    "round": ["ceil"],
    "clamp_min": ["clamp_max"],
    "last_over_time": ["max_over_time", "count_over_time"],
    "max_over_time": ["min_over_time"],
    "min_over_time": ["max_over_time"],
    "count_over_time": ["max_over_time"],
}
TOKEN = re.compile(
    r"""(?P<text>"[^"]*")|(?P<duration>\b\d+[smh]\b)|(?P<number>(?<![\w.])\d+(?:\.\d+)?)|(?P<operator>>=|<=|==|>|<)"""
    r"""|(?P<matching>\b(?:by|on)\s*\([^)]+\))|(?P<word>[A-Za-z_:]\w*)"""
)
SECONDS = {"s": 1, "m": 60, "h": 3600}


def duration(text: str, factor: float) -> str:
    return f"{round(int(text[:-1]) * SECONDS[text[-1]] * factor)}s"


def replacements(kind: str, token: str) -> list[str]:
    """What one token of an expression is changed into."""
    if kind == "duration":
        return [duration(token, 0.5), duration(token, 2)]
    if kind == "number":
        value = float(token)
        if value == 0:
            return ["1"]
        return (
            [str(int(value) - 1), str(int(value) + 1)] if value in range(10) else [f"{value * f:g}" for f in (0.9, 1.1)]
        )
    if kind == "operator":
        return OPERATORS[token]
    if kind == "matching":
        keyword, labels = re.fullmatch(r"(by|on)\s*\((.*)\)", token, flags=re.DOTALL).groups()
        names = [name.strip() for name in labels.split(",")]
        return [f"{keyword} ({', '.join(n for n in names if n != gone)})" for gone in names]
    if kind == "word":
        return WORDS.get(token, [])
    return []


def selections(before: str, text: str) -> list[str]:
    """What the value of a label's matcher is changed into: another one, and of alternatives each one left out."""
    if not before.rstrip().endswith(("=", "=~", "!~")):
        return []  # an argument of label_replace
    alternatives = text.strip('"').split("|") if "(" not in text else []
    fewer = [alternatives[:i] + alternatives[i + 1 :] for i in range(len(alternatives))] if alternatives[1:] else []
    return ['"other"', *(f'"{"|".join(rest)}"' for rest in fewer)]


def mutants(rule: dict) -> Iterator[tuple[str, dict]]:
    """All changed copies of a rule, each with a description."""
    for found in TOKEN.finditer(rule["expr"]):
        if found.lastgroup == "text":
            changes = selections(rule["expr"][: found.start()], found.group())
        else:
            changes = replacements(found.lastgroup, found.group())
        for new in changes:
            changed = copy.deepcopy(rule)
            changed["expr"] = rule["expr"][: found.start()] + new + rule["expr"][found.end() :]
            yield f"{found.group()!r} at {found.start()} -> {new!r}", changed
    for key in ("for", "keep_firing_for"):
        if key in rule:
            seconds = int(rule[key][:-1]) * SECONDS[rule[key][-1]]
            for step in (-STEP_SECONDS, STEP_SECONDS):
                yield f"{key} {step:+}s", {**rule, key: f"{seconds + step}s"}
    for label in rule.get("labels", {}):
        yield f"label {label}", {**rule, "labels": {**rule["labels"], label: "other"}}


def is_rule(expr: str) -> bool:
    """Whether it still is PromQL; what is not, Prometheus would not load."""
    try:
        promql_parser.parse(expr)
    except ValueError:
        return False
    return True


def needed(test: dict, rules: list[dict]) -> set[str]:
    """Names of the rules that a test asks for, and of those whose results these use, and so on."""
    asked = str((test.get("alert_rule_test"), test.get("promql_expr_test")))
    if re.search(r"\bALERTS\b(?!{alertname)", asked):
        return {name_of(rule) for rule in rules}
    names = {name_of(rule) for rule in rules if name_of(rule) in asked}
    while True:
        uses = {
            name_of(r) for r in rules if any(name_of(r) in other["expr"] for other in rules if name_of(other) in names)
        }
        if uses <= names:
            return names
        names |= uses


def name_of(rule: dict) -> str:
    return rule.get("alert") or rule["record"]


@dataclass
class Case:
    """One of the unit tests by itself, with no more rules than it needs: a mutant runs few of them."""

    name: str
    folder: Path
    files: dict[str, dict]
    """Rule files by name, with the rules that the test needs."""
    seconds: float = 0
    caught: int = 0

    def uses(self, rule_file: str, rule: dict) -> bool:
        return any(rule in group["rules"] for group in self.files.get(rule_file, {"groups": []})["groups"])

    def passes(self, rule_file: str = "", rule: dict | None = None, changed: dict | None = None) -> bool:
        """Whether the test does not notice."""
        for name, content in self.files.items():
            if name == rule_file:
                groups = [
                    {**group, "rules": [changed if r == rule else r for r in group["rules"]]}
                    for group in content["groups"]
                ]
                content = {"groups": groups}
            (self.folder / name).write_text(json.dumps(content))
        command = [PROMTOOL, "test", "rules", self.folder / "test.yaml"]
        return subprocess.run(command, capture_output=True).returncode == 0


def cases(rules: Path, folder: Path) -> Iterator[Case]:
    """The unit tests of a rule file, without those of all files together, which take long."""
    for path in sorted(HERE.glob(f"{rules.stem}*.test.yaml")):
        content = yaml.safe_load(path.read_text())
        files = {Path(name).name: yaml.safe_load((HERE / name).read_text()) for name in content["rule_files"]}
        everything = [rule for file in files.values() for group in file["groups"] for rule in group["rules"]]
        for index, test in enumerate(content["tests"]):
            names = needed(test, everything)
            some = {
                name: {
                    "groups": [
                        {**group, "rules": [rule for rule in group["rules"] if name_of(rule) in names]}
                        for group in file["groups"]
                    ]
                }
                for name, file in files.items()
            }
            case = Case(f"{path.name}: {test['name']}", folder / f"{path.stem}-{index}", some)
            case.folder.mkdir()
            (case.folder / "test.yaml").write_text(yaml.safe_dump({**content, "rule_files": [*files], "tests": [test]}))
            yield case


def run(rules: Path, only: str = "") -> tuple[int, list[str]]:
    """Number of mutants of a rule file, or of one of its rules, and those that survived."""
    content = yaml.safe_load(rules.read_text())
    survivors, total = [], 0
    with tempfile.TemporaryDirectory() as folder:
        tests = list(cases(rules, Path(folder)))
        for rule in (r for group in content["groups"] for r in group["rules"] if only in ("", name_of(r))):
            relevant, before, began = [test for test in tests if test.uses(rules.name, rule)], total, time.monotonic()
            for test in relevant:
                test.caught = 0
                if not test.seconds:
                    start = time.monotonic()
                    if not test.passes():
                        raise SystemExit(f"{test.name} fails without any change")
                    test.seconds = time.monotonic() - start
            for description, changed in mutants(rule):
                if not is_rule(changed["expr"]):
                    continue
                total += 1
                # The one first that has caught most, for its time.
                for test in sorted(relevant, key=lambda test: -(test.caught + 0.5) / test.seconds):
                    if not test.passes(rules.name, rule, changed):
                        test.caught += 1
                        break
                else:
                    survivors.append(f"{name_of(rule)}: {description}")
                    print(f"  survived: {survivors[-1]}", file=sys.stderr, flush=True)
            seconds = time.monotonic() - began
            print(f"  {name_of(rule)}: {total - before} mutants, {seconds:.0f} s", file=sys.stderr, flush=True)
    return total, survivors


def main() -> int:
    files = sys.argv[1:] or sorted(str(path) for path in (ROOT / "rules").glob("*.yaml"))
    caught = everything = 0
    for file in files:
        path, _, only = file.partition(":")
        total, survivors = run(Path(path).resolve(), only)
        everything += total
        caught += total - len(survivors)
        print(f"{file}: {total - len(survivors)} of {total} mutants caught", flush=True)
        for survivor in survivors:
            print(f"  survived: {survivor}")
    print(f"all: {caught / everything:.1%} caught")
    return 0 if caught / everything >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
