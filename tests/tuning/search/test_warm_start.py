"""Results of earlier launches and configured points come before the first suggestion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.records import leave_cell
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Cell, Training, make_training
from tuning.search.plan import plan_search
from tuning.search.warm_start import WarmStart, feed_known
from tuning.training.config import FitConfig
from tuning.workflows.search_study import config_of, enqueue

MakeSpace = Callable[..., Any]
RUNS = {("grid-1", "autoencoder-tanh-lr1e-3-e9"): "run-of-the-best"}


@pytest.fixture
def search(script: Any, space_of: MakeSpace) -> Any:
    """A search in whose space the original paper's way of training lies, for 9 epochs."""
    space = space_of(
        batch_size={"type": "categorical", "choices": [50, 100]},
        optimizer={"type": "categorical", "choices": ["adam", "adamw"]},
    )
    return script(space=space, total=2)


def leave_launch(
    folder: Path,
    name: str,
    trainings: list[Training],
    values: dict[str, float],
    *,
    digest: str = "digest-1",
    kind: str = "grid",
    outcome: str = "finished",
) -> None:
    """Write what a finished launch leaves: its plan, and a cell for each value."""
    storage = LaunchStorage(folder / name)
    document = {
        "format": 1,
        "launch_id": name,
        "kind": kind,
        "task": "colorizer",
        "dataset": "faces",
        "dataset_digest": digest,
        "experiment": "faces-colorizer-grid",
        "tracking_uri": "sqlite:///mlflow.db",
        "config": {},
        "baseline": {},
        "parent_model": None,
        "created": len(list(folder.iterdir())) if folder.exists() else 0,
        "trainings": [training.to_dict() for training in trainings],
    }
    storage.write_json("launch.json", document)
    for training in trainings:
        if kind == "search":
            storage.write_json(f"{training.training_id}/training.json", training.to_dict())
        for cell in training.cells:
            if cell.cell_id in values:
                value = values[cell.cell_id]
                history = [{"epoch": 1, "val_psnr": value - 1}, {"epoch": 2}, {"epoch": 3}]
                history[2]["val_psnr"] = value
                leave_cell(
                    *(storage, training.training_id, cell.cell_id),
                    metrics={"val_psnr": value},
                    outcome=outcome,
                    history=history,
                )


def grid_training(lr: float) -> Training:
    return make_training(FitConfig("autoencoder", "tanh", lr, milestones=(3, 9), image_size=64))


def feed(search: Any) -> tuple[Any, WarmStart]:
    return search.study, feed_known(search.study, search.plan, "digest-1", RUNS)


def test_cells_of_a_grid_that_lie_in_the_space_are_known(tmp_path: Path, search: Any) -> None:
    values = {
        "autoencoder-tanh-lr1e-3-e3": 33.0,  # 3 epochs are not 9
        "autoencoder-tanh-lr1e-3-e9": 35.0,
        "autoencoder-tanh-lr1e-5-e9": 30.0,  # this learning rate is not searched
    }
    trainings = [grid_training(1e-3), grid_training(1e-5)]
    leave_launch(tmp_path / "launches", "grid-1", trainings, values)
    study, fed = feed(search)
    assert fed == WarmStart(taken=1, outside=2)
    (trial,) = study.trials
    assert trial.state == TrialState.COMPLETE
    assert trial.value == 35.0
    assert trial.params == {
        "model": "autoencoder",
        "head": "tanh",
        "lr": 1e-3,
        "batch_size": 100,
        "optimizer": "adam",
    }
    assert trial.user_attrs["known"] == "grid-1/autoencoder-tanh-lr1e-3-e9"
    assert trial.user_attrs["run_id"] == "run-of-the-best"


def test_only_ended_trials_on_the_same_data_from_random_weights_count(
    tmp_path: Path, search: Any
) -> None:
    launches = tmp_path / "launches"
    values = {"autoencoder-tanh-lr1e-3-e9": 35.0}
    leave_launch(launches, "grid-2", [grid_training(1e-3)], values, digest="digest-2")
    tuned = make_training(grid_training(1e-3).fit, initial_weights="champion.safetensors")
    leave_launch(launches, "finetune-1", [tuned], values, kind="finetune")
    for index, outcome in enumerate(("pruned", "stopped", "finished")):
        name = f"000{index}-autoencoder-tanh"
        fit = FitConfig(
            "autoencoder", "tanh", 2e-3, milestones=(9,), image_size=64, batch_size=50, keep="best"
        )
        training = Training(name, fit, (Cell(name, 9),))
        leave_launch(
            *(launches, f"search-{index}", [training], {name: 34.0 + index}),
            kind="search",
            outcome=outcome,
        )
    study, fed = feed(search)
    assert fed.taken == 2
    assert [(trial.state.name, trial.value) for trial in study.trials] == [
        ("PRUNED", 34.0),
        ("COMPLETE", 36.0),
    ]
    # The scores on the way are compared with those of the search's own trials.
    curves = [trial.intermediate_values for trial in study.trials]
    assert curves == [{1: 33.0, 3: 34.0}, {1: 35.0, 3: 36.0}]


def test_known_results_are_taken_once_and_take_no_trials_from_the_search(
    tmp_path: Path, search: Any
) -> None:
    values = {"autoencoder-tanh-lr1e-3-e9": 35.0}
    leave_launch(tmp_path / "launches", "grid-1", [grid_training(1e-3)], values)
    assert [feed(search)[1] for _ in range(2)] == [WarmStart(1, 0), WarmStart(0, 0)]
    search.open()
    assert [search.next().training_id[:4] for _ in range(2)] == ["0001", "0002"]
    assert search.ledger.next() is None


def test_points_are_queued_once_and_only_if_all_are_valid(script: Any, space_of: MakeSpace) -> None:
    space = space_of(model="autoencoder", model_kwargs__width=None, batch_size=8)
    search = script(space=space, sampler="random")
    with pytest.raises(ChromatuneError, match="did you mean 'lr'"):
        enqueue(search.study, space, [{"lr": 5e-3}, {"lrr": 5e-3}])
    assert not search.study.trials
    point = {"lr": 5e-3, "head": "tanh"}
    logged: list[str] = []
    enqueue(search.study, space, [point, {"lr": 1e-3}], logged.append)
    search.run(search.next(), [30.0])
    enqueue(search.study, space, [point, {"lr": 1e-3}, {"lr": 2e-3}], logged.append)
    assert logged == ["skipped 2 of 3 points: known already"]
    tried = [search.next().training.fit.lr for _ in range(2)]
    assert tried == [1e-3, 2e-3]


def test_a_resumed_search_draws_in_the_same_order(script: Any) -> None:
    made = script()
    config, storage = made.plan.config, made.launch.storage
    storage.write_json("launch.json", {"config": config.model_dump(mode="json")})
    again = config_of(Launch(storage, storage.read_json("launch.json")))
    before, after = (plan_search("colorizer", c, 64).space for c in (config, again))
    assert after == before
    assert [p.name for p in after.parameters] == [
        *("model", "head", "lr", "batch_size", "model_kwargs.width"),
    ]
