"""Figures 6 to 8, 13 and 14: colorized pictures, Sigmoid beside Tanh."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.display.formatting import head_title
from tuning.report._aggregate import Place
from tuning.report._document import Block, Text, TileRow, Tiles
from tuning.report._results import Results
from tuning.report._sample_sheets import Showcase

LEFT_OUT = "Its photographs are left out of this copy of the report."
NO_PICTURES = (
    "The store holds no {what} of {where}: `chromatune promote` and the single trainings put them "
    "there when they measure a model on the test set."
)
_HEADS = ("sigmoid", "tanh")
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
            where = results.where
            blocks.append(
                Text(f"{figure}. {NO_PICTURES.format(what='samples', where=where)}", "missing")
            )
        elif not photographs and any(one.photographs for one in shown.values()):
            blocks.append(Text(f"{figure}. {LEFT_OUT}", "note"))
        else:
            blocks.append(_sheet(results.role, sheet, figure, shown))
    return blocks


def _models(results: Results, showcases: Sequence[Showcase]) -> dict[str, Showcase]:
    """What is shown beside each other: the published heads, and the best model if it is another."""
    by_run = {one.cell.run_id: one for one in showcases}

    def of(place: Place | None) -> Showcase | None:
        cells = place.cells if place else ()
        return next((by_run[cell.run_id] for cell in cells if cell.run_id in by_run), None)

    found = {head_title(row.head): of(results.place_of(row)) for row in results.published}
    shown = {title: one for title, one in found.items() if one is not None}
    best = of(results.best)
    if best is not None and best not in shown.values():
        shown[f"{best.cell.model} {head_title(best.cell.head)}, best"] = best
    return shown


def _sheet(role: str, sheet: str, figure: str, shown: dict[str, Showcase]) -> Block:
    first = next(iter(shown.values()))
    rows = first.rows(sheet)
    alike = {title: one for title, one in shown.items() if one.rows(sheet) == rows}
    tiles = {title: one.tiles(sheet) for title, one in alike.items()}
    drawn = {title: one["predicted"] for title, one in tiles.items() if "predicted" in one}
    frame = next((one for one in tiles.values() if "true" in one), None)
    if not drawn or frame is None:
        return Text(f"{figure}: the store's sheet of pictures cannot be read.", "missing")
    names = [f"train picture {row}" for row in rows]
    if sheet == "samples":
        names = [first.name(row) for row in rows]
    return Tiles(
        f"{sheet}-{role}",
        f"{figure}: grayscale, ours ({', '.join(drawn)}), truth.",
        ("grayscale", *drawn, "truth"),
        tuple(
            TileRow(name, (gray, *(one[number] for one in drawn.values()), truth))
            for number, (name, gray, truth) in enumerate(
                zip(names, frame["grayscale"], frame["true"], strict=True)
            )
        ),
    )
