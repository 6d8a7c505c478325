"""The configuration with which an imported launch would have been begun here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from data_prep import PrepareSettings
from tuning.config.schema import (
    DataConfig,
    FinalsConfig,
    FinalsLaunchConfig,
    FinetuneConfig,
    FinetuneLaunchConfig,
    GridConfig,
    GridLaunchConfig,
    LaunchConfig,
    TrainingConfig,
)
from tuning.launch.exchange import LaunchResult, Run
from tuning.training.config import FitConfig


def imported_config(
    result: LaunchResult, run: Run, settings: Any, fits: Sequence[FitConfig], storage_path: str
) -> LaunchConfig:
    """Read the configuration off what was trained; `settings` are those of the preparation.

    Raises pydantic's ValidationError, DataError or TypeError for what no launch can have.
    """
    data = DataConfig(dataset=result.dataset, root=Path("data").absolute(), **settings)
    PrepareSettings(**data.model_dump(exclude={"root"}))
    shared: dict[str, Any] = {
        "data": data,
        "training": TrainingConfig(batch_size=run.batch_size, seed=run.seed),
        "storage_path": storage_path,
    }
    if result.kind == "grid":
        grid = GridConfig(
            models=_distinct(fit.model for fit in fits),
            heads=_distinct(fit.head for fit in fits),
            lrs=_distinct(fit.lr for fit in fits),
            epoch_scale=run.epoch_scale,
        )
        return GridLaunchConfig(**shared, grid=grid)
    if result.kind == "finals":
        finals: dict[str, Any] = {}
        for fit in fits:
            prefix = "fc_" if fit.model == "fc" else ""
            finals |= {f"{prefix}lr": fit.lr, f"{prefix}epochs": fit.epochs}
        return FinalsLaunchConfig(**shared, finals=FinalsConfig(**finals))
    finetune = FinetuneConfig(lr=fits[0].lr, epochs=fits[0].epochs, compare_scratch=len(fits) > 1)
    return FinetuneLaunchConfig(**shared, finetune=finetune)


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
