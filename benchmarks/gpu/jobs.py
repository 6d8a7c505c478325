"""The trainings of the report, in the order in which they can be done."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tuning.display.formatting import format_lr
from tuning.display.published import EPOCHS, LRS, TABLE_I, TABLE_III, published_results
from tuning.training.config import FitConfig
from tuning.training.epochs import scaled_epochs

# A task's finals need the winner of its grid, and its fine-tuning the best of both.
LAUNCHES = (
    *("grid-regression", "finals-regression", "finetune-regression"),
    *("grid-colorizer", "finals-colorizer", "finetune-colorizer"),
)
SOURCE, TARGET = "faces", "ncd"
_GRIDS = {"regression": TABLE_I, "colorizer": TABLE_III}


@dataclass(frozen=True)
class Scale:
    """What may be other than in the report: smaller, to prove the way, or rounded on a GPU."""

    epoch_scale: float | None = None
    batch_size: int = 100
    size: int = 128
    augment: int = 10
    seed: int = 0
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"

    def epochs(self, published: int) -> int:
        return scaled_epochs([published], self.epoch_scale)[0]


@dataclass(frozen=True)
class Job:
    """One training of a launch such as `grid-regression`, its cells cut at the milestones.

    `published` maps a scaled cell's epochs to the report's. `parent` is the id of the cell whose
    weights it starts from, and `parent_launch` where that lies.
    """

    launch: str
    fit: FitConfig
    published: Mapping[int, int] = field(default_factory=dict)
    suffix: str = ""
    parent: str | None = None
    parent_launch: str | None = None

    @property
    def name(self) -> str:
        """The name that `tuning.launch.trainings.make_training` gives."""
        return f"{self.fit.model}-{self.fit.head}-lr{format_lr(self.fit.lr)}{self.suffix}"

    @property
    def task(self) -> str:
        return self.fit.task

    @property
    def dataset(self) -> str:
        return TARGET if self.launch.startswith("finetune") else SOURCE

    def cell_id(self, epochs: int) -> str:
        return f"{self.name}-e{epochs}"

    def training(self) -> dict[str, Any]:
        """The job as `tuning.launch.trainings.Training.to_dict` has it."""
        params = dataclasses.asdict(self.fit)
        milestones = list(params.pop("milestones"))
        return {
            "training_id": self.name,
            "params": params,
            "milestones": milestones,
            "cells": [
                {
                    "cell_id": self.cell_id(epochs),
                    "epochs": epochs,
                    "published_epochs": self.published.get(epochs),
                }
                for epochs in milestones
            ],
            "initial_weights": "initial.safetensors" if self.parent else None,
        }


def grid_jobs(task: str, scale: Scale) -> list[Job]:
    """Table I or III: a training for every model, head and learning rate."""
    milestones = scaled_epochs(EPOCHS, scale.epoch_scale)
    published = dict(zip(milestones, EPOCHS, strict=True)) if scale.epoch_scale else {}
    return [
        Job(f"grid-{task}", _fit(model, head, lr, tuple(milestones), scale), published)
        for model, head in _GRIDS[task]
        for lr in LRS
    ]


def final_jobs(task: str, scale: Scale, lr: float, epochs: int) -> list[Job]:
    """Table II or IV: as the winner of the grid was trained, the fully connected as published."""
    jobs = []
    for row in published_results(SOURCE, task):
        how = (row.lr, scale.epochs(row.epochs)) if row.model == "fc" else (lr, epochs)
        jobs.append(Job(f"finals-{task}", _fit(row.model, row.head, how[0], (how[1],), scale)))
    return jobs


def finetune_jobs(task: str, scale: Scale, champion: Job, cell_id: str) -> list[Job]:
    """The champion's training gone on with on the second dataset, and the same from scratch."""
    row = published_results(TARGET, task)[0]
    fit = dataclasses.replace(champion.fit, lr=row.lr, milestones=(scale.epochs(row.epochs),))
    launch = f"finetune-{task}"
    return [
        Job(launch, fit, suffix="-finetuned", parent=cell_id, parent_launch=champion.launch),
        Job(launch, fit, suffix="-scratch"),
    ]


def _fit(model: str, head: str, lr: float, milestones: tuple[int, ...], scale: Scale) -> FitConfig:
    return FitConfig(
        model=model,
        head=head,
        lr=lr,
        milestones=milestones,
        batch_size=scale.batch_size,
        seed=scale.seed,
        image_size=scale.size,
        precision=scale.precision,
    )
