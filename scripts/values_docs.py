#!/usr/bin/env python3
"""Describe the chart's values from the comments in values.yaml: in its README, and in values.schema.json for editors.

A comment block with a line that starts with "# -- " right above a key describes that key and all below it, as
helm-docs reads it. With --check nothing is written and stale files are an error.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
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
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def wanted() -> dict[Path, str]:
    """What the generated files should hold, by path."""
    values = list(described((CHART / "values.yaml").read_text()))
    paths = {CHART / "README.md": readme, CHART / "values.schema.json": schema}
    return {path: make(path.read_text(), values) for path, make in paths.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if something is stale")
    arguments = parser.parse_args()
    stale = {path: text for path, text in wanted().items() if path.read_text() != text}
    for path, text in stale.items():
        print(f"{'stale' if arguments.check else 'updated'}: {path.relative_to(CHART.parent.parent)}")
        if not arguments.check:
            path.write_text(text)
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
