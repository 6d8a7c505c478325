"""A closer look at the best models: their best and worst pictures, where they err, on what."""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuning.display.formatting import format_count, format_value, head_title, with_unit
from tuning.display.plots import category_chart
from tuning.display.result_tables import beats
from tuning.report._aggregate import Place
from tuning.report._document import Block, Figure, Figures, Text, TileRow, Tiles
from tuning.report._loss_curves import LOSS_FIGURES, draw_loss
from tuning.report._results import Results
from tuning.report._sample_sheets import Showcase
from tuning.report._samples import LEFT_OUT, NO_PICTURES
from tuning.training.metrics import psnr

Score = tuple[str, float, float]


def closer_blocks(
    results: Results, showcases: Sequence[Showcase], photographs: bool
) -> list[Block]:
    """What the store tells of the pictures of a part's best model."""
    place = results.best
    by_run = {one.cell.run_id: one for one in showcases}
    runs = [cell.run_id for cell in place.cells] if place else []
    showcase = next((by_run[run] for run in runs if run in by_run), None)
    if place is None or showcase is None:
        what = "test pictures and scores"
        return [
            Text(NO_PICTURES.format(what=what, where=f"{results.where}, {results.task}"), "missing")
        ]
    subject = f"{place.name} on {results.where}"
    drawn = [
        *_losses(results, place, showcase, subject),
        *_error_map(results, showcase, subject),
        *_categories(results, showcase, subject),
    ]
    blocks: list[Block] = [*_about_categories(results, showcase)]
    if drawn:
        blocks.append(Figures(tuple(drawn)))
    for sheet, title in (("best", "Best"), ("worst", "Worst")):
        count = len(showcase.rows(sheet))
        caption = f"{title} {format_count(count, 'test picture')} of {subject}"
        if showcase.photographs and not photographs:
            blocks.append(Text(f"{caption}. {LEFT_OUT}", "note"))
        else:
            blocks.append(_extremes(results, showcase, sheet, caption))
    return blocks


def by_category(showcase: Showcase, task: str) -> list[Score]:
    """Each category's score and the constant predictor's, the best first; empty without any.

    A category's MSE is the mean over its pictures; a colorizer's score is the PSNR of that.
    """
    own, constant = defaultdict(list), defaultdict(list)
    for picture in showcase.pictures:
        if picture["category"] is not None:
            own[str(picture["category"])].append(float(picture["mse"]))
            constant[str(picture["category"])].append(float(picture["constant_mse"]))
    figure = psnr if task == "colorizer" else float
    scores = [
        (
            f"{name} ({len(values)})",
            figure(statistics.fmean(values)),
            figure(statistics.fmean(constant[name])),
        )
        for name, values in own.items()
    ]
    return sorted(scores, key=lambda score: score[1], reverse=task == "colorizer")


def _losses(results: Results, place: Place, showcase: Showcase, subject: str) -> list[Figure]:
    """How its training went, if none of the report's figures shows that of such a model."""
    shown = {(one.role, one.task, one.model, one.head) for one in LOSS_FIGURES}
    is_shown = (results.role, results.task, place.model, place.head) in shown
    if is_shown or not showcase.archive.history(showcase.cell.run_id, "train_loss"):
        return []
    title = f"{place.model} {head_title(place.head)}"
    return [
        Figure(
            f"loss-{results.role}-{results.task}",
            f"Training loss of {subject}.",
            draw_loss(showcase.cell, title, showcase.archive),
            f"Loss curve of {place.name}",
            width="half",
        )
    ]


def _error_map(results: Results, showcase: Showcase, subject: str) -> list[Figure]:
    content = showcase.error_map
    if content is None:
        return []
    count = format_count(len(showcase.pictures), "test picture")
    return [
        Figure(
            f"error-map-{results.role}",
            f"Where {subject} errs: mean over {count}, dark is wrong.",
            content,
            "Mean absolute error of each pixel, in a and b",
            width="half",
        )
    ]


def _categories(results: Results, showcase: Showcase, subject: str) -> list[Figure]:
    scores = by_category(showcase, results.task)
    if not scores:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "categories.png"
        category_chart(scores, results.metric, path)
        content = path.read_bytes()
    return [
        Figure(
            f"categories-{results.role}-{results.task}",
            f"{subject} by category, the number of test pictures in brackets.",
            content,
            "Score of each category beside the constant predictor's",
            width="half",
        )
    ]


def _about_categories(results: Results, showcase: Showcase) -> list[Text]:
    scores = by_category(showcase, results.task)
    if len(scores) < 2:
        return []
    (best, high, _), (worst, low, _) = scores[0], scores[-1]
    metric = results.metric
    ahead = sum(beats(metric, own, constant) for _, own, constant in scores)
    return [
        Text(
            f"The easiest category is {best} with {with_unit(metric, high)}, the hardest {worst} "
            f"with {with_unit(metric, low)}; the constant predictor is beaten in {ahead} of "
            f"{len(scores)} categories.",
            "finding",
        )
    ]


def _extremes(results: Results, showcase: Showcase, sheet: str, caption: str) -> Block:
    tiles = showcase.tiles(sheet)
    if not tiles:
        return Text(f"{caption}: the store's sheet of pictures cannot be read.", "missing")
    rows = [
        TileRow(f"{rank}. {showcase.name(row)}: {_score(results.task, showcase, row)}", pictures)
        for rank, (row, pictures) in enumerate(
            zip(showcase.rows(sheet), zip(*tiles.values(), strict=True), strict=True), start=1
        )
    ]
    name = f"{sheet}-{results.role}-{results.task}"
    return Tiles(name, f"{caption}{_scale_of_errors(showcase, tiles)}.", tuple(tiles), tuple(rows))


def _scale_of_errors(showcase: Showcase, tiles: Mapping[str, object]) -> str:
    """How far off the darkest of a sheet's error tiles are; empty if it has none."""
    if "error" not in tiles:
        return ""
    return f"; darkest: off by {showcase.error_scale:g} Lab units or more in the a, b plane"


def _score(task: str, showcase: Showcase, row: int) -> str:
    mse = float(showcase.pictures[row]["mse"])
    if task == "colorizer":
        return f"PSNR {with_unit('test_psnr', psnr(mse))}"
    return f"MSE {format_value('test_mse', mse)}"
