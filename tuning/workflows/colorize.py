"""Colorizing files with a registered model, or exporting it."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tuning.errors import ChromatuneError
from tuning.inference.colorizer import Colorizer
from tuning.inference.export import export_model
from tuning.inference.inputs import Listing
from tuning.inference.pipeline import Colorized, Failed, colorize_files
from tuning.tracking.registry.catalog import ModelCard, list_models
from tuning.tracking.registry.colorizers import (
    Choice,
    champions,
    how_to_make_champions,
    score_text,
)
from tuning.tracking.weights import load_registered


@dataclasses.dataclass
class Outcome:
    """What was colorized, and each file that was not, with the reason."""

    colorized: list[Colorized]
    failed: list[tuple[str, str]]
    seconds: float = 0.0
    interrupted: bool = False


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
        for result in track(
            work,
            "colorizing",
            total=len(listing.jobs),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ):
            if isinstance(result, Failed):
                outcome.failed.append((str(result.job.source), result.reason))
            else:
                outcome.colorized.append(result)
    except KeyboardInterrupt:
        outcome.interrupted = True
    outcome.seconds = time.monotonic() - started
    return outcome


def describe_models(choice: Choice, colorizer: Colorizer, device: str) -> str:
    """The models in use, with their scores, in one line."""
    line = f"{choice.colorizer.label}{score_text(choice.colorizer)} on {device}"
    if colorizer.has_regressor and choice.regressor is not None:
        line += f"; mean colours by {choice.regressor.label}{score_text(choice.regressor)}"
    return line


def modes(uri: str) -> dict[str, ModelCard]:
    """Datasets with a champion; ChromatuneError if there is none."""
    found = champions(list_models(uri, "colorizer"))
    if not found:
        raise ChromatuneError(f"there is no champion yet: {how_to_make_champions()}")
    return found


def export_card(card: ModelCard, path: Path, uri: str) -> str:
    """Write a registered model to a file; return a line on it."""
    export_model(load_registered(card.uri, uri), path, card.label)
    return f"{card.label}: {path}"
