"""A closer look at the best models: their best and worst pictures, where they err, on what."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from tuning.display.comparison_table import beats
from tuning.display.formatting import format_count, format_value, metric_heading, with_unit
from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Figure, Text
from tuning.report._loss_curves import draw_loss
from tuning.report._places import Place
from tuning.report._results import Results
from tuning.report._showcases import Showcase, no_pictures
from tuning.training.metrics import psnr
from tuning.training.tasks import CRITERIA

Score = tuple[str, float, float]


def closer_blocks(results: Results) -> list[Block]:
    """What the store holds of the pictures of a part's best model."""
    if not results.data.launches:
        return []
    place, where, part = results.best, results.data.name, f"{results.data.role}-{results.task}"
    runs = [cell.run_id for cell in place.cells] if place else []
    showcase = next((found for found in results.showcases if found.cell.run_id in runs), None)
    if place is None or showcase is None:
        return [no_pictures("test pictures and scores", f"{where}, {results.task}")]
    subject = f"{place.name} on {where}"
    scores = by_category(showcase, results.task)
    blocks: list[Block] = [*_about_categories(results.metric, scores)]
    if scores:
        blocks.append(_category_table(subject, results.metric, scores))
    blocks += _figures(results, place, showcase)
    for sheet in ("best", "worst"):
        rows = showcase.rows(sheet)
        caption = f"{sheet.capitalize()} {format_count(len(rows), 'test picture')} of {subject}"
        if results.criterion.predicts_planes:
            scale = f"{showcase.document['error_scale']:g} Lab units or more in the a, b plane"
            caption += f"; darkest: off by {scale}"
        captions = [
            f"{rank}. {showcase.name(row)}: {_score(results, showcase.pictures[row]['mse'])}"
            for rank, row in enumerate(rows, start=1)
        ]
        tiles = showcase.tiles(sheet)
        blocks.append(showcase.block(f"{sheet}-{part}", caption, tiles, captions))
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
    criterion = CRITERIA[task]
    score = psnr if criterion.name == "psnr" else float
    means = {
        f"{name} ({len(values)})": (statistics.fmean(values), statistics.fmean(constant[name]))
        for name, values in own.items()
    }
    scores = [(name, score(mse), score(beside)) for name, (mse, beside) in means.items()]
    return sorted(scores, key=lambda score: score[1], reverse=criterion.higher_is_better)


def _figures(results: Results, place: Place, showcase: Showcase) -> list[Figure]:
    """Its training if no published figure shows such a model's, and where it errs."""
    part, subject = f"{results.data.role}-{results.task}", f"{place.name} on {results.data.name}"
    figures = []
    is_shown = any((row.model, row.head) == (place.model, place.head) for row in results.published)
    if not is_shown and showcase.archive.history(showcase.cell.run_id, "train_loss"):
        png = draw_loss(showcase.cell, place.title, showcase.archive)
        caption, alt = f"Training loss of {subject}.", f"Loss curve of {place.name}"
        figures.append(Figure(f"loss-{part}", caption, png, alt, "half"))
    if showcase.error_map is not None:
        count = format_count(len(showcase.pictures), "test picture")
        caption = f"Where {subject} errs: mean over {count}, dark is wrong."
        alt = "Mean absolute error of each pixel, in a and b"
        figures.append(Figure(f"error-map-{part}", caption, showcase.error_map, alt, "half"))
    return figures


def _category_table(subject: str, metric: str, scores: Sequence[Score]) -> Table:
    rows = [
        Row(
            name,
            (
                Cell(format_value(metric, own), fails=not beats(metric, own, constant)),
                Cell(format_value(metric, constant)),
            ),
        )
        for name, own, constant in scores
    ]
    caption = f"{subject} by category, the number of test pictures in brackets"
    columns = (metric_heading(metric), "constant predictor")
    return Table(caption, "category", columns, tuple(rows))


def _about_categories(metric: str, scores: Sequence[Score]) -> list[Text]:
    if len(scores) < 2:
        return []
    (best, high, _), (worst, low, _) = scores[0], scores[-1]
    ahead = sum(beats(metric, own, constant) for _, own, constant in scores)
    text = (
        f"The easiest category is {best} with {with_unit(metric, high)}, the hardest {worst} with "
        f"{with_unit(metric, low)}; the constant predictor is beaten in {ahead} of {len(scores)} "
        f"categories."
    )
    return [Text(text, "finding")]


def _score(results: Results, mse: float) -> str:
    if results.criterion.name == "psnr":
        return f"PSNR {with_unit('test_psnr', psnr(float(mse)))}"
    return f"MSE {format_value('test_mse', float(mse))}"
