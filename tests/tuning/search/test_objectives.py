"""What a search optimizes."""

from __future__ import annotations

import pytest

from tuning.errors import ChromatuneError
from tuning.search.objectives import Objective, read_objectives


def test_the_tasks_own_score_is_the_default() -> None:
    assert read_objectives("colorizer", []) == (Objective("val_psnr", True),)
    assert read_objectives("regression", []) == (Objective("val_mse", False),)


def test_several_objectives() -> None:
    found = read_objectives("colorizer", ["val_psnr:max", "parameters:min", "val_ssim:max"])
    assert list(map(str, found)) == ["val_psnr:max", "parameters:min", "val_ssim:max"]
    assert [objective.direction for objective in found] == ["maximize", "minimize", "maximize"]


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("colorizer", ["val_pnsr:max"], "unknown objective 'val_pnsr'; did you mean 'val_psnr'?"),
        ("colorizer", ["val_psnr:min"], "wrong direction: write val_psnr:max"),
        ("colorizer", ["val_psnr"], "wrong direction: write val_psnr:max"),
        ("colorizer", ["parameters:min"], "must be a validation metric such as val_psnr"),
        ("colorizer", ["val_psnr:max", "val_mse:min"], "objectives must differ"),
        ("regression", ["val_psnr:max"], "unknown objective 'val_psnr'"),
        ("regression", ["val_mse:min", "val_mse:min"], "objectives must differ"),
    ],
)
def test_wrong_objectives_are_refused(task: str, words: list[str], message: str) -> None:
    with pytest.raises(ChromatuneError) as refusal:
        read_objectives(task, words)  # type: ignore[arg-type]
    assert message in str(refusal.value)
