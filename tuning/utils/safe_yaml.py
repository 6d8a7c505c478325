"""YAML as users write it: plain values only.

PyYAML's safe loader runs no code, but a few lines of aliases to aliases stand for billions of
values, and deep nesting overflows the stack. Both are found in the parser's events, which expand
nothing, before any value is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tuning.errors import ChromatuneError

_MAX_BYTES = 200_000
_MAX_DEPTH = 40


def read_yaml_file(file: Path, what: str) -> Any:
    """Parse the YAML file that holds `what`; ChromatuneError if it cannot be read."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise ChromatuneError(f"cannot read the {what} {file}: {error}") from None
    if len(data) > _MAX_BYTES:
        raise ChromatuneError(f"cannot read the {what} {file}: over {_MAX_BYTES // 1000} kB")
    return parse_yaml(text, str(file))


def parse_yaml(text: str, where: str) -> Any:
    """Parse `text`; ChromatuneError, naming `where` it is from, if it is not plain YAML."""
    try:
        _check_events(text)
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        line = f" on line {mark.line + 1}" if mark else ""
        raise ChromatuneError(f"{where} is not valid YAML: {problem}{line}") from None


def _check_events(text: str) -> None:
    """Raise YAMLError for aliases, for tags, on which constructors fail, and for deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        problem = ""
        if isinstance(event, yaml.AliasEvent):
            problem = f"the alias '*{event.anchor}' is not supported"
        elif (tag := getattr(event, "tag", None)) is not None:
            problem = f"the tag '{tag}' is not supported"
        elif depth > _MAX_DEPTH:
            problem = f"nested more than {_MAX_DEPTH} levels deep"
        if problem:
            assert event.start_mark is not None
            raise yaml.YAMLError(f"{problem} on line {event.start_mark.line + 1}")
