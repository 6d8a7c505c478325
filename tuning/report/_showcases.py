"""What the store holds of a measured model's test pictures, read and checked."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from tuning.display.pictures import cut_grid, jpeg
from tuning.inference.samples import FORMAT, SCORES
from tuning.report._document import Block, Text, TileRow, Tiles
from tuning.tracking.stored_runs import Archive, StoredCell

FOLDER = "test"


@dataclasses.dataclass(frozen=True)
class Showcase:
    """The scores of one measured model, and its sheets on demand unless they are `hidden`."""

    cell: StoredCell
    document: Mapping[str, Any]
    archive: Archive
    hidden: bool = False

    @property
    def pictures(self) -> Sequence[Mapping[str, Any]]:
        """Name, category and scores of every test picture, in the order of its rows."""
        pictures: Sequence[Mapping[str, Any]] = self.document["pictures"]
        return pictures

    @property
    def error_map(self) -> bytes | None:
        """The map of mean errors as PNG; None if there is none."""
        return whole_picture(self.archive.file(self.cell.run_id, f"{FOLDER}/error_map.png"))

    def name(self, row: int) -> str:
        """What a test picture is called in a caption: its category, else its number."""
        category = self.pictures[row]["category"]
        return f"{category}, picture {row}" if category else f"test picture {row}"

    def rows(self, sheet: str) -> list[int]:
        """Numbers of the pictures in a sheet; empty if there is no such sheet."""
        found = self.document["sheets"].get(sheet)
        return [int(row) for row in found["rows"]] if found else []

    def tiles(self, sheet: str) -> dict[str, list[bytes]]:
        """A sheet's tiles as JPEG by column title, equal titles numbered; empty if it is gone."""
        found = self.document["sheets"].get(sheet)
        content = self.archive.file(self.cell.run_id, f"{FOLDER}/{sheet}.png")
        if not found or content is None:
            return {}
        try:
            with Image.open(io.BytesIO(content)) as image:
                page = np.asarray(image.convert("RGB"))
            cut = cut_grid(page, len(found["rows"]), len(found["columns"]))
        except (ValueError, OSError):
            return {}
        titles: list[str] = []
        for title in found["columns"]:
            again = sum(known.partition(" #")[0] == title for known in titles)
            titles.append(f"{title} #{again + 1}" if again else str(title))
        return {title: [jpeg(row[column]) for row in cut] for column, title in enumerate(titles)}

    def block(
        self,
        name: str,
        caption: str,
        columns: Mapping[str, Sequence[bytes]],
        captions: Sequence[str],
    ) -> Block:
        """Tiles by column, one caption a row; a sentence if they are hidden or cannot be read."""
        if self.hidden:
            text = f"{caption}. Its photographs are left out of this copy of the report."
            return Text(text, "note")
        if not columns:
            return Text(f"{caption}: the store's sheet of pictures cannot be read.", "missing")
        rows = zip(captions, zip(*columns.values(), strict=True), strict=True)
        return Tiles(name, f"{caption}.", tuple(columns), tuple(TileRow(*row) for row in rows))


def read_showcases(
    cells: Iterable[StoredCell], archive: Archive, *, photographs: bool = True
) -> list[Showcase]:
    """Read those of all measured cells that have one, the oldest first."""
    found = []
    for cell in sorted(cells, key=lambda cell: cell.started):
        if not any(metric.startswith("test_") for metric in cell.metrics):
            continue
        content = archive.file(cell.run_id, f"{FOLDER}/{SCORES}")
        document = _checked(content) if content else None
        if document is not None:
            hidden = bool(document["photographs"]) and not photographs
            found.append(Showcase(cell, document, archive, hidden))
    return found


def whole_picture(content: bytes | None) -> bytes | None:
    """Return the content of a picture file if it can be drawn, else None."""
    if content is None:
        return None
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    return content


def no_pictures(what: str, where: str) -> Text:
    text = (
        f"The store holds no {what} of {where}: `chromatune promote` and the single trainings put "
        f"them there when they measure a model on the test set."
    )
    return Text(text, "missing")


def _checked(content: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(content)
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None
