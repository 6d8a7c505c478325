"""The report as Markdown, for a README or a pull request; its pictures are files beside it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from tuning.display.pictures import jpeg, picture_grid
from tuning.report._document import (
    Block,
    Cell,
    Commands,
    Facts,
    Figure,
    Figures,
    Report,
    Table,
    Text,
    Tiles,
)
from tuning.report._marks import mark, star

FIGURES = "figures"


def render_markdown(report: Report, *, pictures: bool = True) -> str:
    """Write the whole report as Markdown; without `pictures`, only their captions."""
    lines = [f"# {_plain(report.title)}", _plain(report.subtitle)]
    lines += [_block(block, pictures) for block in report.lead]
    lines.append("\n".join(f"- {_plain(line)}" for line in report.legend))
    for section in report.sections:
        number = f"{section.number}. " if section.number else ""
        lines.append(f"## {number}{_plain(section.title)}")
        lines += [_block(block, pictures) for block in section.blocks]
    return "\n\n".join(line.rstrip() for line in lines if line) + "\n"


def figure_files(report: Report) -> dict[str, bytes]:
    """The pictures that the Markdown refers to, by file name."""
    blocks = [*report.lead, *(block for section in report.sections for block in section.blocks)]
    files: dict[str, bytes] = {}
    for block in blocks:
        for figure in _figures(block):
            files[f"{figure.name}.png"] = figure.png
        if isinstance(block, Tiles):
            files[f"{block.name}.jpg"] = _sheet(block)
    return files


def _block(block: Block, pictures: bool) -> str:
    match block:
        case Text():
            return _text(block)
        case Table():
            return _table(block)
        case Figure() | Figures():
            return "\n\n".join(_figure(figure, pictures) for figure in _figures(block))
        case Tiles():
            shown = (
                f"![{_plain(block.caption)}]({FIGURES}/{block.name}.jpg)\n\n" if pictures else ""
            )
            across, down = ", ".join(block.columns), "; ".join(row.caption for row in block.rows)
            return (
                f"{shown}*{_plain(block.caption)} Across: {_plain(across)}. Down: {_plain(down)}.*"
            )
        case Facts():
            heading = f"**{_plain(block.caption)}**\n\n" if block.caption else ""
            return heading + "\n".join(f"- {_plain(k)}: {_plain(v)}" for k, v in block.facts)
        case Commands():
            commands = "\n".join(f"$ {line}" for line in block.lines)
            return f"{block.caption}\n\n```console\n{commands}\n```"


def _text(block: Text) -> str:
    text = _plain(block.text, code=True)
    if block.kind == "warning":
        return f"> **{text}**"
    return f"*{text}*" if block.kind in ("note", "missing") else text


def _table(block: Table) -> str:
    heads = [block.corner, *block.columns]
    lines = [f"**{_plain(block.caption)}**", ""]
    lines.append(f"| {' | '.join(map(_plain, heads))} |")
    lines.append("|---" + "|---:" * len(block.columns) + "|")
    for row in block.rows:
        label = "<br>".join([f"**{_plain(row.label)}**", *map(_plain, row.below)])
        lines.append(f"| {' | '.join([label, *map(_cell, row.cells)])} |")
    lines += ["", *(_plain(note) for note in block.notes)]
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    text = _plain(f"{star(cell)}{cell.text}")
    if cell.href:
        text = f"[{text}]({cell.href})"
    if text and (cell.verdict == "better" or cell.winner):
        text = f"**{text}**"
    elif text and cell.missing:
        text = f"*{text}*"
    return "<br>".join([f"{text} {mark(cell)}".strip(), *map(_plain, cell.below)])


def _figure(figure: Figure, pictures: bool) -> str:
    caption = f"*{_plain(figure.caption)}*"
    if not pictures:
        return caption
    return f"![{_plain(figure.alt)}]({FIGURES}/{figure.name}.png)\n\n{caption}"


def _figures(block: Block) -> Iterator[Figure]:
    if isinstance(block, Figures):
        yield from block.figures
    elif isinstance(block, Figure):
        yield block


def _sheet(block: Tiles) -> bytes:
    """Put a block's tiles on one page: a row of the block is a row of the page."""
    rows = [
        [np.asarray(Image.open(io.BytesIO(tile)).convert("RGB")) for tile in row.tiles]
        for row in block.rows
    ]
    return jpeg(picture_grid(rows))


def _plain(text: str, *, code: bool = False) -> str:
    """Keep Markdown from reading signs into a text; backquotes stay where they mean code."""
    special = "\\*_[]<>|" if code else "\\`*_[]<>|"
    parts: Iterable[str] = text.split("`") if code else [text]
    escaped = [
        part if number % 2 else "".join(f"\\{sign}" if sign in special else sign for sign in part)
        for number, part in enumerate(parts)
    ]
    return "`".join(escaped)
