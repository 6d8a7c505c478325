"""Splits share the dataset's pages; batches become floats only on the device."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tuning.errors import ChromatuneError
from tuning.training.data import DeviceSplit, Split, load_split, load_task_data


@dataclass
class PlanesOnDisk:
    L: np.ndarray
    a: np.ndarray
    b: np.ndarray


@dataclass
class DatasetOnDisk:
    """What `load_split` needs of a prepared dataset: three memory-mapped planes a split."""

    folder: Path
    name: str = "tiny"
    digest: str = "abc"
    size: int = 16
    manifest: Any = field(
        default_factory=lambda: SimpleNamespace(
            settings=SimpleNamespace(augment=1),
            files=[SimpleNamespace(category=name, subject=None) for name in ("pear", "apple")],
        )
    )

    def files(self, split: str) -> list[Any]:
        pear, apple = self.manifest.files
        count = len(np.load(self.folder / f"{split}_L.npy", mmap_mode="r"))
        return [apple, pear] * (count // 2) + [apple] * (count % 2)

    def planes(self, split: str) -> PlanesOnDisk:
        files = [np.load(self.folder / f"{split}_{name}.npy", mmap_mode="r") for name in "Lab"]
        return PlanesOnDisk(*files)


@pytest.fixture
def dataset(tmp_path: Path) -> Any:
    rng = np.random.default_rng(0)
    for split, count in (("train", 1201), ("val", 5), ("test", 0)):
        for name in "Lab":
            plane = rng.integers(0, 256, (count, 16, 16)).astype(np.uint8)
            np.save(tmp_path / f"{split}_{name}.npy", plane)
    return DatasetOnDisk(tmp_path)


def test_planes_are_plain_arrays_over_the_mapped_pages(dataset: Any) -> None:
    split = load_split(dataset, "train", "colorizer")
    for array, name in zip((split.L, *split.planes), "Lab", strict=True):
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, np.load(dataset.folder / f"train_{name}.npy"))


def test_pickling_moves_the_planes_out_of_band(dataset: Any) -> None:
    split = load_split(dataset, "train", "colorizer")
    buffers: list[pickle.PickleBuffer] = []
    inside = pickle.dumps(split, protocol=5, buffer_callback=buffers.append)
    assert len(inside) < 2000
    assert {buffer.raw().nbytes for buffer in buffers} == {1201 * 256, 1201 * 2 * 4}
    again = pickle.loads(inside, buffers=buffers)
    assert np.shares_memory(again.L, split.L)


def test_means_are_those_of_each_picture_and_of_train(dataset: Any) -> None:
    data = load_task_data(dataset, "regression")
    a, b = (np.load(dataset.folder / f"train_{name}.npy").astype(np.float64) / 255 for name in "ab")
    expected = np.stack([a.mean(axis=(1, 2)), b.mean(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(data.train.mean_ab, expected, rtol=1e-6)
    assert data.train.mean_ab.dtype == np.float32
    assert data.baseline_ab == pytest.approx((a.mean(), b.mean()), rel=1e-6)
    assert (data.dataset, data.digest, data.image_size) == ("tiny", "abc", 16)
    assert (len(data.train), len(data.val)) == (1201, 5)


def test_a_regression_carries_no_planes(dataset: Any) -> None:
    split = load_split(dataset, "val", "regression")
    assert split.a is None
    assert split.b is None
    with pytest.raises(ChromatuneError, match="loaded for regression holds no a and b planes"):
        _ = split.planes


def test_unknown_task_and_empty_split_are_refused(dataset: Any) -> None:
    with pytest.raises(
        ChromatuneError, match=r"unknown task 'colouriser'; did you mean 'colorizer'\?"
    ):
        load_split(dataset, "val", "colouriser")
    with pytest.raises(ChromatuneError, match=r"the test split of .* holds no pictures"):
        load_split(dataset, "test", "colorizer")


@pytest.mark.parametrize("writable", [True, False])
def test_tensors_lie_over_the_arrays(writable: bool) -> None:
    L = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8).copy()
    L.setflags(write=writable)  # a read-only one must not warn: warnings are errors here
    on_device = DeviceSplit(
        Split(L, None, None, np.zeros((4, 2), np.float32)), "means", torch.device("cpu")
    )
    assert on_device._L.data_ptr() == L.ctypes.data
    assert on_device._L.dtype == torch.uint8


def test_batches_are_cut_by_index_and_scaled_to_one() -> None:
    rng = np.random.default_rng(0)
    L, a, b = rng.integers(0, 256, (3, 6, 8, 8)).astype(np.uint8)
    mean_ab = rng.random((6, 2), dtype=np.float32)
    index = torch.tensor([4, 0, 3])
    colorizer = DeviceSplit(Split(L, a, b, mean_ab), "planes", torch.device("cpu"))
    pictures, planes = colorizer.pictures(index), colorizer.targets(index)
    assert pictures.dtype == planes.dtype == torch.float32
    np.testing.assert_allclose(pictures[:, 0], L[[4, 0, 3]] / 255, rtol=1e-6)
    np.testing.assert_allclose(planes, np.stack([a, b], axis=1)[[4, 0, 3]] / 255, rtol=1e-6)
    np.testing.assert_allclose(colorizer.pictures(slice(2, 9))[:, 0], L[2:] / 255, rtol=1e-6)

    regression = DeviceSplit(Split(L, None, None, mean_ab), "means", torch.device("cpu"))
    np.testing.assert_array_equal(regression.targets(index), mean_ab[[4, 0, 3]])
    assert L.max() > 1  # cutting batches changed nothing in the arrays
