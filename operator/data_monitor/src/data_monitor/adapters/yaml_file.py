"""YAML documents, read strictly: what PyYAML passes over in silence is told."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from data_monitor.errors import InputError


class _Loader(yaml.SafeLoader):
    """Remembers keys that a mapping has twice, of which PyYAML would take the last one."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.twice: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in first:
                    self.twice.append(f"{key.value}: twice, in lines {first[key.value]} and {line}")
                first.setdefault(key.value, line)
        return super().construct_mapping(node, deep)


# As in YAML 1.2: Helm writes 1000000 as 1e+06, which is a text in YAML 1.1.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read(path: Path) -> tuple[Any, list[str]]:
    """The document, and what is wrong with it although it can be read. Raises InputError."""
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        return loader.get_single_data(), loader.twice
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise InputError(f"{path}: not YAML: nested too deeply") from error
