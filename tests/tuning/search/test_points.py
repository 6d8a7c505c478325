"""Files of configurations to try first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuning.errors import ChromatuneError
from tuning.search.points import read_points


def test_a_list_of_configurations_is_read(tmp_path: Path) -> None:
    file = tmp_path / "points.yaml"
    file.write_text("- {lr: 1.0e-3, model: unet}\n- lr: 2.0e-3\n")
    assert read_points(file) == [{"lr": 1e-3, "model": "unet"}, {"lr": 2e-3}]


@pytest.mark.parametrize("text", ["lr: 1", "- 1", "[1, 2", "- [lr, 1]", ""])
def test_anything_else_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "points.yaml"
    file.write_text(text)
    with pytest.raises(ChromatuneError) as refusal:
        read_points(file)
    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChromatuneError, match="cannot read the points"):
        read_points(tmp_path / "nowhere.yaml")
