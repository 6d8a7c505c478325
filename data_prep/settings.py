"""The settings of one preparation, and the folder that they name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from data_prep.datasets import dataset_info
from data_prep.errors import DataError, nearest

SPLIT_RULES = ("random", "subject")
MIN_SIZE, MAX_SIZE = 16, 1024
MAX_AUGMENT = 1000
MIN_PICTURES = 10

_FOLDER_NAME = re.compile(
    r"(?P<dataset>.+)-(?P<size>\d+)px-(?P<split>[a-z]+)-x(?P<augment>\d+)-seed(?P<seed>\d+)"
    r"(-n(?P<count>\d+))?"
)


@dataclass(frozen=True)
class PrepareSettings:
    """What decides the prepared arrays, besides the pictures themselves.

    `size` is the side of the square pictures in pixels; `augment` the number of rows that each
    training picture yields (1: itself alone); `count` the number of pictures of a synthetic
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
        _check_range("size", self.size, MIN_SIZE, MAX_SIZE)
        _check_range("augment", self.augment, 1, MAX_AUGMENT)
        _check_range("seed", self.seed, 0, 2**63 - 1)
        if self.split not in SPLIT_RULES:
            raise DataError(
                f"unknown split '{self.split}': known are {', '.join(SPLIT_RULES)}"
                f"{nearest(self.split, SPLIT_RULES)}"
            )
        if self.split == "subject" and info.grouping != "subject":
            raise DataError(
                f"split 'subject' needs to know who is shown, and {self.dataset} has no subjects: "
                "use split 'random'"
            )
        if info.synthetic:
            resolved = info.default_count if self.count is None else self.count
            _check_range("count", resolved, MIN_PICTURES, 1_000_000)
            object.__setattr__(self, "count", resolved)
        elif self.count is not None:
            raise DataError(
                f"count={self.count} is for synthetic datasets; {self.dataset} has as many "
                "pictures as its source"
            )

    @property
    def folder_name(self) -> str:
        """Name of the prepared folder, such as `faces-128px-random-x10-seed0`."""
        parts = [f"{self.dataset}-{self.size}px-{self.split}-x{self.augment}-seed{self.seed}"]
        if self.count is not None:
            parts.append(f"n{self.count}")
        return "-".join(parts)

    @property
    def command(self) -> str:
        """The `chromatune prepare` command that makes this dataset."""
        words = [f"chromatune prepare {self.dataset}"]
        for name, default in (("size", 128), ("split", "random"), ("augment", 10), ("seed", 0)):
            if getattr(self, name) != default:
                words.append(f"--{name} {getattr(self, name)}")
        if self.count not in (None, dataset_info(self.dataset).default_count):
            words.append(f"--count {self.count}")
        return " ".join(words)


def dataset_folder(settings: PrepareSettings, data_root: Path) -> Path:
    """Return where the dataset with these settings is, or would be, prepared."""
    return Path(data_root) / settings.folder_name


def settings_of(folder_name: str) -> PrepareSettings | None:
    """Read the settings back from the name of a prepared folder; None if it is not such a name."""
    match = _FOLDER_NAME.fullmatch(folder_name)
    if match is None:
        return None
    count = None if match["count"] is None else int(match["count"])
    try:
        return PrepareSettings(
            match["dataset"],
            size=int(match["size"]),
            split=match["split"],
            augment=int(match["augment"]),
            seed=int(match["seed"]),
            count=count,
        )
    except DataError:
        return None


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DataError(f"{name} must be a whole number from {low} to {high}, but is {value!r}")
