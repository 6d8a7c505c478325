"""Optuna's plots of a search: those that the study has trials for, legible and without warnings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from tuning.search.plots import draw_study

MakeScript = Callable[..., Any]
TRIALS = {"optimization_history", "slice", "parallel_coordinate", "learning_curves"}


def drawn(search: Any, folder: Path) -> set[str]:
    draw_study(search.study, search.plan.objectives, folder, "Search faces colorizer")
    return {path.stem for path in folder.glob("*.png")}


def test_a_study_is_drawn_as_far_as_it_has_trials(
    script: MakeScript, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    search = script(total=5)
    assert drawn(search, tmp_path) == set()
    name = search.next().training_id
    search.ledger.observe(name, 1, 30.0)
    assert drawn(search, tmp_path) == {"learning_curves"}
    search.write_cell(name, [30.0])
    search.ledger.ended(name)
    assert drawn(search, tmp_path) == TRIALS
    search.run(search.next(), [28.0], outcome="pruned")
    for value in (31.0, 33.0, 32.0):
        search.run(search.next(), [value - 1, value])
    style = dict(plt.rcParams)
    assert drawn(search, tmp_path) == TRIALS | {"param_importances"}
    assert dict(plt.rcParams) == style
    assert not plt.get_fignums()
    assert [str(warning.message) for warning in recwarn] == []
    for picture in tmp_path.glob("*.png"):
        with Image.open(picture) as image:
            assert min(image.size) > 400
            assert len(image.convert("L").getcolors() or range(300)) > 20  # something is drawn


def test_several_objectives_have_a_pareto_front_and_no_curves(
    script: MakeScript, tmp_path: Path
) -> None:
    search = script(objectives=["val_psnr:max", "parameters:min"], total=4)
    for psnr, parameters in ((30.0, 100), (32.0, 200), (31.0, 300), (30.0, 90)):
        search.end([psnr], parameters=parameters)
    expected = TRIALS - {"learning_curves"} | {"param_importances", "pareto"}
    assert drawn(search, tmp_path) == expected
