"""Changes one thing at a time in each rule and tells which changes the unit tests do not notice.

`make mutate` runs it over all rule files, which takes half an hour; FILES="rules/ml.yaml ..." over some of them.
"""

import copy
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOGETHER = "rescale.test.yaml"
FLOOR = 0.95
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


def depending(rule: dict, rules: list[dict]) -> set[str]:
    """Name of a rule, and of the rules that use what it records, and so on."""
    names = {rule.get("alert") or rule["record"]}
    while True:
        more = {r.get("alert") or r["record"] for r in rules if any(name in r["expr"] for name in names)}
        if more <= names:
            return names
        names |= more


def relevant(test_file: Path, names: set[str]) -> dict:
    """A test file with only those of its tests that ask for one of the rules, or for all alerts."""
    content = yaml.safe_load(test_file.read_text())
    content["tests"] = [
        test
        for test in content["tests"]
        if any(name in str((test.get("alert_rule_test"), test.get("promql_expr_test"))) for name in names)
        or test_file.name == TOGETHER
    ]
    return content


def run(rules: Path) -> tuple[int, list[str]]:
    """Number of mutants of a rule file, and those that survived."""
    content = yaml.safe_load(rules.read_text())
    test_files = [*sorted(HERE.glob(f"{rules.stem}*.test.yaml")), HERE / TOGETHER]
    survivors, total = [], 0
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "rules", Path(folder) / "rules")
        target = Path(folder) / "rules" / rules.name
        tests = Path(folder) / "tests" / "rules"
        tests.mkdir(parents=True)
        for group in content["groups"]:
            for index, rule in enumerate(group["rules"]):
                names, before = depending(rule, group["rules"]), total
                for path in test_files:
                    (tests / path.name).write_text(yaml.safe_dump(relevant(path, names)))
                    target.write_text(yaml.safe_dump(content, sort_keys=False))
                    if not passes(tests / path.name):
                        raise SystemExit(f"{path.name} fails without any change")
                for description, changed in mutants(rule):
                    if not is_rule(changed["expr"]):
                        continue
                    group["rules"][index] = changed
                    target.write_text(yaml.safe_dump(content, sort_keys=False))
                    total += 1
                    if all(passes(tests / path.name) for path in test_files):
                        survivors.append(f"{rule.get('alert') or rule['record']}: {description}")
                group["rules"][index] = rule
                print(f"  {rule.get('alert') or rule['record']}: {total - before} mutants", file=sys.stderr, flush=True)
    return total, survivors


def passes(test: Path) -> bool:
    """Whether a file of unit tests does not notice."""
    return subprocess.run([PROMTOOL, "test", "rules", test], capture_output=True).returncode == 0


def main() -> int:
    files = [Path(name).resolve() for name in sys.argv[1:]] or sorted((ROOT / "rules").glob("*.yaml"))
    caught = everything = 0
    for path in files:
        total, survivors = run(path)
        everything += total
        caught += total - len(survivors)
        print(f"{path.name}: {total - len(survivors)} of {total} mutants caught", flush=True)
        for survivor in survivors:
            print(f"  survived: {survivor}")
    print(f"all: {caught / everything:.1%} caught")
    return 0 if caught / everything >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
