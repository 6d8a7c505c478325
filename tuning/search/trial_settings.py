"""A trial's configuration: in a line of a table, and as a file that repeats its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from tuning.config.schema import TrainConfig, TrainingConfig
from tuning.display.formatting import format_lr
from tuning.launch.folder import Launch
from tuning.launch.trainings import Training
from tuning.search.summary import TrialSummary


def written(value: Any) -> str:
    """Write a value of a parameter: `2.5e-4`, `0.5`, `unet`."""
    if not isinstance(value, float):
        return str(value)
    if value == 0 or 1e-2 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return format_lr(float(f"{value:.2e}"))


def settings_text(values: Mapping[str, Any]) -> str:
    """Write parameters in a line: `model=unet lr=2.5e-3`."""
    return " ".join(f"{name}={written(value)}" for name, value in values.items())


def train_file(launch: Launch, best: TrialSummary, training: Training) -> str:
    """Write the configuration of a training as YAML for `chromatune train -c FILE`.

    It contains everything that decides the results: the training is repeated exactly.
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
    return "\n".join(head) + "\n" + yaml.safe_dump(content, sort_keys=False)
