"""A report as plain data: what every format writes in its own way."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from tuning.display.table import Table

Width = Literal["half", "wide"]


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph; `kind` says whether it states, explains, warns or tells what is missing."""

    text: str
    kind: Literal["finding", "plain", "note", "warning", "missing"] = "plain"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawing as PNG, with its number and caption."""

    name: str
    caption: str
    png: bytes
    alt: str
    width: Width = "wide"


@dataclasses.dataclass(frozen=True)
class Figures:
    """Figures that stand beside each other where there is room."""

    figures: tuple[Figure, ...]


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


@dataclasses.dataclass(frozen=True)
class Commands:
    """Lines to type."""

    caption: str
    lines: tuple[str, ...]


Block = Text | Table | Figure | Figures | Tiles | Facts | Commands


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
