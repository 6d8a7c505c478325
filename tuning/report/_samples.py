"""Figures 6 to 8, 13 and 14: colorized pictures, Sigmoid beside Tanh."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.display.formatting import head_title
from tuning.report._document import Block, Text, TileRow, Tiles
from tuning.report._places import Place
from tuning.report._results import Results
from tuning.report._showcases import Showcase, left_out, no_pictures

_FIGURES = {
    ("faces", "train_samples"): "Fig. 6",
    ("faces", "samples"): "Figs. 7 and 8",
    ("ncd", "samples"): "Fig. 13",
    ("ncd", "train_samples"): "Fig. 14",
}
_TITLES = {"samples": "colorized test samples", "train_samples": "colorized train samples"}


def sample_blocks(
    results: Results, sheets: Sequence[str], showcases: Sequence[Showcase], photographs: bool
) -> list[Block]:
    """The sheets of a colorizer part: grayscale, each model's picture, the true one."""
    blocks: list[Block] = []
    shown = _models(results, showcases)
    for sheet in sheets:
        figure = f"{_FIGURES[results.role, sheet]}: {_TITLES[sheet]}"
        if not shown:
            missing = no_pictures("samples", results.where).text
            blocks.append(Text(f"{figure}. {missing}", "missing"))
        elif not photographs and any(showcase.photographs for showcase in shown.values()):
            blocks.append(left_out(figure))
        else:
            blocks.append(_sheet(results.role, sheet, figure, shown))
    return blocks


def _models(results: Results, showcases: Sequence[Showcase]) -> dict[str, Showcase]:
    """What is shown beside each other: the published heads, and the best model if it is another."""
    by_run = {showcase.cell.run_id: showcase for showcase in showcases}

    def of(place: Place | None) -> Showcase | None:
        cells = place.cells if place else ()
        return next((by_run[cell.run_id] for cell in cells if cell.run_id in by_run), None)

    found = {head_title(row.head): of(results.place_of(row)) for row in results.published}
    shown = {title: showcase for title, showcase in found.items() if showcase is not None}
    best = of(results.best)
    if best is not None and best not in shown.values():
        shown[f"{best.cell.model} {head_title(best.cell.head)}, best"] = best
    return shown


def _sheet(role: str, sheet: str, figure: str, shown: dict[str, Showcase]) -> Block:
    first = next(iter(shown.values()))
    rows = first.rows(sheet)
    tiles = {title: s.tiles(sheet) for title, s in shown.items() if s.rows(sheet) == rows}
    drawn = {title: found["predicted"] for title, found in tiles.items() if "predicted" in found}
    frame = next((found for found in tiles.values() if "true" in found), None)
    if not drawn or frame is None:
        return Text(f"{figure}: the store's sheet of pictures cannot be read.", "missing")
    names = [f"train picture {row}" for row in rows]
    if sheet == "samples":
        names = [first.name(row) for row in rows]
    columns = {"grayscale": frame["grayscale"], **drawn, "truth": frame["true"]}
    pictures = zip(names, zip(*columns.values(), strict=True), strict=True)
    return Tiles(
        f"{sheet}-{role}",
        f"{figure}: grayscale, ours ({', '.join(drawn)}), truth.",
        tuple(columns),
        tuple(TileRow(*row) for row in pictures),
    )
