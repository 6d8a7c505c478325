"""The keywords of the functions: those of the commands' options, with values instead of words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from tuning.errors import nearest
from tuning.utils.environment import expanded

if TYPE_CHECKING:
    from tuning.cli.options import DataOptions

Task = Literal["regression", "colorizer"]
Files = str | Path | Sequence[str | Path]
_Options = TypeVar("_Options", bound="DataOptions")


class DataKeywords(TypedDict, total=False):
    """Which dataset, and how it is, or was, prepared."""

    data_root: str | Path
    size: int
    split: str
    augment: int
    data_seed: int
    count: int


class PrepareKeywords(DataKeywords, total=False):
    group_by: str


class PreparedKeywords(DataKeywords, total=False):
    """`data` is the beginning of the digest of a prepared variant."""

    dataset: str
    data: str


class LaunchKeywords(PreparedKeywords, total=False):
    """What all launches take; `set_` maps key paths of the configuration to values.

    `import_` names files and modules that register networks, losses and metrics. With `background`,
    the launch runs in a process of its own, which outlives this one.
    """

    config: str | Path
    set_: Mapping[str, Any]
    seed: int
    backend: Literal["ray", "serial"]
    cpus_per_trial: float
    gpus_per_trial: float | Mapping[str, float]
    max_concurrent_trials: int
    max_failures: int
    time_budget_s: float
    storage_path: str | Path
    address: str
    tracking_uri: str
    notify: str
    import_: Files
    trust_code: bool
    background: bool


class GridKeywords(LaunchKeywords, total=False):
    models: Sequence[str]
    heads: Sequence[str]
    lrs: Sequence[float]
    epochs: Sequence[int]
    epoch_scale: float
    independent_cells: bool


class FinalsKeywords(LaunchKeywords, total=False):
    lr: float
    epochs: int
    fc_lr: float
    fc_epochs: int


class FinetuneKeywords(LaunchKeywords, total=False):
    """`source` is the dataset whose champion is trained further, `model` another model."""

    source: str
    model: str
    lr: float
    epochs: int
    compare_scratch: bool
    force: bool


class TrainKeywords(LaunchKeywords, total=False):
    model: str
    head: str
    lr: float
    epochs: int
    initial_model: str
    promote: bool
    force: bool


class SearchKeywords(LaunchKeywords, total=False):
    """`space` is the search space, by name of the parameter, as in a YAML file."""

    space: Mapping[str, Any]
    num_samples: int
    sampler: str
    scheduler: Literal["asha", "hyperband", "asha-stop", "median", "none"]
    objectives: Sequence[str]
    points: Sequence[Mapping[str, Any]]
    warm_start: bool
    transfer: bool
    recipe: str
    budget_gpu_hours: float
    budget_cpu_hours: float
    max_stagnation_trials: int
    min_improvement: float
    confirm: str
    study_storage: str
    study_name: str


def as_files(files: Files) -> list[str]:
    """One file or several as a list of words."""
    return [str(each) for each in ([files] if isinstance(files, str | Path) else files)]


def as_options(options: type[_Options], keywords: Mapping[str, Any]) -> _Options:
    """Make a command's options of keywords; TypeError, naming the nearest, for an unknown one."""
    names = [field.name for field in dataclasses.fields(options) if field.name != "detach"]
    for name in keywords:
        if name not in names:
            raise TypeError(f"unexpected keyword argument '{name}'{nearest(name, names)}")
    values = {name: _plain(value) for name, value in keywords.items()}
    if "import_" in values:
        values["import_"] = as_files(values["import_"])
    return options(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(expanded(value)) if isinstance(value, Path) else value
