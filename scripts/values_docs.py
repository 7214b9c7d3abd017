#!/usr/bin/env python3
"""Carry values.yaml into what is made of it: the tables of the README, the descriptions in values.schema.json, and
files/defaults.json, from which the templates restore keys that were left empty.

A comment block with a line that starts with "# -- " right above a key describes that key and all below it, as
helm-docs reads it. With --check nothing is written and stale files are an error.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "charts/streaming-monitoring"
BEGIN = "<!-- Generated from values.yaml by make generate. DO NOT EDIT below. -->"
END = "<!-- End of the generated part. -->"
LONGEST = 90  # of a default in the table


@dataclass(frozen=True)
class Value:
    """A described key of values.yaml."""

    path: tuple[str, ...]
    default: Any
    description: str


def described(text: str) -> Iterator[Value]:
    """The described keys of a values file, in its order."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    yield from _walk(root, (), text.splitlines())


def _walk(node: yaml.MappingNode, path: tuple[str, ...], lines: list[str]) -> Iterator[Value]:
    for key, value in node.value:
        here = (*path, key.value)
        description = _comment_above(lines, key.start_mark.line)
        if description:
            yield Value(here, yaml.safe_load(yaml.serialize(value)), description)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _walk(value, here, lines)


def _comment_above(lines: list[str], number: int) -> str:
    block: list[str] = []
    while number and (comment := re.match(r"\s*# ?(.*)", lines[number - 1])):
        block.insert(0, comment[1])
        number -= 1
    starts = [index for index, line in enumerate(block) if line.startswith("-- ")]
    return " ".join(block[starts[0] :]).removeprefix("-- ") if starts else ""


def table(values: list[Value]) -> str:
    """Markdown tables of the values, one for each block at the top and one for the single keys there."""
    sections: dict[str, list[Value]] = {}
    for value in values:
        sections.setdefault(value.path[0] if len(value.path) > 1 else "General", []).append(value)
    parts = []
    for title, rows in sections.items():
        parts += [f"### {title}", "", "| Key | Default | Description |", "|---|---|---|"]
        parts += [f"| `{'.'.join(v.path)}` | {_default(v.default)} | {_cell(v.description)} |" for v in rows]
        parts.append("")
    return "\n".join(parts)


def _default(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{_cell(text)}`" if len(text) <= LONGEST else "see values.yaml"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def readme(text: str, values: list[Value]) -> str:
    """The README with its generated part renewed. Raises ValueError where the marks are missing."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README has no part between {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{table(values)}\n{END}{tail}"


def schema(text: str, values: list[Value]) -> str:
    """The schema with the descriptions renewed. Raises KeyError for a key that it does not know."""
    whole = json.loads(text)
    for value in values:
        about = whole
        for key in value.path:
            if key not in about.get("properties", {}) and isinstance(about.get("additionalProperties"), dict):
                break  # an entry of a map: what is said of this one is not true of all
            about = about["properties"][key]
        else:
            about["description"] = value.description
    return json.dumps(nullable(whole), indent=2, ensure_ascii=False) + "\n"


def nullable(about: Mapping[str, Any]) -> dict[str, Any]:
    """A schema in which every key of a map may be left empty; items of lists may not."""
    found = dict(about)
    if "properties" in found:
        found["properties"] = {key: _or_null(nullable(part)) for key, part in found["properties"].items()}
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = _or_null(nullable(found["additionalProperties"]))
    if "items" in found:
        found["items"] = nullable(found["items"])
    return found


def _or_null(about: dict[str, Any]) -> dict[str, Any]:
    if "enum" in about:
        return about if None in about["enum"] else {**about, "enum": [*about["enum"], None]}
    if "oneOf" in about:
        missing = {"type": "null"} not in about["oneOf"]
        return {**about, "oneOf": [*about["oneOf"], {"type": "null"}]} if missing else about
    kinds = about["type"] if isinstance(about["type"], list) else [about["type"]]
    return about if "null" in kinds else {**about, "type": [*kinds, "null"]}


def defaults(values: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """What the templates put in the place of keys that were left empty: a JSON list of paths with their values.

    Helm takes a key with null away, and knows no other use for it. Maps whose keys are the user's count as one value,
    so that an entry of them can be taken away; entries that have keys of ours are filled only where they are there.
    """
    ours = {key: value for key, value in values.items() if key not in ("global", *_dependencies())}
    leaves = [
        {"path": list(path), "value": value, **({"entry": True} if entry else {})}
        for path, value, entry in _defaults(ours, about, (), False)
    ]
    lines = ",\n".join(json.dumps(leaf, ensure_ascii=False) for leaf in leaves)
    return f'{{"generated": "by make generate from values.yaml", "leaves": [\n{lines}\n]}}\n'


def _dependencies() -> list[str]:
    return [entry["name"] for entry in yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]]


def _defaults(
    value: Any, about: Mapping[str, Any], path: tuple[str, ...], entry: bool
) -> Iterator[tuple[tuple[str, ...], Any, bool]]:
    if "properties" in about and value and path[-1:] != ("resources",):
        for key, part in value.items():
            yield from _defaults(part, about["properties"][key], (*path, key), entry)
        return
    yield path, value, entry
    inner = about.get("additionalProperties")
    if isinstance(inner, dict) and "properties" in inner:
        for key, part in value.items():
            yield from _defaults(part, inner, (*path, key), True)


def wanted(text: str) -> dict[Path, str]:
    """What the files that are generated from values.yaml should hold, by path."""
    values = list(described(text))
    paths = {CHART / "README.md": readme, CHART / "values.schema.json": schema}
    found = {path: make(path.read_text(), values) for path, make in paths.items()}
    about = json.loads(found[CHART / "values.schema.json"])
    return {**found, CHART / "files/defaults.json": defaults(yaml.safe_load(text), about)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if something is stale")
    arguments = parser.parse_args()
    stale = {
        path: text
        for path, text in wanted((CHART / "values.yaml").read_text()).items()
        if not path.exists() or path.read_text() != text
    }
    for path, text in stale.items():
        print(f"{'stale' if arguments.check else 'updated'}: {path.relative_to(CHART.parent.parent)}")
        if not arguments.check:
            path.write_text(text)
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
