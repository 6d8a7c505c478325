"""The best configurations of a search are trained with several seeds, and the mean decides."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from models import create_model, load_model
from tuning.config.schema import Task, TrainLaunchConfig, resolve
from tuning.config.search import SearchLaunchConfig
from tuning.display.seeds import over_seeds
from tuning.errors import ChromatuneError
from tuning.launch.open_dataset import open_recorded
from tuning.launch.overview import read_state
from tuning.search.confirmation import ConfirmedSearch, paired_p, read_confirmed
from tuning.search.plan import plan_search
from tuning.training.metrics import evaluate, picture_mse
from tuning.workflows.run_launch import Session
from tuning.workflows.search import conclude, resume, run_search

MakeScript = Callable[..., Any]


def confirm(script: Any, values: dict[str, float]) -> list[str]:
    """Train what confirms a search's best, each with one of the `values` by name, in order."""
    source = ConfirmedSearch(script.ledger)
    names = []
    while (assignment := source.next()) is not None:
        name = assignment.training_id
        names.append(name)
        source.observe(name, 1, values[name])
        script.write_cell(name, [values[name]])
        source.ended(name)
    assert source.is_over
    return names


def test_the_best_are_trained_with_further_seeds(script: MakeScript) -> None:
    search = script(total=4, scheduler="none", confirm="2x3")
    scores = [30.0, 33.0, 31.0, 32.0]
    names = []
    source = ConfirmedSearch(search.ledger)
    for score in scores:
        assignment = source.next()
        assert assignment is not None
        names.append(assignment.training_id)
        search.write_cell(names[-1], [score - 1, score])
        source.ended(names[-1])
    assert not source.is_over
    values = {
        **{f"{names[1]}-seed1": 30.0, f"{names[1]}-seed2": 30.6},
        **{f"{names[3]}-seed1": 31.0, f"{names[3]}-seed2": 31.5},
    }
    first = source.next()
    assert first is not None
    assert first.is_new
    # The process dies here; the next one trains the same, each once.
    search.open()
    assert confirm(search, values) == list(values)
    own, again = search.written[names[1]], search.written[f"{names[1]}-seed1"]
    assert again["confirms"] == 1
    assert again["params"] == own["params"] | {"seed": 1}
    assert again["milestones"] == own["milestones"]

    objective = search.plan.objectives[0]
    best, other = read_confirmed(search.launch, search.study, objective)
    assert (best.trial, best.values) == (3, {0: 32.0, 1: 31.0, 2: 31.5})
    assert (other.trial, other.values) == (1, {0: 33.0, 1: 30.0, 2: 30.6})
    assert (best.mean, best.best_seed) == (31.5, 0)


def test_a_trial_that_was_cut_is_trained_with_every_seed(script: MakeScript) -> None:
    search = script(total=3, scheduler="none", confirm="2x2")
    search.end([30.0])
    search.end([31.0, 34.0], "pruned")
    search.ledger.failed(search.next().training_id, "diverged", "NaN")
    first, second = sorted(search.written)[:2]
    values = {f"{second}-seed0": 33.0, f"{second}-seed1": 35.0, f"{first}-seed1": 29.0}
    assert confirm(search, values) == list(values)
    best, _ = read_confirmed(search.launch, search.study, search.plan.objectives[0])
    assert (best.trial, best.values) == (1, {0: 33.0, 1: 35.0})


def test_what_lacks_a_seed_does_not_win(script: MakeScript) -> None:
    search = script(total=2, scheduler="none", confirm="2x2")
    search.end([30.0])
    search.end([31.0])
    source = ConfirmedSearch(search.ledger)
    lucky, other = source.next(), source.next()
    assert lucky is not None
    assert other is not None
    source.failed(lucky.training_id, "failed", "out of memory")
    search.write_cell(other.training_id, [20.0])
    source.ended(other.training_id)
    assert source.is_over
    found = read_confirmed(search.launch, search.study, search.plan.objectives[0])
    assert [each.trial for each in found] == [0, 1]


def exact_p(first: Any, second: Any) -> float:
    """Of all ways to exchange pairs, the share whose mean differs as much."""
    differences = first - second
    ways = itertools.product((1, -1), repeat=len(differences))
    sums = np.array([abs(np.dot(signs, differences)) for signs in ways])
    return float(np.mean(sums >= abs(differences.sum()) * (1 - 1e-9)))


def test_the_p_value_is_that_of_all_exchanges_of_pairs() -> None:
    rng = np.random.default_rng(4)
    first = rng.gamma(2, size=11)
    for shift in (0.0, 0.3, 3.0):
        second = first + rng.normal(shift, 1, size=11)
        # Four standard errors of a share of 10 000.
        assert paired_p(first, second) == pytest.approx(exact_p(first, second), abs=0.02)
    assert paired_p(first, first) == 1.0


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([33.0, 32.0], [30.0, 30.2], "Over 2 seeds each, the gap of 2.40 dB exceeds the spread"),
        ([33.0, 31.0], [31.5], "Over 2 and 1 seed, the gap of 0.50 dB does not exceed"),
        ([33.0], [31.5], ""),
    ],
)
def test_a_gap_counts_beside_the_spread(first: list[float], second: list[float], said: str) -> None:
    sentence = over_seeds("val_psnr", first, second)
    assert sentence.startswith(said)
    if said:
        spread = max(statistics.stdev(each) for each in (first, second) if len(each) > 1)
        assert f"(standard deviation {spread:.2f} dB)" in sentence
    else:
        assert sentence == ""


