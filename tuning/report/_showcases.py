"""What the store holds of a measured model's test pictures, read and checked."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tuning.display.pictures import cut_grid, jpeg
from tuning.inference.samples import ERROR_SCALE, FORMAT, SCORES
from tuning.report._document import Block, Text, TileRow, Tiles
from tuning.report._images import whole_picture
from tuning.tracking.records import Archive, StoredCell

FOLDER = "test"
_LEFT_OUT = "{caption}. Its photographs are left out of this copy of the report."
_UNREADABLE = "{caption}: the store's sheet of pictures cannot be read."
_NO_PICTURES = (
    "The store holds no {what} of {where}: `chromatune promote` and the single trainings put them "
    "there when they measure a model on the test set."
)


@dataclasses.dataclass(frozen=True)
class Showcase:
    """The scores of one measured model, and its sheets on demand."""

    cell: StoredCell
    document: Mapping[str, Any]
    archive: Archive

    @property
    def photographs(self) -> bool:
        return bool(self.document["photographs"])

    @property
    def constant(self) -> Mapping[str, float]:
        """The constant predictor's metrics on the test set."""
        constant: Mapping[str, float] = self.document["constant"]
        return constant

    @property
    def pictures(self) -> Sequence[Mapping[str, Any]]:
        """Name, category and scores of every test picture, in the order of its rows."""
        pictures: Sequence[Mapping[str, Any]] = self.document["pictures"]
        return pictures

    @property
    def error_scale(self) -> float:
        """The distance in the a, b plane, in Lab units, from which on an error tile is darkest."""
        return float(self.document.get("error_scale", ERROR_SCALE))

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

    def block(self, sheet: str, name: str, caption: str, captions: Sequence[str]) -> Block:
        """A whole sheet, with a caption for each of its rows; a sentence if it is damaged."""
        tiles = self.tiles(sheet)
        if not tiles:
            return Text(_UNREADABLE.format(caption=caption), "missing")
        rows = zip(captions, zip(*tiles.values(), strict=True), strict=True)
        return Tiles(name, f"{caption}.", tuple(tiles), tuple(TileRow(*row) for row in rows))


def read_showcases(cells: Iterable[StoredCell], archive: Archive) -> list[Showcase]:
    """Read those of all measured cells that have one, the oldest first."""
    found = []
    for cell in cells:
        if not any(metric.startswith("test_") for metric in cell.metrics):
            continue
        content = archive.file(cell.run_id, f"{FOLDER}/{SCORES}")
        document = _checked(content) if content else None
        if document is not None:
            found.append(Showcase(cell, document, archive))
    return sorted(found, key=lambda showcase: showcase.cell.started)


def no_pictures(what: str, where: str) -> Text:
    return Text(_NO_PICTURES.format(what=what, where=where), "missing")


def left_out(caption: str) -> Text:
    """What stands in the place of photographs that the reader may not see."""
    return Text(_LEFT_OUT.format(caption=caption), "note")


def _checked(content: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(content)
    except ValueError:
        return None
    needed = ("photographs", "constant", "pictures", "sheets")
    is_ours = isinstance(document, dict) and document.get("format") == FORMAT
    return document if is_ours and all(key in document for key in needed) else None
