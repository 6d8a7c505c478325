"""A trial's configuration for people: in a table, and as a file that trains it alone."""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from tuning.config.schema import TrainConfig, TrainingConfig
from tuning.config.search import MUTABLE
from tuning.display.formatting import format_lr
from tuning.launch.folder import Launch
from tuning.launch.trainings import Training
from tuning.search.summary import TrialSummary


def written(value: Any) -> str:
    """Write a value of a parameter: `2.5e-4`, `0.5`, `unet`."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if value == 0 or 1e-2 <= abs(value) < 1e5 else format_lr(_rounded(value))


def settings_text(values: Mapping[str, Any]) -> str:
    """Write parameters in a line: `model=unet lr=2.5e-3`."""
    return " ".join(f"{name}={written(value)}" for name, value in values.items())


def train_file(launch: Launch, best: TrialSummary, training: Training) -> str:
    """Write the configuration of a training as YAML for `chromatune train -c FILE`.

    Everything that decides its numbers is in it: the very same training comes out, unless PBT
    changed it on the way.
    """
    fit = dataclasses.asdict(training.fit) | {"epochs": training.epochs}
    defaults = {name: field.default for name, field in TrainConfig.model_fields.items()}
    train = {
        name: fit[name]
        for name in TrainConfig.model_fields
        if name in fit and fit[name] != defaults[name]
    }
    content = {
        "train": train,
        "training": {name: fit[name] for name in TrainingConfig.model_fields},
        "data": launch.config.data.model_dump(mode="json"),
    }
    figure = ", ".join(f"{value:.6g}" for value in best.values)
    head = [
        f"# The best of {launch.launch_id}: trial {best.number}, {figure} on val after "
        f"{best.kept_epoch} of {training.epochs} epochs.",
        "#",
        "#   chromatune train -c best.yaml",
    ]
    if launch.document["config"]["search"]["scheduler"] == "pbt":
        head += ["#", *_changes(best, training)]
    return "\n".join(head) + "\n" + yaml.safe_dump(content, sort_keys=False)


def _changes(best: TrialSummary, training: Training) -> list[str]:
    """Say that PBT changed the settings, and how, where the learning rate tells no schedule."""
    names = " and ".join(name for name in MUTABLE if name in best.params)
    lines = [
        f"# PBT changed {names} on the way: below is what the trial began with, so that alone it",
        "# goes otherwise.",
    ]
    if training.fit.schedule == "constant" and not training.fit.warmup:
        epochs = sorted(epoch for epoch in best.lrs if epoch <= (best.kept_epoch or 0))
        spans = itertools.groupby(epochs, lambda epoch: best.lrs[epoch])
        taken = [f"{written(lr)} until epoch {list(span)[-1]}" for lr, span in spans]
        text = f"The weights of the best were trained with lr {', '.join(taken)}."
        lines += textwrap.wrap(text, 96, initial_indent="# ", subsequent_indent="# ")
    return lines


def _rounded(value: float) -> float:
    return float(f"{value:.2e}")
