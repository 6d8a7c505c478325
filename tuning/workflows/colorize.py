"""Colorizing files with a registered model, or exporting it: the files, a table, a document."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from tuning.display.formatting import format_value
from tuning.display.steps import step_progress
from tuning.display.table import Table, html, row
from tuning.errors import ChromatuneError
from tuning.inference.export import export_model
from tuning.inference.image_metrics import SCORES
from tuning.inference.inputs import Listing
from tuning.inference.pipeline import Colorized, Failed, colorize_files
from tuning.inference.predict import Colorizer
from tuning.tracking.fetch_weights import load_registered
from tuning.tracking.registry.catalog import ModelCard, list_models
from tuning.tracking.registry.model_choice import (
    Choice,
    champions,
    score_text,
    why_no_champion,
)

Mean = tuple[float, float]

# 8-bit Lab counts a and b from 0 to 255, with 128 for gray.
_LEVELS, _NEUTRAL = 255, 128

_HEADINGS = {"psnr": "PSNR, dB", "ssim": "SSIM", "psnr_rgb": "RGB, dB", "ssim_rgb": "RGB, SSIM"}


@dataclasses.dataclass(repr=False)
class Outcome:
    """What was colorized, and each file that was not, with the reason."""

    colorized: list[Colorized]
    failed: list[tuple[str, str]]
    seconds: float = 0.0
    interrupted: bool = False

    def __repr__(self) -> str:
        return f"<Outcome: {len(self.colorized)} colorized, {len(self.failed)} failed>"

    def _repr_html_(self) -> str:
        notes = tuple(f"{name}: {reason}" for name, reason in self.failed)
        table = colorized_table(self.colorized, regressor=False)
        return html([dataclasses.replace(table, notes=notes)])


def colorize_listing(
    listing: Listing, choice: Choice, colorizer: Colorizer, *, evaluate: bool, console: Console
) -> Outcome:
    """Colorize all files with a progress bar; after Ctrl-C the outcome holds what is written."""
    started = time.monotonic()
    outcome = Outcome([], list(listing.skipped))
    work = colorize_files(
        listing.jobs, colorizer, caption=choice.colorizer.label, evaluate=evaluate
    )
    try:
        with step_progress(console) as progress:
            for done, result in enumerate(work, start=1):
                if isinstance(result, Failed):
                    outcome.failed.append((str(result.job.source), result.reason))
                else:
                    outcome.colorized.append(result)
                progress("colorizing", done, len(listing.jobs))
    except KeyboardInterrupt:
        outcome.interrupted = True
    outcome.seconds = time.monotonic() - started
    return outcome


def describe_models(choice: Choice, colorizer: Colorizer, device: str) -> str:
    """The models in use, with their scores, in one line."""
    line = f"{choice.colorizer.label}{score_text(choice.colorizer)} on {device}"
    if colorizer.has_regressor and choice.regressor is not None:
        line += f"; mean colors by {choice.regressor.label}{score_text(choice.regressor)}"
    return line


def modes(uri: str) -> dict[str, ModelCard]:
    """Datasets with a champion; ChromatuneError if there is none."""
    found = champions(list_models(uri, "colorizer"))
    if not found:
        raise ChromatuneError(why_no_champion(uri))
    return found


def export_card(card: ModelCard, path: Path, uri: str) -> str:
    """Write a registered model to a file; return a line on it."""
    export_model(load_registered(card.uri, uri), path, card.label)
    return f"{card.label}: {path}"


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


def colorized_document(choice: Choice, listing: Listing, outcome: Outcome) -> dict[str, Any]:
    """The same as a JSON-able document, with the models and the other files."""
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
                "notes": list(result.notes),
            }
            for result in outcome.colorized
        ],
        "failed": [{"source": name, "reason": reason} for name, reason in outcome.failed],
        "ignored": dict(listing.ignored),
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
