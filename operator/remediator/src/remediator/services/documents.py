"""Reads documents from files that people give, and says in words what is wrong with them."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

Read = TypeVar("Read")
STANDARD_INPUT = Path("-")


class BadInput(ValueError):
    """A file does not hold what it should; the message names the file and the place."""


class _Loader(yaml.SafeLoader):
    """Leaves moments what they are in the API, text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (as in the class above)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def text_of(path: Path) -> str:
    """Return the text of a file ("-": standard input), without a byte order mark. Raises BadInput."""
    try:
        text = sys.stdin.read() if path == STANDARD_INPUT else path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is no text in UTF-8") from None
    return text.removeprefix("\ufeff")


def documents(path: Path) -> list[Any]:
    """Return the documents of a JSON or YAML file; empty ones are left out. Raises BadInput."""
    text = text_of(path)
    try:
        if text.lstrip()[:1] in ("{", "["):
            return [json.loads(text)]
        return [document for document in yaml.load_all(text, _Loader) if document is not None]
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}: line {error.lineno}, column {error.colno}: no JSON: {error.msg}") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: no YAML: {' '.join(str(error).split())}") from None


def checked(path: Path | str, read: Callable[[], Read], place: str = "") -> Read:
    """Call a reader, and turn what it finds wrong into BadInput; ``place`` is where in the file it reads."""
    try:
        return read()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        # A list whose items are wrong is also called too short.
        parents = {problem["loc"][:n] for problem in problems for n in range(len(problem["loc"]))}
        found = [_problem(place, problem) for problem in problems if problem["loc"] not in parents]
        raise BadInput("\n".join(f"{path}: {problem}" for problem in found or [_problem(place, problems[0])])) from None
    except KeyError as error:
        raise BadInput(f"{path}: {place + ': ' if place else ''}{error.args[0]} is missing") from None
    except (TypeError, AttributeError) as error:
        raise BadInput(f"{path}: {place + ': ' if place else ''}has not the expected form ({error})") from None
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"{path}: {place + ': ' if place else ''}{error}") from None


def _problem(place: str, problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in (place, *problem["loc"]) if part != "")
    return f"{where}: {str(problem['msg']).removeprefix('Value error, ')}"
