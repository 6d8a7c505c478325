"""A closer look at the best models: their best and worst pictures, where they err, on what."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from tuning.display.formatting import format_count, format_value, head_title, with_unit
from tuning.display.plots import category_chart
from tuning.display.result_tables import beats
from tuning.report._document import Block, Figure, Figures, Text
from tuning.report._images import drawn
from tuning.report._loss_curves import LOSS_FIGURES, draw_loss
from tuning.report._places import Place
from tuning.report._results import Results
from tuning.report._showcases import Showcase, left_out, no_pictures
from tuning.training.metrics import psnr

Score = tuple[str, float, float]


def closer_blocks(
    results: Results, showcases: Sequence[Showcase], photographs: bool
) -> list[Block]:
    """What the store holds of the pictures of a part's best model."""
    place = results.best
    runs = [cell.run_id for cell in place.cells] if place else []
    showcase = next((found for found in showcases if found.cell.run_id in runs), None)
    if place is None or showcase is None:
        return [no_pictures("test pictures and scores", f"{results.where}, {results.task}")]
    subject = f"{place.name} on {results.where}"
    scores = by_category(showcase, results.task)
    figures = [
        *_losses(results, place, showcase, subject),
        *_error_map(results, showcase, subject),
        *_categories(results, scores, subject),
    ]
    blocks: list[Block] = [*_about_categories(results.metric, scores)]
    if figures:
        blocks.append(Figures(tuple(figures)))
    for sheet in ("best", "worst"):
        rows = showcase.rows(sheet)
        caption = f"{sheet.capitalize()} {format_count(len(rows), 'test picture')} of {subject}"
        if showcase.photographs and not photographs:
            blocks.append(left_out(caption))
            continue
        if results.task == "colorizer":
            scale = f"{showcase.error_scale:g} Lab units or more in the a, b plane"
            caption += f"; darkest: off by {scale}"
        captions = [
            f"{rank}. {showcase.name(row)}: {_score(results.task, showcase, row)}"
            for rank, row in enumerate(rows, start=1)
        ]
        name = f"{sheet}-{results.role}-{results.task}"
        blocks.append(showcase.block(sheet, name, caption, captions))
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
    """How its training went, if none of the published figures shows that of such a model."""
    shown = {(figure.role, figure.task, figure.model, figure.head) for figure in LOSS_FIGURES}
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
    caption = f"Where {subject} errs: mean over {count}, dark is wrong."
    alt = "Mean absolute error of each pixel, in a and b"
    return [Figure(f"error-map-{results.role}", caption, content, alt, width="half")]


def _categories(results: Results, scores: Sequence[Score], subject: str) -> list[Figure]:
    if not scores:
        return []
    name = f"categories-{results.role}-{results.task}"
    caption = f"{subject} by category, the number of test pictures in brackets."
    content = drawn(lambda path: category_chart(scores, results.metric, path))
    alt = "Score of each category beside the constant predictor's"
    return [Figure(name, caption, content, alt, width="half")]


def _about_categories(metric: str, scores: Sequence[Score]) -> list[Text]:
    if len(scores) < 2:
        return []
    (best, high, _), (worst, low, _) = scores[0], scores[-1]
    ahead = sum(beats(metric, own, constant) for _, own, constant in scores)
    return [
        Text(
            f"The easiest category is {best} with {with_unit(metric, high)}, the hardest {worst} "
            f"with {with_unit(metric, low)}; the constant predictor is beaten in {ahead} of "
            f"{len(scores)} categories.",
            "finding",
        )
    ]


def _score(task: str, showcase: Showcase, row: int) -> str:
    mse = float(showcase.pictures[row]["mse"])
    if task == "colorizer":
        return f"PSNR {with_unit('test_psnr', psnr(mse))}"
    return f"MSE {format_value('test_mse', mse)}"
