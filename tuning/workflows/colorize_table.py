"""Results of `chromatune colorize`, as a table and as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuning.display.formatting import format_value
from tuning.display.table import Table, row
from tuning.inference.pipeline import Colorized
from tuning.inference.scores import SCORES
from tuning.tracking.registry.catalog import ModelCard
from tuning.tracking.registry.colorizers import Choice

Mean = tuple[float, float]

# 8-bit Lab counts a and b from 0 to 255, with 128 for gray.
_LEVELS, _NEUTRAL = 255, 128

_HEADINGS = {"psnr": "PSNR, dB", "ssim": "SSIM", "psnr_rgb": "RGB, dB", "ssim_rgb": "RGB, SSIM"}


def colorized_table(results: Sequence[Colorized], *, regressor: bool) -> Table:
    """Tabulate each picture's mean a* and b*, in Lab units and as 0 to 255, and its scores.

    With `regressor` the colorizer's own means are in a second line. Scores, and their means in a
    last row, are shown if any picture was compared with its original.
    """
    compared = [result for result in results if result.scores]
    shown = SCORES if compared else ()
    rows = []
    for result in results:
        rows.append(row(result.job.name, *_mean(result.mean_ab), *_scores(result, shown)))
        if regressor:
            own = _mean(result.own_mean_ab)
            rows.append(row("as painted", *own, *("" for _ in shown), detail=True))
    if len(compared) > 1:
        means = [np.mean([r.scores[s] for r in compared if s in r.scores]) for s in shown]
        values = [format_value(s, float(mean)) for s, mean in zip(shown, means, strict=True)]
        rows.append(row(f"mean of {len(compared)}", "", "", "", "", *values))
    # The terminal breaks headings at commas.
    heads = ("mean, a*", "mean, b*", "0-255, a", "0-255, b", *(_HEADINGS[s] for s in shown))
    return Table("", "image", heads, tuple(rows))


def colorized_document(
    choice: Choice, results: Sequence[Colorized], failed: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """The same as a JSON-able document, with the models and the files that failed."""
    return {
        "colorizer": _model(choice.colorizer),
        "regressor": _model(choice.regressor) if choice.regressor else None,
        "pictures": [
            {
                "source": str(result.job.source),
                "picture": str(result.job.picture),
                "sheet": str(result.job.sheet),
                "width": result.width,
                "height": result.height,
                "mean": mean_document(result.mean_ab),
                "mean_of_colorizer": mean_document(result.own_mean_ab),
                "scores": dict(result.scores),
            }
            for result in results
        ],
        "failed": [{"source": name, "reason": reason} for name, reason in failed],
    }


def mean_document(mean_ab: Mean) -> dict[str, float]:
    """Mean chrominance in Lab units (`a`, `b`) and as the original paper's 0 to 255."""
    a, b = (value * _LEVELS for value in mean_ab)
    return {"a": a - _NEUTRAL, "b": b - _NEUTRAL, "a_255": a, "b_255": b}


def _mean(mean_ab: Mean) -> list[str]:
    mean = mean_document(mean_ab)
    return [f"{mean[key]:.2f}" for key in ("a", "b", "a_255", "b_255")]


def _scores(result: Colorized, shown: Sequence[str]) -> list[str]:
    return [format_value(s, result.scores[s]) if s in result.scores else "–" for s in shown]


def _model(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "version": card.version,
        "uri": card.uri,
        "dataset": card.dataset,
        "scores": dict(card.scores),
    }
