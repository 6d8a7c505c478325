"""A search that begins no more trials because the best score does not improve."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.tuning.search.test_promotion import Search
from tuning.config.schema import resolve
from tuning.config.search import SearchLaunchConfig
from tuning.launch.overview import read_state
from tuning.search.stopping import is_stagnant
from tuning.workflows.run_launch import Session
from tuning.workflows.search import conclude, extend, run_search

MakeScript = Callable[..., Any]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_without_a_threshold_it_decides_as_optuna() -> None:
    from optuna.terminator import BestValueStagnationEvaluator

    rng = random.Random(3)
    for _ in range(100):
        values = [rng.randrange(20) for _ in range(rng.randrange(1, 30))]
        study = optuna.create_study(direction="maximize")
        study.add_trials([optuna.create_trial(value=float(value)) for value in values])
        for patience in (1, 4, 9):
            left = BestValueStagnationEvaluator(patience).evaluate(study.trials, study.direction)
            scores = dict(enumerate(map(float, values)))
            assert is_stagnant(scores, range(len(values)), patience, 0.0) is (left <= 0)


@pytest.mark.parametrize(
    ("scores", "news", "threshold", "stagnant"),
    [
        ({0: 30.0, 1: 30.4, 2: 30.8, 3: 31.2}, [1, 2, 3], 0.5, False),  # 0.8 together
        ({0: 30.0, 1: 30.2, 2: 30.3, 3: 30.4}, [1, 2, 3], 0.5, True),
        ({0: 30.0, 1: 29.0, 2: 29.0}, [1, 2, 3], 0.0, False),  # 3 has no score yet
        ({0: 30.0, 1: 29.0, 2: 29.0, 3: 29.0}, [3], 0.0, False),  # the others are from before
    ],
)
def test_small_improvements_add_up_and_only_new_trials_count(
    scores: dict[int, float], news: list[int], threshold: float, stagnant: bool
) -> None:
    assert is_stagnant(scores, news, 3, threshold) is stagnant


def test_no_trial_begins_after_so_many_that_did_not_improve(script: MakeScript) -> None:
    options = {"scheduler": "none", "max_stagnation_trials": 3, "min_improvement": 0.5}
    search = script(total=20, **options)
    for value in (30.0, 31.0, 31.4, 20.0):
        search.end([value])
        assert not search.ledger.is_over
    # One that diverges says nothing.
    name = search.next().training_id
    search.ledger.observe(name, 1, 40.0)
    search.ledger.failed(name, "diverged", "NaN")
    search.open()
    search.end([30.5])
    assert search.ledger.next() is None
    assert search.ledger.is_over
    assert search.open().is_over


def test_trials_that_are_left_behind_count_and_paused_ones_go_on(
    script: MakeScript, space_of: Any
) -> None:
    options = {"grace_period": 1, "max_stagnation_trials": 8}
    space = space_of(epochs=9)
    once = Search(script(space=space, total=60, folder="once", **options))
    trained = once.run()
    begun = len(once.script.written)
    assert 8 < begun < 60
    study = once.script.study
    finished = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert finished
    # The best that was ever seen is older than the last eight.
    assert study.best_trial.number < begun - 8
    kills = tuple(range(5, len(trained), 7))
    again = Search(script(space=space, total=60, folder="again", **options), kills)
    assert again.run() == trained


def test_it_is_said_why_a_search_has_ended_and_how_it_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = {"model": "fc", "head": "tanh", "epochs": 1}
    lr = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
    search = {"space": {**space, "lr": lr}, "sampler": "random", "scheduler": "none"}
    limits = {"num_samples": 9, "max_stagnation_trials": 2, "min_improvement": 10.0}
    defaults = {
        "data": {"dataset": "synthetic-faces", "count": 20, "size": 32, "augment": 1},
        "resources": {"backend": "serial"},
        "search": {**search, **limits},
    }
    config = resolve(SearchLaunchConfig, defaults=defaults)
    outcome = run_search("regression", config, Session(None))
    assert len(outcome.cells) == 3
    (said,) = [line for line in conclude(outcome, None).advice if "improve" in line]
    assert said.startswith("the last 2 trials did not improve the best score; continue with")
    assert f"search regression --extend {outcome.launch.launch_id}" in said
    state = read_state(outcome.launch.storage, outcome.launch.document)
    assert (state.state, state.cells) == ("finished", 3)
    # The trials of an extension have to stagnate themselves.
    added = {"num_samples": 5}
    place = {"address": None, "backend": None}
    more = extend("regression", outcome.launch, Session(None), added, **place)
    assert len(more.cells) == 5
