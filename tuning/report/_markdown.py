"""The report as Markdown, for a README or a pull request; its pictures are files beside it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tuning.display.pictures import jpeg, picture_grid
from tuning.display.table import escape_markdown as plain
from tuning.display.table import markdown
from tuning.report._document import Block, Facts, Figure, Report, Text, TileRow, Tiles

FIGURES = "figures"


def render_markdown(report: Report, *, pictures: bool = True) -> str:
    """Write the whole report as Markdown; without `pictures`, only their captions."""
    lines = [f"# {plain(report.title)}", plain(report.subtitle)]
    lines += [_block(block, pictures) for block in report.lead]
    lines.append("\n".join(f"- {plain(line)}" for line in report.legend))
    for section in report.sections:
        lines.append(f"## {plain(section.heading)}")
        lines += [_block(block, pictures) for block in section.blocks]
    return "\n\n".join(line.rstrip() for line in lines if line) + "\n"


def figure_files(report: Report) -> dict[str, bytes]:
    """The pictures that the Markdown refers to, by file name."""
    files: dict[str, bytes] = {}
    for blocks in (report.lead, *(section.blocks for section in report.sections)):
        for block in blocks:
            if isinstance(block, Figure):
                files[f"{block.name}.png"] = block.png
            elif isinstance(block, Tiles):
                files[f"{block.name}.jpg"] = _tile_sheet(block.columns, block.rows)
    return files


def _block(block: Block, pictures: bool) -> str:
    match block:
        case Text():
            return _text(block)
        case Figure():
            picture = f"![{plain(block.alt)}]({FIGURES}/{block.name}.png)\n\n" if pictures else ""
            return f"{picture}*{plain(block.caption)}*"
        case Tiles():
            caption = plain(block.caption)
            picture = f"![{caption}]({FIGURES}/{block.name}.jpg)\n\n" if pictures else ""
            across, down = ", ".join(block.columns), "; ".join(row.caption for row in block.rows)
            return f"{picture}*{caption} Across: {plain(across)}. Down: {plain(down)}.*"
        case Facts():
            heading = f"**{plain(block.caption)}**\n\n" if block.caption else ""
            return heading + "\n".join(f"- {plain(k)}: {plain(v)}" for k, v in block.facts)
        case _:
            return markdown([block])


def _text(block: Text) -> str:
    if block.kind == "commands":
        return f"```console\n{block.text}\n```"
    text = plain(block.text, code=True)
    if block.kind == "warning":
        return f"> **{text}**"
    return f"*{text}*" if block.kind in ("note", "missing") else text


def _tile_sheet(columns: Sequence[str], rows: Sequence[TileRow]) -> bytes:
    """Draw rows of tiles under common titles, each with its caption above, as a JPEG."""
    pictures = []
    for row in rows:
        tiles = [Image.open(io.BytesIO(tile)).convert("RGB") for tile in row.tiles]
        pictures.append([np.asarray(tile) for tile in tiles])
    return jpeg(picture_grid(pictures, columns, [row.caption for row in rows]))
