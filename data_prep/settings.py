"""The settings of a preparation, and the folder name that holds them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from data_prep.datasets import DATASETS, dataset_info
from data_prep.errors import DataError, nearest

SPLIT_RULES = ("random", "subject")
MIN_PICTURES = 10
_RANGES = {"size": (16, 1024), "augment": (1, 1000), "seed": (0, 2**63 - 1)}

_FOLDER_NAME = re.compile(r"(.+)-(\d+)px-([a-z]+)-x(\d+)-seed(\d+)(?:-n(\d+))?")


@dataclass(frozen=True)
class PrepareSettings:
    """What determines the prepared arrays, besides the pictures themselves.

    `size` is the side of the square pictures in pixels; `augment` the number of rows that each
    training picture yields (1: no augmentation); `count` the number of pictures of a synthetic
    dataset (its default where None). Raises DataError for values out of range.
    """

    dataset: str
    size: int = 128
    split: str = "random"
    augment: int = 10
    seed: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        info = dataset_info(self.dataset)
        for name, (low, high) in _RANGES.items():
            _check_range(name, getattr(self, name), low, high)
        if self.split not in SPLIT_RULES:
            raise DataError(
                f"split must be one of {', '.join(SPLIT_RULES)}, but is '{self.split}'"
                f"{nearest(self.split, SPLIT_RULES)}"
            )
        if self.split == "subject" and info.grouping != "subject":
            raise DataError(f"{self.dataset} has no subjects to split by: use split 'random'")
        if info.synthetic:
            count = info.default_count if self.count is None else self.count
            _check_range("count", count, MIN_PICTURES, 1_000_000)
            object.__setattr__(self, "count", count)
        elif self.count is not None:
            raise DataError(
                f"count={self.count} is for synthetic datasets; {self.dataset} has as many "
                "images as its source"
            )

    @property
    def folder_name(self) -> str:
        """Name of the prepared folder, such as `faces-128px-random-x10-seed0`."""
        name = f"{self.dataset}-{self.size}px-{self.split}-x{self.augment}-seed{self.seed}"
        return name if self.count is None else f"{name}-n{self.count}"


def dataset_folder(settings: PrepareSettings, data_root: Path) -> Path:
    """Return the folder of the prepared dataset, whether it exists or not."""
    return Path(data_root) / settings.folder_name


def dataset_of_folder(folder_name: str) -> str | None:
    """Return the dataset that a prepared folder is named after; None for other names."""
    match = _FOLDER_NAME.fullmatch(folder_name)
    return match[1] if match else None


def command_for(folder_name: str) -> str:
    """Return the command that prepares the folder of this name, as far as the name is valid."""
    match = _FOLDER_NAME.fullmatch(folder_name)
    if match is None or match[1] not in DATASETS:
        return "chromatune prepare <dataset>"
    defaults: dict[str, object] = {"size": 128, "split": "random", "augment": 10, "data-seed": 0}
    defaults["count"] = DATASETS[match[1]].default_count
    words = [f"chromatune prepare {match[1]}"]
    for (name, default), value in zip(defaults.items(), match.groups()[1:], strict=True):
        if value not in (None, str(default)):
            words.append(f"--{name} {value}")
    return " ".join(words)


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DataError(f"{name} must be a whole number from {low} to {high}, but is {value!r}")
