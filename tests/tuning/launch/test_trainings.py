"""Grids as trainings and cells."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
import torch
from torch import Tensor, nn

from tuning.config.schema import REPORT_GRIDS, GridConfig, TrainingConfig
from tuning.errors import ChromatuneError
from tuning.launch import trainings
from tuning.launch.trainings import Operations, Training, grid_trainings


def _grid(task: str, **changes: object) -> list[Training]:
    grid = GridConfig.model_validate({**REPORT_GRIDS[task], **changes})  # type: ignore[index]
    return grid_trainings(task, grid, TrainingConfig(), 128)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["regression", "colorizer"])
def test_a_report_grid_is_nine_trainings_of_27_cells(task: str) -> None:
    trainings = _grid(task)
    assert len(trainings) == 9
    assert all(training.fit.milestones == (100, 300, 500) for training in trainings)
    cells = [cell.cell_id for training in trainings for cell in training.cells]
    assert len(set(cells)) == 27
    axes = {
        (training.fit.model, training.fit.head, training.fit.lr, cell.epochs)
        for training in trainings
        for cell in training.cells
    }
    models = [("cnn1", "relu"), ("cnn2", "relu"), ("cnn3", "relu")]
    if task == "colorizer":
        models = [("autoencoder", head) for head in ("relu", "sigmoid", "tanh")]
    assert axes == {
        (*model, lr, epochs)
        for model, lr, epochs in itertools.product(models, (1e-3, 1e-4, 1e-5), (100, 300, 500))
    }


def test_independent_cells_are_one_training_each_with_the_same_cell_ids() -> None:
    together = {cell.cell_id for one in _grid("regression") for cell in one.cells}
    apart = _grid("regression", independent_cells=True)
    assert len(apart) == 27
    assert {one.cells[0].cell_id for one in apart} == together
    assert all(one.training_id == one.cells[0].cell_id for one in apart)


def test_the_costliest_trainings_come_first() -> None:
    models = [training.fit.model for training in _grid("regression")]
    assert models == ["cnn3"] * 3 + ["cnn2"] * 3 + ["cnn1"] * 3


class _Odd(nn.Module):
    """Returns a list, looks places up in a buffer, and has a weight that no module holds."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 2, 3, padding=1)
        self.register_buffer("places", torch.arange(4))
        self.weights = nn.ParameterList([nn.Parameter(torch.zeros(4))])

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.inner(x) + self.weights[0][self.places].sum()]


@pytest.mark.parametrize(("network", "operations"), [(_Odd(), 20 * 8**2), (nn.Identity(), 1)])
def test_operations_of_any_network_are_counted(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module, operations: int
) -> None:
    monkeypatch.setattr(trainings, "network_without_weights", lambda _: network)
    fit = dataclasses.replace(_grid("regression")[0].fit, image_size=8)
    assert Operations().of(fit) == operations


def test_scaled_cells_know_the_published_cell_they_stand_for() -> None:
    training = _grid("regression", epoch_scale=0.01)[0]
    assert [(cell.epochs, cell.published_epochs) for cell in training.cells] == [
        (1, 100),
        (3, 300),
        (5, 500),
    ]
    assert training.cell_at(3).cell_id == "cnn3-relu-lr1e-3-e3"
    with pytest.raises(ChromatuneError, match=r"into \[1, 1, 1\]"):
        _grid("regression", epoch_scale=0.0001)


def test_a_training_survives_json() -> None:
    for training in _grid("colorizer", epochs=[3, 1]):
        assert training.fit.milestones == (1, 3)
        assert Training.from_dict(json.loads(json.dumps(training.to_dict()))) == training


def test_params_that_name_an_argument_of_pydantic_are_refused() -> None:
    document = _grid("regression")[0].to_dict()
    document["params"]["__dataclass_self__"] = 1
    with pytest.raises(ChromatuneError, match="a launch has a damaged training: unknown key"):
        Training.from_dict(document)


def test_a_model_of_the_other_task_or_misspelled_is_refused() -> None:
    with pytest.raises(ChromatuneError, match="'autoencoder' is not a regression model"):
        _grid("regression", models=["autoencoder"])
    with pytest.raises(ChromatuneError, match="did you mean 'cnn2'"):
        _grid("regression", models=["cn2"])


def test_a_model_that_is_not_registered_here_is_no_damage() -> None:
    document = _grid("regression")[0].to_dict()
    document["params"]["model"] = "cnn9"
    with pytest.raises(ChromatuneError) as caught:
        Training.from_dict(document)
    message = str(caught.value)
    assert message.startswith("a launch cannot be read here: unknown model 'cnn9'")
    assert message.endswith("if it is your own, give its file with --import")