@pytest.mark.parametrize(("task", "model"), [("regression", "cnn1"), ("colorizer", "autoencoder")])
def test_the_errors_of_images_have_the_metric_as_their_mean(
    task: Task, model: str, make_data: Any
) -> None:
    val = make_data(task, val=7).val
    network = create_model(model, head="tanh", image_size=64)
    errors = picture_mse(network, val, task)
    assert errors.shape == (7,)
    assert errors.mean() == pytest.approx(evaluate(network, val, task)["val_mse"], rel=1e-6)
    alone = picture_mse(network, val.part(range(2, 3)), task)
    assert alone == pytest.approx(errors[2:3], rel=1e-4)


SPACE = {
    **{"model": "autoencoder", "head": "tanh", "epochs": 4, "batch_size": 4},
    **{"model_kwargs.latent": 16, "optimizer": "adam"},
    "lr": {"type": "float", "low": 1e-3, "high": 3e-2, "log": True},
}


def config_of(folder: Path, **search: Any) -> SearchLaunchConfig:
    data = {"dataset": "synthetic-faces", "count": 60, "size": 64, "augment": 1}
    defaults = {
        "data": {**data, "root": str(folder / "data")},
        "resources": {"backend": "serial"},
        "training": {"eval_every": 1},
        "storage_path": str(folder / "launches"),
        "search": {"space": SPACE, "sampler": "random", **search},
    }
    return resolve(SearchLaunchConfig, defaults=defaults)


def test_several_objectives_are_not_confirmed(tmp_path: Path) -> None:
    config = config_of(tmp_path, confirm="2x2", objectives=["val_psnr:max", "parameters:min"])
    with pytest.raises(ChromatuneError, match="confirm takes one objective"):
        plan_search("colorizer", config, 64)


@pytest.mark.slow
def test_a_search_is_confirmed_and_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_of(tmp_path, num_samples=3, scheduler="none", confirm="2x2")
    outcome = run_search("colorizer", config, Session(None))
    launch = outcome.launch
    folder = Path(launch.storage.uri)
    cells = {
        path.parent.name: json.loads(path.read_text())
        for path in sorted(folder.glob("*/cells/*/cell.json"))
    }
    assert len(cells) == 5
    by_trial: dict[int, dict[int, str]] = {}
    for name, cell in cells.items():
        by_trial.setdefault(int(name[:4]), {})[cell["params"]["seed"]] = name
    scores = {t: cells[seeds[0]]["metrics"]["val_psnr"] for t, seeds in by_trial.items()}
    chosen = sorted(scores, key=lambda t: -scores[t])[:2]
    means = {
        t: statistics.fmean(cells[name]["metrics"]["val_psnr"] for name in by_trial[t].values())
        for t in chosen
    }
    best, other = sorted(chosen, key=lambda t: -means[t])

    conclusion = conclude(outcome, None)
    found = conclusion.table.to_json()["confirmed"]
    assert [(each["trial"], each["mean"]) for each in found] == [
        *[(best, pytest.approx(means[best])), (other, pytest.approx(means[other]))],
    ]
    val = open_recorded(launch).planes("val")
    true = np.stack([val.a, val.b], axis=1) / 255.0

    def errors(name: str) -> Any:
        network = load_model(folder / name / "cells" / name / "model.safetensors")
        with torch.inference_mode():
            predicted = network(torch.from_numpy(val.L[:, None] / np.float32(255))).numpy()
        return ((predicted - true) ** 2).mean(axis=(1, 2, 3))

    first, second = (
        np.mean([errors(name) for name in by_trial[t].values()], axis=0) for t in (best, other)
    )
    assert found[0]["p"] is None
    assert found[1]["p"] == pytest.approx(exact_p(first, second), abs=0.02)
    shown = conclusion.table.markdown()
    assert f"trial {best} against trial {other}: Over 2 seeds each, the gap of" in shown
    assert conclusion.best_file is not None
    written = yaml.safe_load(Path(conclusion.best_file).read_text())
    winner = max(by_trial[best].values(), key=lambda n: cells[n]["metrics"]["val_psnr"])
    assert written["training"]["seed"] == cells[winner]["params"]["seed"]
    assert written["train"]["lr"] == cells[winner]["params"]["lr"]
    weights = folder / winner / "cells" / winner / "model.safetensors"
    assert (folder / "search" / "best.safetensors").read_bytes() == weights.read_bytes()
    resolve(TrainLaunchConfig, file=Path(conclusion.best_file))

    state = read_state(launch.storage, launch.document)
    assert (state.state, state.cells, state.done) == ("finished", 5, 5)
    # Nothing is trained twice when it is resumed.
    assert resume(launch, Session(None), None, None).is_over
    assert len(list(folder.glob("*/cells/*/cell.json"))) == 5
