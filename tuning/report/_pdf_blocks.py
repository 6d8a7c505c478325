"""A report's blocks as reportlab's flowables."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from PIL import Image as Pillow
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import inch, mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, Spacer
from reportlab.platypus import Table as PdfTable

from tuning.display.plots import DPI
from tuning.display.table import Cell, Table
from tuning.report._document import Block, Commands, Facts, Figure, Text, Tiles, grouped
from tuning.report._images import tile_sheet
from tuning.report._pdf_style import BETTER, FAINT, INK, STYLES, WASH, WORSE

MARGIN = 15 * mm
CONTENT_WIDTH = A4[0] - 2 * MARGIN
_GAP, _PADDING = 5 * mm, 3
_TILE, _MOST_COLUMNS_OF_HALVES = 24 * mm, 5
_WIDEST_COLUMN, _WIDEST_LABEL = 45 * mm, 0.48
_SMALL, _GRAY = 6.2, "#5f6c7b"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=dB|%|epoch|seed)")
# A table with more rows may continue on the next page, between two of its rows.
_ROWS_KEPT_TOGETHER = 8


def _padded(points: float) -> list[tuple[Any, ...]]:
    sides = ("LEFT", "RIGHT", "TOP", "BOTTOM")
    padding = [(f"{side}PADDING", (0, 0), (-1, -1), points) for side in sides]
    return [("VALIGN", (0, 0), (-1, -1), "TOP"), *padding]


def paragraph(text: str, style: str) -> Paragraph:
    """Set plain text: backquotes mark code, a number and its unit stay in one line."""
    parts = [
        f'<font name="Mono">{part}</font>' if number % 2 else _BEFORE_UNIT.sub("\u00a0", part)
        for number, part in enumerate(escape(text).split("`"))
    ]
    return Paragraph("".join(parts), STYLES[style])


def flowables(blocks: Sequence[Block]) -> list[Flowable]:
    """Lay blocks out for the width of a page."""
    return [flowable for group in grouped(blocks) for flowable in _group(group)]


def _group(blocks: Sequence[Block]) -> list[Flowable]:
    if isinstance(blocks[0], Figure) and blocks[0].width == "half":
        return _pairs([block for block in blocks if isinstance(block, Figure)])
    return [flowable for block in blocks for flowable in _flowables(block)]


def _flowables(block: Block) -> list[Flowable]:
    match block:
        case Text():
            return [paragraph(block.text, block.kind)]
        case Figure():
            return [KeepTogether(_figure(block, CONTENT_WIDTH * 0.9))]
        case Tiles():
            return [_tiles(block)]
        case Facts():
            return _facts(block)
        case Commands():
            lines = [[paragraph(f"$ {line}", "command")] for line in block.lines]
            style = [("BACKGROUND", (0, 0), (-1, -1), WASH)]
            table = PdfTable(lines, colWidths=[CONTENT_WIDTH], style=style)
            return _together([paragraph(block.caption, "note"), table], len(lines))
        case Table():
            return _table(block)


def _together(whole: list[Flowable], rows: int) -> list[Flowable]:
    return [KeepTogether(whole)] if rows <= _ROWS_KEPT_TOGETHER else whole


def _table(block: Table) -> list[Flowable]:
    first = _label_width(block) if block.stacks else CONTENT_WIDTH * 0.13
    rest = min((CONTENT_WIDTH - first) / max(len(block.columns), 1), _WIDEST_COLUMN)
    heads = [paragraph(column, "column") for column in block.columns]
    content = [[paragraph(block.corner, "corner"), *heads]]
    style: list[tuple[Any, ...]] = [
        *_padded(_PADDING),
        ("LINEBELOW", (0, 0), (-1, 0), 0.9, INK),
        ("LINEBELOW", (0, 1), (-1, -1), 0.4, FAINT),
    ]
    for number, row in enumerate(block.rows, start=1):
        label = Paragraph(escape(row.label) + _small(row.below), STYLES["label"])
        content.append([label, *map(_cell, row.cells)])
        for column, cell in enumerate(row.cells, start=1):
            place = (column, number), (column, number)
            if cell.verdict == "better":
                style.append(("BACKGROUND", *place, BETTER))
            if cell.winner == "all":
                style.append(("BOX", *place, 1.2, INK))
    table = PdfTable(
        content,
        colWidths=[first, *[rest] * len(block.columns)],
        repeatRows=1,
        splitInRow=0,
        hAlign="LEFT",
        style=style,
    )
    notes = [paragraph(note, "note") for note in block.notes]
    whole = [paragraph(block.caption, "caption"), table, *notes, Spacer(0, 6)]
    return _together(whole, len(block.rows))


def _label_width(block: Table) -> float:
    """What the labels need, so that the figures get the rest; at most half of the page."""
    style = STYLES["label"]
    lines = [(row.label, style.fontName, style.fontSize) for row in block.rows]
    lines += [(line, "Sans", _SMALL) for row in block.rows for line in row.below]
    needed = max((stringWidth(*line) for line in lines), default=0.0)
    return float(min(needed + 2 * _PADDING + 1, CONTENT_WIDTH * _WIDEST_LABEL))


def _cell(cell: Cell) -> Paragraph:
    text = escape(cell.starred)
    if cell.href:
        text = f"<a href={quoteattr(cell.href)}>{text}</a>"
    if cell.missing:
        text = f'<i><font size="7" color="{_GRAY}">{text}</font></i>'
    elif cell.verdict == "better" or cell.winner:
        text = f"<b>{text}</b>"
    elif cell.fails:
        text = f'<font color="{_GRAY}">{text}</font>'
    colour = f' color="{WORSE}"' if cell.verdict == "worse" else ""
    return Paragraph(
        f"{text}<font{colour}>{escape(cell.after)}</font>{_small(cell.below)}", STYLES["cell"]
    )


def _small(lines: Sequence[str]) -> str:
    font = f'<font name="Sans" size="{_SMALL}" color="{_GRAY}">'
    return "".join(f"<br/>{font}{escape(line)}</font>" for line in lines)


def _pairs(figures: Sequence[Figure]) -> list[Flowable]:
    """Two beside each other, in lines that are not broken."""
    width = (CONTENT_WIDTH - _GAP) / 2
    lines: list[Flowable] = []
    for start in range(0, len(figures), 2):
        left, right = [*(_figure(f, width) for f in figures[start : start + 2]), ""][:2]
        widths, style = [width, _GAP, width], _padded(0)
        table = PdfTable([[left, "", right]], colWidths=widths, style=style)
        lines += [Spacer(0, 4), table, Spacer(0, 6)]
    return lines


def _figure(figure: Figure, widest: float) -> list[Flowable]:
    """A drawing, as wide as it was drawn for if there is so much room."""
    with Pillow.open(io.BytesIO(figure.png)) as picture:
        width = min(widest, picture.width * inch / DPI)
    return [_picture(figure.png, width), paragraph(figure.caption, "figure")]


def _tiles(block: Tiles) -> Flowable:
    """A sheet of tiles; where its rows are short, two halves of it beside each other."""
    count = len(block.columns)
    halves = 2 if len(block.rows) > 1 and count <= _MOST_COLUMNS_OF_HALVES else 1
    width = min(_TILE * count, (CONTENT_WIDTH - (halves - 1) * _GAP) / halves)
    rows_each = -(-len(block.rows) // halves)
    sheets = [
        _picture(tile_sheet(block.columns, block.rows[start : start + rows_each]), width)
        for start in range(0, len(block.rows), rows_each)
    ]
    widths = [width + _GAP] * len(sheets)
    table = PdfTable([sheets], colWidths=widths, style=_padded(0), hAlign="LEFT", spaceAfter=5)
    return KeepTogether([paragraph(block.caption, "caption"), table])


def _picture(content: bytes, width: float) -> Image:
    with Pillow.open(io.BytesIO(content)) as picture:
        height = width * picture.height / picture.width
    drawn = Image(io.BytesIO(content), width, height)
    drawn.hAlign = "LEFT"
    return drawn


def _facts(block: Facts) -> list[Flowable]:
    rows = [[paragraph(name, "term"), paragraph(value, "fact")] for name, value in block.facts]
    style = [*_padded(0), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5)]
    table = PdfTable(rows, colWidths=[32 * mm, CONTENT_WIDTH - 32 * mm], style=style)
    caption = [paragraph(block.caption, "caption")] if block.caption else []
    return [KeepTogether([*caption, table, Spacer(0, 6)])]
