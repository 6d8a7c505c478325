"""Documents become dataclasses only if every value is what is annotated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from data_prep.typed_json import MisfitError, read_typed


@dataclass(frozen=True)
class Leaf:
    name: str
    side: Literal["left", "right"]
    size: int | None


@dataclass(frozen=True)
class Tree:
    leaves: list[Leaf]
    shape: tuple[int, float]
    counts: dict[Literal["left", "right"], int]
    notes: dict[str, Any] = field(default_factory=dict)
    version: Literal[1] = 1


LEAF = {"name": "l", "side": "left", "size": None}
TREE = {"leaves": [LEAF], "shape": [1, 2.5], "counts": {"left": 3}}


def test_a_document_becomes_its_dataclass() -> None:
    assert read_typed(Tree, TREE) == Tree([Leaf("l", "left", None)], (1, 2.5), {"left": 3})
    whole = TREE | {"notes": {"any": [1, {"thing": None}]}, "version": 1}
    assert read_typed(Tree, whole).notes == {"any": [1, {"thing": None}]}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "the whole must hold named values, but is []"),
        (TREE | {"extra": 1}, "extra is unknown"),
        ({"leaves": [], "shape": [1, 2.5]}, "counts is missing"),
        (TREE | {"leaves": {}}, "leaves must be list[.*Leaf], but is {}"),
        (TREE | {"leaves": [LEAF | {"name": 3}]}, "leaves.0.name must be str, but is 3"),
        (TREE | {"leaves": [LEAF | {"size": "3"}]}, "leaves.0.size must be int . None, but is '3'"),
        (
            TREE | {"leaves": [LEAF | {"size": True}]},
            "leaves.0.size must be int . None, but is True",
        ),
        (TREE | {"leaves": [LEAF | {"side": "up"}]}, "side must be 'left' or 'right', but is 'up'"),
        (TREE | {"leaves": [{"name": "l"}]}, "leaves.0.side is missing"),
        (TREE | {"shape": [1, 2.5, 3]}, "shape must be tuple[int, float], but is [1, 2.5, 3]"),
        (TREE | {"shape": [1, 2]}, "shape.1 must be float, but is 2"),
        (TREE | {"counts": {"up": 3}}, "counts.up must be 'left' or 'right', but is 'up'"),
        (TREE | {"counts": {"left": 3.0}}, "counts.left must be int, but is 3.0"),
        (TREE | {"version": True}, "version must be 1, but is True"),
        (TREE | {"version": "x" * 100}, "but is 'x{59}…$"),
    ],
)
def test_the_first_misfit_is_named(document: object, problem: str) -> None:
    pattern = problem.replace("[", r"\[").replace("{}", r"\{\}").replace(r"\[\]", r"\[\]")
    with pytest.raises(MisfitError, match=pattern):
        read_typed(Tree, document)
