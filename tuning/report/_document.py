"""A report as plain data: what every format writes in its own way."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

Verdict = Literal["better", "worse", "equal"]
Winner = Literal["all", "table"]
Width = Literal["half", "full", "wide"]


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph; `kind` says whether it states, explains, warns or tells what is missing."""

    text: str
    kind: Literal["finding", "plain", "note", "warning", "missing"] = "plain"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a table: a figure, and beneath it what it stands beside.

    `verdict` compares it with the published figure, `winner` marks the best of the table or of all
    its parts, `fails` says that the constant predictor does no worse. `missing` is a cell that was
    not run or has no figure; `href` is its run's page.
    """

    text: str
    below: tuple[str, ...] = ()
    verdict: Verdict | None = None
    winner: Winner | None = None
    fails: bool = False
    missing: bool = False
    href: str | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    label: str
    cells: tuple[Cell, ...]
    below: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its caption above and notes beneath; `corner` heads the labels.

    `stacks` says that on a narrow screen each row becomes a card of its own.
    """

    caption: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    stacks: bool = False


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawing as PNG, with its number and caption.

    `narrow` is drawn for a narrow screen; a `wide` one is scrolled there instead.
    """

    name: str
    caption: str
    png: bytes
    alt: str
    width: Width = "full"
    narrow: bytes | None = None


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


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole report; `lead` stands before the first section."""

    title: str
    subtitle: str
    lead: Sequence[Block]
    sections: Sequence[Section]
    legend: Sequence[str] = ()
