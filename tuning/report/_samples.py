"""Figures 6 to 8, 13 and 14: colorized pictures, Sigmoid beside Tanh."""

from __future__ import annotations

from tuning.display.formatting import head_title
from tuning.report._document import Block, Text
from tuning.report._places import Place, published_place
from tuning.report._results import Results
from tuning.report._showcases import Showcase, no_pictures

_FIGURES = {
    "faces": {
        "train_samples": "Fig. 6: colorized train samples",
        "samples": "Figs. 7 and 8: colorized test samples",
    },
    "ncd": {
        "samples": "Fig. 13: colorized test samples",
        "train_samples": "Fig. 14: colorized train samples",
    },
}
_OWN_FIGURES = {
    "train_samples": "Colorized train samples",
    "samples": "Colorized test samples",
}


def sample_blocks(results: Results) -> list[Block]:
    """The sheets of a colorizer part: grayscale, each model's picture, the true one."""
    shown = _models(results)
    figures = _FIGURES.get(results.data.role, _OWN_FIGURES)
    if not shown:
        missing = no_pictures("samples", results.data.name).text
        return [Text(f"{figure}. {missing}", "missing") for figure in figures.values()]
    return [
        _sheet(f"{sheet}-{results.data.role}", sheet, figure, shown)
        for sheet, figure in figures.items()
    ]


def _models(results: Results) -> dict[str, Showcase]:
    """What is shown beside each other: the published heads, and the best model if it is another."""
    by_run = {showcase.cell.run_id: showcase for showcase in results.showcases}

    def of(place: Place | None) -> Showcase | None:
        cells = place.cells if place else ()
        return next((by_run[cell.run_id] for cell in cells if cell.run_id in by_run), None)

    found = {
        head_title(row.head): of(published_place(results.places, row)) for row in results.published
    }
    shown = {title: showcase for title, showcase in found.items() if showcase is not None}
    best = of(results.best)
    if best is not None and best not in shown.values():
        shown[f"{best.cell.model} {head_title(best.cell.head)}, best"] = best
    return shown


def _sheet(name: str, sheet: str, figure: str, shown: dict[str, Showcase]) -> Block:
    first = next(iter(shown.values()))
    rows = first.rows(sheet)
    tiles = {title: s.tiles(sheet) for title, s in shown.items() if s.rows(sheet) == rows}
    drawn = {title: found["predicted"] for title, found in tiles.items() if "predicted" in found}
    frame = next((found for found in tiles.values() if "true" in found), None)
    columns = {}
    if drawn and frame is not None:
        columns = {"grayscale": frame["grayscale"], **drawn, "truth": frame["true"]}
        figure += f": grayscale, ours ({', '.join(drawn)}), truth"
    names = [first.name(row) if sheet == "samples" else f"train picture {row}" for row in rows]
    return first.block(name, figure, columns, names)
