"""The settings of a preparation, and the folder name that holds them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from data_prep.datasets import DATASETS, dataset_info
from data_prep.errors import DataError, nearest
from data_prep.grouping import FOLDER, NONE, check_rule

SPLIT_RULES = ("random", "group", "stratified", "subject", "given")
MIN_PICTURES = 10
_RANGES = {"size": (16, 1024), "augment": (1, 1000), "seed": (0, 2**63 - 1)}
# A split from a file is named after its content.
_GIVEN = re.compile(r"given(-[0-9a-f]{8})?")

_FOLDER_NAME = re.compile(
    r"(.+)-(\d+)px-([a-z]+(?:-[0-9a-f]{8})?)-x(\d+)-seed(\d+)(?:-n(\d+))?(?:-by-([a-z0-9]+))?"
)


@dataclass(frozen=True)
class PrepareSettings:
    """What determines the prepared arrays, besides the pictures themselves.

    `size` is the side of the square pictures in pixels; `augment` the number of rows that each
    training picture yields (1: no augmentation); `count` the number of pictures of a synthetic
    dataset (its default where None). `group_by` is `folder`, `none` or a regular expression whose
    first group, searched for in a picture's path, is its group; None means the layout of a known
    dataset, else the folder where the split needs groups. What is only another spelling of a
    default becomes the default. Raises DataError for values out of range.
    """

    dataset: str
    size: int = 128
    split: str = "random"
    augment: int = 10
    seed: int = 0
    count: int | None = None
    group_by: str | None = None

    def __post_init__(self) -> None:
        info = dataset_info(self.dataset)
        for name, (low, high) in _RANGES.items():
            _check_range(name, getattr(self, name), low, high)
        self._check_split()
        if info.synthetic:
            if self.group_by is not None:
                raise DataError(f"{self.dataset} is generated with its groups: omit group_by")
            count = info.default_count if self.count is None else self.count
            _check_range("count", count, MIN_PICTURES, 1_000_000)
            object.__setattr__(self, "count", count)
        elif self.count is not None:
            hint = "" if self.dataset in DATASETS else nearest(self.dataset, DATASETS)
            raise DataError(
                f"count={self.count} is for synthetic datasets; {self.dataset} has as many "
                f"images as its source{hint}"
            )

    def _check_split(self) -> None:
        known = dataset_info(self.dataset).grouping
        check_split(self.split)
        if self.group_by is not None:
            check_rule(self.group_by)
            if self.group_by == NONE and self.needs_groups:
                raise DataError(f"split '{self.split}' needs groups: choose another group_by")
            if known is None and self.group_by == (FOLDER if self.needs_groups else NONE):
                object.__setattr__(self, "group_by", None)
        elif known == "subject" and self.split == "group":
            object.__setattr__(self, "split", "subject")
        elif known == "category" and self.split == "stratified":
            object.__setattr__(self, "split", "random")
        if self.split == "subject" and (known != "subject" or self.group_by is not None):
            raise DataError(
                f"{self.dataset} has no subjects to split by: use split 'random' or 'group'"
            )

    @property
    def needs_groups(self) -> bool:
        """Whether the split is made by groups."""
        return self.split in ("group", "stratified", "subject")

    @property
    def keeps_groups(self) -> bool:
        """Whether no group is in two splits."""
        return self.split in ("group", "subject")

    @property
    def is_stratified(self) -> bool:
        """Whether every split has its share of every group; that of a known dataset often is."""
        known = dataset_info(self.dataset).grouping
        by_default = self.group_by is None and known == "category" and self.split == "random"
        return self.split == "stratified" or by_default

    @property
    def is_given(self) -> bool:
        """Whether the user says which picture is on which side."""
        return _GIVEN.fullmatch(self.split) is not None

    @property
    def grouping(self) -> str:
        """The rule that finds a picture's group: see `path_group`."""
        default = dataset_info(self.dataset).grouping or (FOLDER if self.needs_groups else NONE)
        return self.group_by or default

    @property
    def folder_name(self) -> str:
        """Name of the prepared folder, such as `faces-128px-random-x10-seed0`."""
        name = f"{self.dataset}-{self.size}px-{self.split}-x{self.augment}-seed{self.seed}"
        if self.count is not None:
            name += f"-n{self.count}"
        if self.group_by is None:
            return name
        is_word = self.group_by in (FOLDER, NONE)
        digest = hashlib.sha256(self.group_by.encode()).hexdigest()[:8]
        return f"{name}-by-{self.group_by if is_word else digest}"


def check_split(split: str) -> None:
    """Raise DataError unless `split` is a rule, or names a split that the user gives."""
    if split not in SPLIT_RULES and not _GIVEN.fullmatch(split):
        raise DataError(
            f"split must be one of {', '.join(SPLIT_RULES)}, but is '{split}'"
            f"{nearest(split, SPLIT_RULES)}"
        )


def dataset_folder(settings: PrepareSettings, data_root: Path) -> Path:
    """Return the folder of the prepared dataset, whether it exists or not."""
    return Path(data_root) / settings.folder_name


def dataset_of_folder(folder_name: str) -> str | None:
    """Return the dataset that a prepared folder is named after; None for other names."""
    match = _FOLDER_NAME.fullmatch(folder_name)
    return match[1] if match else None


def command_for(folder_name: str) -> str:
    """Return the command that prepares the folder of this name, as far as the name tells."""
    match = _FOLDER_NAME.fullmatch(folder_name)
    if match is None:
        return "chromatune prepare <dataset>"
    info = DATASETS.get(match[1])
    defaults: dict[str, object] = {"size": 128, "split": "random", "augment": 10, "data-seed": 0}
    defaults["count"] = info.default_count if info else None
    words = [f"chromatune prepare {match[1]}"]
    if info is None:
        words.append("--source …")
    for (name, default), value in zip(defaults.items(), match.groups()[1:6], strict=True):
        # A given split is found in the source, or is the user's file.
        if value not in (None, str(default), "given"):
            words.append(f"--{name} {'….csv' if value.startswith('given-') else value}")
    if match[7]:
        words.append(f"--group-by {match[7] if match[7] in (FOLDER, NONE) else '…'}")
    return " ".join(words)


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DataError(f"{name} must be a whole number from {low} to {high}, but is {value!r}")
