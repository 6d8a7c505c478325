"""Section II: where the pictures come from and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuning.report._document import Block, Facts, Text, TileRow, Tiles
from tuning.report._sample_sheets import Showcase
from tuning.report._samples import LEFT_OUT, NO_PICTURES
from tuning.report._selection import SHORT_DIGEST, Data


def pipeline_blocks(data: Data, showcases: Sequence[Showcase], photographs: bool) -> list[Block]:
    """What the launches tell of a dataset's preparation, with examples of it."""
    blocks: list[Block] = [Facts(tuple(_facts(data)), f"{data.name}")]
    showcase = next((one for one in reversed(showcases) if one.rows("copies")), None)
    if showcase is None:
        where = data.name
        blocks.append(
            Text(NO_PICTURES.format(what="examples of the preparation", where=where), "missing")
        )
    elif showcase.photographs and not photographs:
        blocks.append(Text(f"Examples of {data.name}. {LEFT_OUT}", "note"))
    else:
        blocks += [*_planes(data, showcase), *_copies(data, showcase)]
    return blocks


def _facts(data: Data) -> list[tuple[str, str]]:
    manifest: Mapping[str, Any] = next(
        (m for one in reversed(data.launches) if (m := one.document.get("dataset_manifest"))), {}
    )
    settings, counts = manifest.get("settings") or {}, manifest.get("counts") or {}
    kind = (manifest.get("source") or {}).get("kind")
    facts = [("digest", data.digest[:SHORT_DIGEST])]
    if kind:
        facts.insert(0, ("pictures", "drawn by the program" if kind == "synthetic" else str(kind)))
    if counts:
        split = " / ".join(f"{counts.get(side, '?')} {side}" for side in ("train", "val", "test"))
        facts.append(
            ("split", f"{split}, {settings.get('split', '?')}, seed {settings.get('seed', '?')}")
        )
    if settings:
        side = settings.get("size", "?")
        facts.append(("size", f"{side} x {side} px, 8-bit Lab"))
        copies = int(settings.get("augment", 1))
        facts.append(
            ("augmentation", f"{copies} copies of a training picture" if copies > 1 else "none")
        )
    return facts


def _planes(data: Data, showcase: Showcase) -> list[Block]:
    tiles = showcase.tiles("planes")
    if not tiles:
        return []
    rows = [
        TileRow(f"train picture {row}", pictures)
        for row, pictures in zip(
            showcase.rows("planes"), zip(*tiles.values(), strict=True), strict=True
        )
    ]
    caption = (
        f"A picture of {data.name} and its planes: L is what a model sees, a and b (drawn in their "
        f"colours) are what it predicts."
    )
    return [Tiles(f"planes-{data.role}", caption, tuple(tiles), tuple(rows))]


def _copies(data: Data, showcase: Showcase) -> list[Block]:
    tiles = showcase.tiles("copies")
    if not tiles:
        return []
    used = int(showcase.document["sheets"]["copies"].get("augment", 1))
    caption = f"The copies of a training picture that {data.name} is expanded by."
    if used < len(tiles):
        caption = (
            f"What the tenfold augmentation makes of a training picture; {data.name} was prepared "
            f"with {used if used > 1 else 'none'} of these."
        )
    columns = tuple(f"picture {row}" for row in showcase.rows("copies"))
    alike: dict[tuple[bytes, ...], list[str]] = {}
    for title, pictures in tiles.items():
        alike.setdefault(tuple(pictures), []).append(title)
    rows = [TileRow(_times(titles), pictures) for pictures, titles in alike.items()]
    return [Tiles(f"copies-{data.role}", caption, columns, tuple(rows))]


def _times(titles: Sequence[str]) -> str:
    """Name a copy that is there several times."""
    return f"{titles[0]} ({len(titles)} times)" if len(titles) > 1 else titles[0]
