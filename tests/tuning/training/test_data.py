"""Splits share the dataset's pages; batches become floats only on the device."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data_prep import PreparedDataset, PrepareSettings, open_dataset, prepare
from tuning.errors import ChromatuneError
from tuning.training.batches import Batches
from tuning.training.config import FitConfig
from tuning.training.data import DeviceSplit, FolderOrigin, Split, load_split, load_task_data
from tuning.training.devices import holds_split

CPU = torch.device("cpu")
TRAIN = 80 * 14  # more rows than are averaged at once


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings("synthetic-fruits", size=16, count=100, augment=14)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


def stored(dataset: PreparedDataset, split: str, plane: str) -> np.ndarray:
    path: Path = dataset.folder / split / f"{plane}.npy"
    return np.asarray(np.load(path))


def test_planes_are_plain_arrays_over_the_mapped_pages(dataset: PreparedDataset) -> None:
    split = load_split(dataset, "train", "colorizer")
    for array, name in zip((split.L, *split.planes), "Lab", strict=True):
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, stored(dataset, "train", name))


def test_pickling_moves_planes_without_an_origin_out_of_band(dataset: PreparedDataset) -> None:
    split = replace(load_split(dataset, "train", "colorizer"), origin=None)
    buffers: list[pickle.PickleBuffer] = []
    inside = pickle.dumps(split, protocol=5, buffer_callback=buffers.append)
    assert len(inside) < 2000
    assert {buffer.raw().nbytes for buffer in buffers} == {TRAIN * 256, TRAIN * 2 * 4}
    again = pickle.loads(inside, buffers=buffers)
    assert np.shares_memory(again.L, split.L)


def test_means_are_those_of_each_picture_and_of_train(dataset: PreparedDataset) -> None:
    data = load_task_data(dataset, "regression")
    a, b = (stored(dataset, "train", plane).astype(np.float64) / 255 for plane in "ab")
    expected = np.stack([a.mean(axis=(1, 2)), b.mean(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(data.train.mean_ab, expected, rtol=1e-6)
    assert data.train.mean_ab.dtype == np.float32
    assert data.baseline_ab == pytest.approx((a.mean(), b.mean()), rel=1e-6)
    assert (data.digest, data.image_size) == (dataset.digest, 16)
    assert (len(data.train), len(data.val)) == (TRAIN, 10)
    names = sorted({entry.category for entry in dataset.manifest.files})
    shown = [names.index(entry.category) for entry in dataset.files("train")]
    assert data.train.categories.tolist() == np.repeat(shown, 14).tolist()


def test_what_a_task_lacks_is_refused(dataset: PreparedDataset) -> None:
    split = load_split(dataset, "val", "regression")
    with pytest.raises(ChromatuneError, match="loaded for regression holds no a and b planes"):
        _ = split.planes
    with pytest.raises(ChromatuneError, match=r"'colouriser'; did you mean 'colorizer'\?"):
        load_split(dataset, "val", "colouriser")
    none = np.zeros((0, 16, 16), np.uint8)
    empty = SimpleNamespace(folder="x", planes=lambda _: SimpleNamespace(L=none, a=none, b=none))
    with pytest.raises(ChromatuneError, match=r"the test split of x holds no pictures"):
        load_split(empty, "test", "colorizer")  # type: ignore[arg-type]


@pytest.mark.parametrize("writable", [True, False])
def test_tensors_lie_over_the_arrays(writable: bool) -> None:
    L = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8).copy()
    L.setflags(write=writable)  # a read-only one must not warn: warnings are errors here
    on_device = DeviceSplit(Split(L, None, None, np.zeros((4, 2), np.float32)), "means", CPU)
    assert on_device._L.data_ptr() == L.ctypes.data
    assert on_device._L.dtype == torch.uint8


def test_batches_are_cut_by_index_and_scaled_to_one() -> None:
    rng = np.random.default_rng(0)
    L, a, b = rng.integers(0, 256, (3, 6, 8, 8)).astype(np.uint8)
    mean_ab = rng.random((6, 2), dtype=np.float32)
    index = torch.tensor([4, 0, 3])
    colorizer = DeviceSplit(Split(L, a, b, mean_ab), "planes", CPU)
    pictures, planes = colorizer.pictures(index), colorizer.targets(index)
    assert pictures.dtype == planes.dtype == torch.float32
    np.testing.assert_allclose(pictures[:, 0], L[[4, 0, 3]] / 255, rtol=1e-6)
    np.testing.assert_allclose(planes, np.stack([a, b], axis=1)[[4, 0, 3]] / 255, rtol=1e-6)
    np.testing.assert_allclose(colorizer.pictures(slice(2, 9))[:, 0], L[2:] / 255, rtol=1e-6)
    regression = DeviceSplit(Split(L, None, None, mean_ab), "means", CPU)
    np.testing.assert_array_equal(regression.targets(index), mean_ab[[4, 0, 3]])


def test_a_split_that_is_large_for_a_gpu_stays_in_its_files(
    dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = load_split(dataset, "train", "colorizer")
    size = 3 * TRAIN * 16 * 16
    gpu = SimpleNamespace(total_memory=8 * size)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    cuda, other = torch.device("cuda"), torch.device("meta")  # which holds nothing
    assert holds_split(cuda, size)
    gpu.total_memory -= 8
    assert not holds_split(cuda, size)

    monkeypatch.setattr("tuning.training.data.holds_split", lambda _, size: holds_split(cuda, size))
    config = FitConfig("autoencoder", "tanh", 1e-3, (1,), batch_size=500, image_size=16)
    batches = Batches(config, split, other)
    assert batches._pictures._L.data_ptr() == split.L.ctypes.data
    shapes = [(batch.L.shape, batch.target.shape) for batch in batches.epoch()]
    assert shapes == [((500, 1, 16, 16), (500, 2, 16, 16))] * 2
    for batch in batches.epoch():
        assert {batch.L.device, batch.target.device, batch.category.device} == {other}
    gpu.total_memory += 8
    assert Batches(config, split, other)._pictures._L.device == other


def test_a_pickled_split_maps_the_files_instead_of_holding_them(dataset: PreparedDataset) -> None:
    for task in ("regression", "colorizer"):
        data = load_task_data(dataset, task)
        content = pickle.dumps(data, protocol=5)
        planes = sum(plane.nbytes for plane in (data.train.L, data.val.L))
        assert len(content) < planes / 2
        again = pickle.loads(content)
        assert again.digest == data.digest
        for name in ("train", "val"):
            before, after = getattr(data, name), getattr(again, name)
            for array in ("L", "a", "b", "mean_ab", "categories"):
                assert np.array_equal(getattr(before, array), getattr(after, array))
            assert (after.copies, after.side) == (before.copies, name)
            assert isinstance(after.L.base, np.memmap)


def test_a_split_of_other_arrays_is_pickled_with_them() -> None:
    L = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    again = pickle.loads(pickle.dumps(Split(L, None, None, np.zeros((4, 2), np.float32))))
    assert np.array_equal(again.L, L)


def test_data_that_were_prepared_again_are_not_taken_for_the_old_ones(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(dataset.folder, folder)
    data = load_task_data(open_dataset(folder), "regression")
    content = pickle.dumps(data)
    elsewhere = data.found_at(lambda _: FolderOrigin(str(dataset.folder), dataset.digest))
    shutil.rmtree(folder)
    assert np.array_equal(pickle.loads(pickle.dumps(elsewhere)).train.L, data.train.L)
    with pytest.raises(ChromatuneError, match="were moved or prepared again"):
        pickle.loads(content)
    settings = replace_settings(dataset)
    other = prepare(settings, tmp_path).dataset
    other.folder.rename(folder)
    with pytest.raises(ChromatuneError, match="were moved or prepared again"):
        pickle.loads(content)


def replace_settings(dataset: PreparedDataset) -> PrepareSettings:
    """Those of the same pictures in another split."""
    settings = dataset.manifest.settings.model_dump() | {"seed": 99}
    return PrepareSettings(dataset=dataset.name, **settings)
