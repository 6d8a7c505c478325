"""Optuna's plots of a search: those that the study has trials for, legible and without warnings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from tuning.search.plots import draw_study, importances

MakeScript = Callable[..., Any]
TRIALS = {"optimization_history", "slice", "parallel_coordinate", "learning_curves"}


def drawn(search: Any, folder: Path) -> set[str]:
    draw_study(search.study, search.objectives, folder, "Search faces colorizer")
    return {path.stem for path in folder.glob("*.png")}


def test_a_study_is_drawn_as_far_as_it_has_trials(
    script: MakeScript, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    search = script(total=5)
    assert drawn(search, tmp_path) == set()
    name = search.next().training.training_id
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
        name = search.next().training.training_id
        search.write_cell(name, [psnr], parameters=parameters)
        search.ledger.ended(name)
    expected = TRIALS - {"learning_curves"} | {"param_importances", "pareto"}
    assert drawn(search, tmp_path) == expected


def test_importances_of_few_trials_in_a_branch_bring_no_warning(
    script: MakeScript, space_of: Any
) -> None:
    search = script(space=space_of(), sampler="random", total=4)
    for model, value in zip(["unet", *["autoencoder"] * 3], (30.0, 31.0, 32.0, 33.0), strict=True):
        search.study.enqueue_trial({"model": model})
        search.run(search.next(), [value])
    assert importances(search.study, search.objectives[0])


def test_importances_need_a_few_trials(script: MakeScript, space_of: Any) -> None:
    space = space_of(model="autoencoder", model_kwargs__width=None)
    search = script(space=space, sampler="random", total=24)
    for count in range(24):
        if count == 3:
            assert importances(search.study, search.objectives[0]) == {}
        hand_out = search.next()
        search.run(hand_out, [30.0 + (hand_out.training.fit.head == "tanh")])
    shares = importances(search.study, search.objectives[0])
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=lambda name: shares[name]) == "head"
