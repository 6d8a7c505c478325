"""Section II: where the pictures come from and how they are prepared."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.report._document import Block, Facts, TileRow, Tiles
from tuning.report._selection import Data
from tuning.report._showcases import Showcase, no_pictures


def pipeline_blocks(data: Data, showcases: Sequence[Showcase]) -> list[Block]:
    """How a dataset was prepared, from its launches' documents, with examples."""
    blocks: list[Block] = [Facts(tuple(_facts(data)), data.name)]
    showcase = next((found for found in reversed(showcases) if found.rows("copies")), None)
    if showcase is None:
        return [*blocks, no_pictures("examples of the preparation", data.name)]
    if showcase.hidden:
        return [*blocks, showcase.block("", f"Examples of {data.name}", {}, ())]
    if planes := showcase.tiles("planes"):
        caption = (
            f"A picture of {data.name} and its planes: L is what a model sees, a and b (drawn in "
            f"their colours) are what it predicts"
        )
        names = [f"train picture {row}" for row in showcase.rows("planes")]
        blocks.append(showcase.block(f"planes-{data.role}", caption, planes, names))
    return [*blocks, *_copies(data, showcase)]


def _facts(data: Data) -> list[tuple[str, str]]:
    facts = {"digest": data.short_digest}
    manifest = data.manifest
    if "settings" in manifest:
        settings, counts, source = (manifest[key] for key in ("settings", "counts", "source"))
        split = " / ".join(f"{counts[side]} {side}" for side in ("train", "val", "test"))
        copies = settings["augment"]
        drawn = source["kind"] == "synthetic"
        facts |= {
            "pictures": "drawn by the program" if drawn else source["kind"],
            "split": f"{split}, {settings['split']}, seed {settings['seed']}",
            "size": f"{settings['size']} x {settings['size']} px, 8-bit Lab",
            "augmentation": f"{copies} copies of a training picture" if copies > 1 else "none",
        }
    return list(facts.items())


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
    rows = [
        TileRow(f"{titles[0]} ({len(titles)} times)" if len(titles) > 1 else titles[0], pictures)
        for pictures, titles in alike.items()
    ]
    return [Tiles(f"copies-{data.role}", caption, columns, tuple(rows))]
