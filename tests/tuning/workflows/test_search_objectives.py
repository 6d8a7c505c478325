"""Any metric of a task can be the first objective of a search, which everything follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuning.config.schema import TrainLaunchConfig, resolve
from tuning.config.search import SearchLaunchConfig
from tuning.errors import ChromatuneError
from tuning.training.tasks import higher_is_better
from tuning.workflows import train
from tuning.workflows.run_launch import Session
from tuning.workflows.search import conclude, run_search

EPOCHS = 8
SPACE = {
    **{"model": "autoencoder", "head": "tanh", "epochs": EPOCHS, "batch_size": 4},
    **{"model_kwargs.latent": 16, "optimizer": "adam"},
    "lr": {"type": "float", "low": 1e-3, "high": 3e-2, "log": True},
}


def run(folder: Path, objective: str, **search: Any) -> Any:
    defaults = {
        "data": {"dataset": "synthetic-faces", "count": 40, "size": 64, "augment": 1},
        "resources": {"backend": "serial"},
        "training": {"eval_every": 1},
        "storage_path": str(folder / "launches"),
        "search": {"space": SPACE, "sampler": "random", "objectives": [objective], **search},
    }
    defaults["data"]["root"] = str(folder / "data")
    config = resolve(SearchLaunchConfig, defaults=defaults)
    return run_search("colorizer", config, Session(None))


@pytest.mark.parametrize("objective", ["val_ssim:max", "val_psnr_rgb:max", "val_mse_a:min"])
def test_state_ranking_and_pruning_follow_the_first_objective(
    objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run(tmp_path, objective, num_samples=3, scheduler="asha", grace_period=2)
    name = objective.partition(":")[0]
    best = max if higher_is_better(name) else min
    cells = []
    for path in sorted(Path(outcome.launch.storage.uri).glob("*/cells/*/cell.json")):
        cell = json.loads(path.read_text())
        scores = [record[name] for record in cell["history"]]
        assert cell["kept_epoch"] == 1 + scores.index(best(scores))
        assert cell["metrics"][name] == best(scores)
        cells.append((cell["metrics"][name], len(scores), scores))
    assert len(cells) == 3
    # ASHA with one other trial at a rung keeps the better one.
    first, second = cells[0], cells[1]
    rungs = [epoch for epoch in (2, 6) if epoch <= second[1]]
    worse = [r for r in rungs if best(second[2][:r] + first[2][:r]) not in second[2][:r]]
    assert second[1] == (worse[0] if worse else EPOCHS)

    conclusion = conclude(outcome, None)
    ranked = [trial["values"][0] for trial in conclusion.table.to_json()["trials"]]
    assert ranked == sorted((value for value, _, _ in cells), reverse=higher_is_better(name))
    found = yaml.safe_load(Path(conclusion.best_file).read_text())
    assert (found["train"]["keep"], found["train"]["keep_by"]) == ("best", name)
    again = resolve(
        TrainLaunchConfig,
        file=Path(conclusion.best_file),
        flags={"resources.backend": "serial", "storage_path": str(tmp_path / "again")},
    )
    (cell,) = train.run_train(again, Session(None)).cells
    assert cell.metrics[name] == ranked[0]


def test_a_metric_that_the_validation_set_is_too_small_for_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ChromatuneError, match="val_ssim_as_reported needs more validation pictu"):
        run(tmp_path, "val_ssim_as_reported:max")
    assert not list((tmp_path / "launches").iterdir())
