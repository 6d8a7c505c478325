"""The real faces and fruits, as users have them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_prep import PreparedDataset, PrepareSettings, prepare
from data_prep.split import SIDES

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def faces(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings("faces", augment=1)
    source = real_data / "gt_faces"
    return prepare(settings, tmp_path_factory.mktemp("faces"), source=source).dataset


def test_faces_are_split_as_in_the_report(faces: PreparedDataset) -> None:
    assert faces.manifest.counts == {"train": 600, "val": 75, "test": 75}
    assert not faces.manifest.skipped
    people = Counter(entry.subject for entry in faces.manifest.files)
    assert people == {f"s{i}": 15 for i in range(1, 51)}


def test_faces_have_the_reports_colour_statistics(faces: PreparedDataset) -> None:
    """Predicting the mean a and b of all faces costs 7.5e-5 and 2.7e-4 on the published split."""
    for plane, published in (("a", 7.5e-5), ("b", 2.7e-4)):
        means = np.concatenate(
            [getattr(faces.planes(side), plane).mean(axis=(1, 2)) / 255 for side in SIDES]
        )
        assert means.var() == pytest.approx(published, rel=0.15)


def test_ncd_is_stratified_with_exact_totals_and_twins_together(
    real_data: Path, tmp_path: Path
) -> None:
    settings = PrepareSettings("ncd", size=16, augment=1)
    ncd = prepare(settings, tmp_path, source=real_data / "ncd").dataset
    assert ncd.manifest.counts == {"train": 576, "val": 72, "test": 72}
    homes: dict[str, list[str]] = {}
    for entry in ncd.manifest.files:
        homes.setdefault(entry.sha256, []).append(entry.split)
    twins = [sides for sides in homes.values() if len(sides) > 1]
    assert len(twins) == 20
    assert all(len(set(sides)) == 1 for sides in twins)
    sizes = Counter(entry.category for entry in ncd.manifest.files)
    assert len(sizes) == 20
    for side, part in zip(SIDES, (0.8, 0.1, 0.1), strict=True):
        found = Counter(entry.category for entry in ncd.files(side))
        for category, size in sizes.items():
            # Pomegranate is made of pairs for the most part, which can only move together.
            assert abs(found[category] - part * size) <= 2, (side, category)
