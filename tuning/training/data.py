"""What a training sees of a prepared dataset: plain uint8 arrays, and batches cut on the device."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tuning.errors import ChromatuneError
from tuning.training.devices import holds_split
from tuning.training.tasks import CRITERIA, Task, checked_task

if TYPE_CHECKING:
    from data_prep import PreparedDataset

SplitName = Literal["train", "val", "test"]

_ROWS_AT_ONCE = 1000


class Origin(Protocol):
    """Where prepared data lie; it travels to other processes in place of the data."""

    def folder(self) -> Path:
        """The folder on this machine; ChromatuneError if there is none."""


@dataclass(frozen=True)
class FolderOrigin:
    """A folder of prepared data, and the digest that they have there."""

    path: str
    digest: str

    def folder(self) -> Path:
        from data_prep import stored_digest

        folder = Path(self.path)
        if stored_digest(folder) != self.digest:
            raise ChromatuneError(
                f"the prepared data in {folder} were moved or prepared again while they were used"
            )
        return folder


@dataclass(frozen=True)
class Split:
    """One split as arrays that processes can share, all indexed by picture first.

    `L`, `a` and `b` are uint8 (N, H, W) planes of 8-bit Lab; a regression needs no `a` and `b`, so
    they do not travel with it, unless its model is trained on planes. `mean_ab` is float32 (N, 2),
    each picture's mean a and b in [0, 1]. `copies` is how many rows each original has: itself, then
    its augmented copies. `categories` is int64 (N,), the number of what each picture shows, a
    category or a person; 0 where the dataset does not tell. A pickled split whose planes are the
    whole files of the split `side` in `origin` has their place in it instead of the planes.
    """

    L: npt.NDArray[np.uint8]
    a: npt.NDArray[np.uint8] | None
    b: npt.NDArray[np.uint8] | None
    mean_ab: npt.NDArray[np.float32]
    copies: int = 1
    categories: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    origin: Origin | None = field(default=None, compare=False)
    side: SplitName = "train"

    def __post_init__(self) -> None:
        if len(self.categories) != len(self.L):
            object.__setattr__(self, "categories", np.zeros(len(self.L), np.int64))

    def __len__(self) -> int:
        return len(self.L)

    def __reduce__(self) -> tuple[Any, ...]:
        small = (self.mean_ab, self.copies, self.categories, self.origin, self.side)
        if self.origin is None:
            return Split, (self.L, self.a, self.b, *small)
        return _mapped, (self.L.shape, self.a is not None, *small)

    def part(self, rows: range) -> Split:
        """Some rows, as a split of its own."""
        at = slice(rows.start, rows.stop)
        a, b = (None if plane is None else plane[at] for plane in (self.a, self.b))
        return Split(
            *(self.L[at], a, b, self.mean_ab[at], self.copies), categories=self.categories[at]
        )

    @property
    def planes(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """The a and b planes; ChromatuneError if this split was loaded without them."""
        if self.a is None or self.b is None:
            raise ChromatuneError(
                "a split loaded for regression holds no a and b planes; load it for the colorizer"
            )
        return self.a, self.b


@dataclass(frozen=True)
class TaskData:
    """Everything one task trains and validates on.

    `baseline_ab` is the mean a and b over train, in [0, 1]: what the constant predictor says.
    """

    task: Task
    dataset: str
    digest: str
    image_size: int
    train: Split
    val: Split
    baseline_ab: tuple[float, float]

    def found_at(self, make_origin: Callable[[Origin], Origin]) -> TaskData:
        """These data, which other processes find as `make_origin` says of their present origin."""

        def moved(split: Split) -> Split:
            if split.origin is None:
                return split
            return dataclasses.replace(split, origin=make_origin(split.origin))

        return dataclasses.replace(self, train=moved(self.train), val=moved(self.val))


def load_task_data(dataset: PreparedDataset, task: str, *, planes: bool = False) -> TaskData:
    """Open train and val of `dataset` for `task`, without copying the planes into memory.

    With `planes`, a regression gets the a and b planes too.
    """
    train = load_split(dataset, "train", task, planes=planes)
    mean_a, mean_b = train.mean_ab.mean(axis=0, dtype=np.float64)
    return TaskData(
        task=checked_task(task),
        dataset=dataset.name,
        digest=dataset.digest,
        image_size=dataset.size,
        train=train,
        val=load_split(dataset, "val", task, planes=planes),
        baseline_ab=(float(mean_a), float(mean_b)),
    )


def load_split(
    dataset: PreparedDataset, split: SplitName, task: str, *, planes: bool = False
) -> Split:
    """Open one split of `dataset` for `task`, without copying its planes into memory."""
    wants_planes = CRITERIA[checked_task(task)].predicts_planes or planes
    arrays = dataset.planes(split)
    # np.asarray turns a memory map into a plain array over the same pages.
    L, a, b = (np.asarray(plane) for plane in (arrays.L, arrays.a, arrays.b))
    if len(L) == 0:
        raise ChromatuneError(f"the {split} split of {dataset.folder} holds no pictures")
    mean_ab = np.stack([_means(dataset, f"{split}/{plane}") for plane in "ab"], axis=1)
    copies = dataset.manifest.settings.augment if split == "train" else 1
    categories = _categories(dataset, split, copies)
    origin = FolderOrigin(str(dataset.folder.absolute()), dataset.digest)
    small = (mean_ab, copies, categories, origin, split)
    return Split(L, a, b, *small) if wants_planes else Split(L, None, None, *small)


def _mapped(shape: tuple[int, ...], has_planes: bool, *small: Any) -> Split:
    """Make a split again in another process, which maps the planes."""
    from data_prep import open_array

    origin, side = small[-2:]
    folder = origin.folder()
    names = ("L", "a", "b") if has_planes else ("L",)
    planes = [np.asarray(open_array(folder, f"{side}/{name}", shape)) for name in names]
    L, a, b = planes if has_planes else (planes[0], None, None)
    return Split(L, a, b, *small)


def _categories(dataset: PreparedDataset, split: SplitName, copies: int) -> npt.NDArray[np.int64]:
    names = sorted({entry.category or entry.subject or "" for entry in dataset.manifest.files})
    numbers = {name: number for number, name in enumerate(names)}
    own = [numbers[one.category or one.subject or ""] for one in dataset.files(split)]
    return np.repeat(np.array(own, np.int64), copies)


class DeviceSplit:
    """One split on the device where it is used, still uint8.

    On a CPU the tensors lie over the arrays without a copy; on CUDA the whole split is moved once,
    or, where it is large for the GPU, each batch by itself. Batches are cut by index where the
    split is, at `home`, and only on the device become float32. Their targets are what a model is
    `trained_on`: `means` or `planes`.
    """

    def __init__(self, split: Split, trained_on: str, device: torch.device) -> None:
        targets = split.planes if trained_on == "planes" else (split.mean_ab,)
        size = split.L.nbytes + sum(target.nbytes for target in targets)
        self.home = device if holds_split(device, size) else torch.device("cpu")
        self._device = device
        self._L = _tensor(split.L).to(self.home)
        self._targets = tuple(_tensor(target).to(self.home) for target in targets)
        self._categories = _tensor(split.categories).to(self.home)

    def __len__(self) -> int:
        return len(self._L)

    def pictures(self, index: Tensor | slice) -> Tensor:
        """Return L of some pictures as float32 (n, 1, H, W) in [0, 1]."""
        return _unit(self._cut(self._L, index)).unsqueeze(1)

    def targets(self, index: Tensor | slice) -> Tensor:
        """Return their chrominance in [0, 1]: float32 (n, 2), or (n, 2, H, W) of planes."""
        cut = [self._cut(target, index) for target in self._targets]
        return cut[0] if len(cut) == 1 else _unit(torch.stack(cut, dim=1))

    def categories(self, index: Tensor | slice) -> Tensor:
        """Return the numbers of what they show: int64 (n,)."""
        return self._cut(self._categories, index)

    def _cut(self, tensor: Tensor, index: Tensor | slice) -> Tensor:
        return tensor[index].to(self._device)


def _unit(pixels: Tensor) -> Tensor:
    return pixels.to(torch.float32).div_(255)


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    with warnings.catch_warnings():
        # Shared arrays are read-only, which torch cannot express. Nothing here writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _means(dataset: PreparedDataset, name: str) -> npt.NDArray[np.float32]:
    # By blocks of rows, since numpy would hold a float64 copy of what it sums at once; and read,
    # since all mapped pages would count as memory of this process.
    blocks = [
        block.mean(axis=(1, 2), dtype=np.float64)
        for block in dataset.row_blocks(name, _ROWS_AT_ONCE)
    ]
    return (np.concatenate(blocks) / 255).astype(np.float32)
