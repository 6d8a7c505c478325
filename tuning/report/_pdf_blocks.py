"""A report's blocks as reportlab's flowables."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from PIL import Image as Pillow
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, Spacer
from reportlab.platypus import Table as PdfTable

from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Commands, Facts, Figure, Figures, Text, Tiles
from tuning.report._images import drawn_share
from tuning.report._pdf_style import ACCENT, BETTER, FAINT, INK, MUTED, STYLES, WASH, WORSE
from tuning.report._tiles import tile_sheet

MARGIN = 15 * mm
CONTENT_WIDTH = A4[0] - 2 * MARGIN
_GAP = 5 * mm
_TILE, _MOST_COLUMNS_OF_HALVES = 24 * mm, 5
_WIDEST_COLUMN, _LONG_LABEL = 45 * mm, 30
_SMALL, _GRAY, _PADDING = 6.2, "#5f6c7b", 3
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=dB|%|epoch|seed)")
# A table with more rows may go on on the next page, between two of its rows.
_ROWS_KEPT_TOGETHER = 8

_FLUSH: list[tuple[Any, ...]] = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 0),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]


def flowables(blocks: Iterable[Block]) -> list[Flowable]:
    """Lay blocks out for the width of a page."""
    found: list[Flowable] = []
    for block in blocks:
        found += _flowables(block)
    return found


def _flowables(block: Block) -> list[Flowable]:
    match block:
        case Text():
            return [_text(block)]
        case Table():
            return _table(block)
        case Figure():
            share = drawn_share(block.png) if block.width == "full" else 1.0
            return [KeepTogether(_figure(block, CONTENT_WIDTH * 0.9 * share))]
        case Figures():
            return _figures(block)
        case Tiles():
            return _tiles(block)
        case Facts():
            return _facts(block)
        case Commands():
            return _commands(block)


def _text(block: Text) -> Flowable:
    paragraph = Paragraph(_marked_up(block.text), STYLES[block.kind])
    if block.kind == "finding":
        return _framed(paragraph, [("LINEBEFORE", (0, 0), (0, -1), 1.5, ACCENT)], 6)
    if block.kind == "warning":
        return _framed(paragraph, [("BOX", (0, 0), (-1, -1), 1.2, INK)], 5)
    if block.kind == "missing":
        return _framed(paragraph, [("BOX", (0, 0), (-1, -1), 0.5, MUTED, "butt", (2, 2))], 4)
    return paragraph


def _framed(paragraph: Paragraph, lines: list[tuple[Any, ...]], padding: float) -> Flowable:
    style = [*_FLUSH, ("LEFTPADDING", (0, 0), (-1, -1), padding), *lines]
    if padding != 6:
        style += [
            (f"{side}PADDING", (0, 0), (-1, -1), padding) for side in ("TOP", "BOTTOM", "RIGHT")
        ]
    return PdfTable(
        [[paragraph]], colWidths=[CONTENT_WIDTH], style=style, spaceBefore=4, spaceAfter=6
    )


def _table(block: Table) -> list[Flowable]:
    first = _label_width(block) if block.stacks else CONTENT_WIDTH * 0.13
    rest = min((CONTENT_WIDTH - first) / max(len(block.columns), 1), _WIDEST_COLUMN)
    heads = [Paragraph(escape(block.corner), STYLES["corner"])]
    heads += [Paragraph(escape(column), STYLES["column"]) for column in block.columns]
    style: list[tuple[Any, ...]] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), _PADDING),
        ("RIGHTPADDING", (0, 0), (-1, -1), _PADDING),
        ("TOPPADDING", (0, 0), (-1, -1), 2.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ("LINEBELOW", (0, 0), (-1, 0), 0.9, INK),
        ("LINEBELOW", (0, 1), (-1, -1), 0.4, FAINT),
    ]
    for number, row in enumerate(block.rows, start=1):
        for column, cell in enumerate(row.cells, start=1):
            place = (column, number), (column, number)
            if cell.verdict == "better":
                style.append(("BACKGROUND", *place, BETTER))
            if cell.winner == "all":
                style.append(("BOX", *place, 1.2, INK))
    content = [heads, *([_label(row), *map(_cell, row.cells)] for row in block.rows)]
    table = PdfTable(
        content,
        colWidths=[first, *[rest] * len(block.columns)],
        repeatRows=1,
        splitInRow=0,
        hAlign="LEFT",
        style=style,
    )
    caption = Paragraph(escape(block.caption), STYLES["caption"])
    notes = [Paragraph(_marked_up(note), STYLES["note"]) for note in block.notes]
    whole: list[Flowable] = [caption, table, *notes, Spacer(0, 6)]
    return [KeepTogether(whole)] if len(block.rows) <= _ROWS_KEPT_TOGETHER else whole


def _label_width(block: Table) -> float:
    """What the labels need, so that the figures get the rest; at most half of the page."""
    needed = 0.0
    for row in block.rows:
        style = _label_style(row)
        lines = [(row.label, style.fontName, style.fontSize)]
        lines += [(line, "Sans", _SMALL) for line in row.below]
        needed = max(needed, *(stringWidth(*line) for line in lines))
    return float(min(needed + 2 * _PADDING + 1, CONTENT_WIDTH * 0.48))


def _label(row: Row) -> Paragraph:
    return Paragraph(escape(row.label) + _small(row.below), _label_style(row))


def _label_style(row: Row) -> ParagraphStyle:
    return STYLES["label" if len(row.label) <= _LONG_LABEL else "long label"]


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
    if cell.mark:
        colour = f' color="{WORSE}"' if cell.verdict == "worse" else ""
        text += f" <font{colour}>{cell.mark}</font>"
    return Paragraph(text + _small(cell.below), STYLES["cell"])


def _small(lines: Sequence[str]) -> str:
    font = f'<font name="Sans" size="{_SMALL}" color="{_GRAY}">'
    return "".join(f"<br/>{font}{escape(line)}</font>" for line in lines)


def _figures(block: Figures) -> list[Flowable]:
    """Two beside each other, in lines that are not broken."""
    width = (CONTENT_WIDTH - _GAP) / 2
    lines: list[Flowable] = []
    for start in range(0, len(block.figures), 2):
        pair = block.figures[start : start + 2]
        cells: list[Any] = [_figure(figure, width) for figure in pair] + [[]] * (2 - len(pair))
        lines.append(
            PdfTable(
                [[cells[0], "", cells[1]]],
                colWidths=[width, _GAP, width],
                style=_FLUSH,
                spaceBefore=4,
                spaceAfter=6,
            )
        )
    return lines


def _figure(figure: Figure, width: float) -> list[Flowable]:
    return [_picture(figure.png, width), Paragraph(escape(figure.caption), STYLES["figure"])]


def _tiles(block: Tiles) -> list[Flowable]:
    """A sheet of tiles; where its rows are short, two halves of it beside each other."""
    count, halves = len(block.columns), 1
    if len(block.rows) > 1 and count <= _MOST_COLUMNS_OF_HALVES:
        halves = 2
    size = min(_TILE, (CONTENT_WIDTH - (halves - 1) * _GAP) / halves / count)
    rows_each = -(-len(block.rows) // halves)
    sheets = [
        _picture(tile_sheet(block.columns, block.rows[start : start + rows_each]), size * count)
        for start in range(0, len(block.rows), rows_each)
    ]
    widths = [size * count + _GAP] * len(sheets)
    table = PdfTable([sheets], colWidths=widths, style=_FLUSH, hAlign="LEFT", spaceAfter=5)
    return [KeepTogether([Paragraph(escape(block.caption), STYLES["caption"]), table])]


def _picture(content: bytes, width: float) -> Image:
    with Pillow.open(io.BytesIO(content)) as picture:
        height = width * picture.height / picture.width
    drawn = Image(io.BytesIO(content), width, height)
    drawn.hAlign = "LEFT"
    return drawn


def _facts(block: Facts) -> list[Flowable]:
    rows = [
        [Paragraph(escape(name), STYLES["term"]), Paragraph(escape(value), STYLES["fact"])]
        for name, value in block.facts
    ]
    style = [*_FLUSH, ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5)]
    table = PdfTable(rows, colWidths=[32 * mm, CONTENT_WIDTH - 32 * mm], style=style)
    if not block.caption:
        return [table, Spacer(0, 6)]
    caption = Paragraph(escape(block.caption), STYLES["caption"])
    return [KeepTogether([caption, table, Spacer(0, 6)])]


def _commands(block: Commands) -> list[Flowable]:
    lines = [[Paragraph(escape(f"$ {line}"), STYLES["command"])] for line in block.lines]
    style = [
        ("BACKGROUND", (0, 0), (-1, -1), WASH),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
    whole: list[Flowable] = [
        Paragraph(_marked_up(block.caption), STYLES["note"]),
        PdfTable(lines, colWidths=[CONTENT_WIDTH], style=style),
    ]
    return [KeepTogether(whole)] if len(lines) <= _ROWS_KEPT_TOGETHER else whole


def _marked_up(text: str) -> str:
    """Set what stands between backquotes as code, and keep numbers and their units in one line."""
    parts = escape(text).split("`")
    return "".join(
        f'<font name="Mono">{part}</font>' if number % 2 else _BEFORE_UNIT.sub("\u00a0", part)
        for number, part in enumerate(parts)
    )
