"""YAML as users write it: plain values only, and no more of them than a person would type.

PyYAML's safe loader runs no code, but a few lines of aliases to aliases still stand for billions of
values, and whoever walks through them never comes back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tuning.errors import ChromatuneError

_MOST_BYTES = 200_000
_MOST_VALUES = 20_000
_DEEPEST = 40
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_TEXT = "tag:yaml.org,2002:str"


def read_yaml_file(file: Path, what: str) -> Any:
    """Parse the YAML file that holds `what`; ChromatuneError if it cannot be read."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise ChromatuneError(f"cannot read the {what} {file}: {error}") from None
    if len(data) > _MOST_BYTES:
        raise ChromatuneError(f"cannot read the {what} {file}: over {_MOST_BYTES // 1000} kB")
    return parse_yaml(text, str(file))


def parse_yaml(text: str, where: str) -> Any:
    """Parse `text`; ChromatuneError, naming `where` it is from, for what is not plain YAML."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ChromatuneError(f"{where} is not valid YAML: {_reason(error)}") from None


class _Loader(yaml.SafeLoader):
    """The safe loader without tags, some of which its constructors stumble over."""

    _levels = 0
    _values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._levels += 1
        self._values += 1
        _check_size(self._values, self._levels)
        node = super().compose_node(parent, index)
        self._levels -= 1
        if isinstance(node, yaml.ScalarNode):
            implied = self.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
            plain = (_TEXT, implied)
        else:
            plain = _COLLECTIONS
        if node is not None and node.tag not in plain:
            raise yaml.YAMLError(f"the tag '{node.tag}' on line {node.start_mark.line + 1}")
        return node


def _check_size(values: int, levels: int) -> None:
    if values > _MOST_VALUES:
        raise yaml.YAMLError(f"more than {_MOST_VALUES} values")
    if levels > _DEEPEST:
        raise yaml.YAMLError(f"nested more than {_DEEPEST} levels deep")


def _reason(error: Exception) -> str:
    """What is wrong, and on which line, in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        return f"{error.problem} on line {error.problem_mark.line + 1}"
    return str(error).partition("\n")[0]


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Count the values that a node stands for, and its levels, with all that aliases repeat."""
    if isinstance(node, yaml.ScalarNode):
        return 1, 1
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise yaml.YAMLError("a value that contains itself")
        return measured
    known[id(node)] = None
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in parts for part in pair]
    measures = [_measure(part, known) for part in parts]
    count = 1 + sum(values for values, _ in measures)
    levels = 1 + max((below for _, below in measures), default=0)
    _check_size(count, levels)
    known[id(node)] = count, levels
    return count, levels
