"""A report as plain data: what every format writes in its own way."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Literal

from tuning.display.table import Table


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph; `kind` says whether it states, explains, warns or tells what is missing.

    `commands` are lines to type.
    """

    text: str
    kind: Literal["finding", "plain", "note", "warning", "missing", "commands"] = "plain"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawing as PNG, with its number and caption; half as wide as a page, or wide."""

    name: str
    caption: str
    png: bytes
    alt: str
    width: Literal["half", "wide"] = "wide"


@dataclasses.dataclass(frozen=True)
class TileRow:
    """Pictures of one subject, each a JPEG, and what to say of them."""

    caption: str
    tiles: tuple[bytes, ...]


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Rows of small pictures under common headings."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[TileRow, ...]


@dataclasses.dataclass(frozen=True)
class Facts:
    """Names and what is known of them."""

    facts: tuple[tuple[str, str], ...]
    caption: str = ""


Block = Text | Table | Figure | Tiles | Facts


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report; `number` as the original's (`III`), empty for one of our own."""

    anchor: str
    number: str
    title: str
    blocks: Sequence[Block]

    @property
    def heading(self) -> str:
        return f"{self.number}. {self.title}" if self.number else self.title


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole report; `lead` stands before the first section."""

    title: str
    subtitle: str
    lead: Sequence[Block]
    sections: Sequence[Section]
    legend: Sequence[str] = ()


def grouped(blocks: Iterable[Block]) -> list[list[Block]]:
    """Put neighbouring half figures, or small tables, together: they stand side by side."""

    def kind(block: Block) -> object:
        if isinstance(block, Figure) and block.width == "half":
            return "figures"
        return "tables" if isinstance(block, Table) and not block.stacks else id(block)

    return [list(group) for _, group in itertools.groupby(blocks, kind)]
