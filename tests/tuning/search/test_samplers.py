"""Samplers by name: their options are checked, and a study cannot run code through them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from tests.own_code import forgetting
from tuning.config.imports import import_code
from tuning.config.search import SearchConfig
from tuning.errors import ChromatuneError
from tuning.search.objectives import read_objectives
from tuning.search.samplers import check_sampler, make_sampler, seed_of

MakeSpace = Callable[..., Any]


def config(**search: Any) -> SearchConfig:
    return SearchConfig(space={"lr": 1}, **search)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tpe", {"n_startup": 3}, "no option 'n_startup'; did you mean 'n_startup_trials'?"),
        ("tpe", {"seed": 3}, "no option 'seed'"),
        ("random", {"n_startup_trials": 3}, "(it has none)"),
        ("tpe", {"gamma": 3}, "the sampler tpe cannot draw with gamma=3: "),  # takes a function
        ("tpe", {"multivariate": False}, "cannot draw with multivariate=False: "),
        ("tpe", {"n_startup_trials": "ten"}, "cannot draw with n_startup_trials='ten'"),
        ("tpe", {"n_ei_candidates": -3}, "the sampler tpe cannot draw with n_ei_candidates=-3: "),
        ("cmaes", {"popsize": 2.5}, "cannot draw with popsize=2.5"),
        ("cmaes", {"popsize": -1}, "the sampler cmaes cannot draw with popsize=-1: popsize must"),
        ("tpe", {"n_ei_candidates": 5, "n_startup_trials": 2}, None),
        ("cmaes", {"popsize": 6}, None),
    ],
)
def test_invalid_options_are_rejected_before_the_search(
    name: str, options: dict[str, Any], message: str | None, space_of: MakeSpace
) -> None:
    stepless = {"type": "float", "low": 0.0, "high": 0.5}
    space = space_of(model="unet", model_kwargs__width=16, ema=stepless)
    search = config(sampler=name, sampler_options=options)
    objectives = read_objectives("colorizer", ())
    if message is None:
        check_sampler(search, space, objectives)
        return
    with pytest.raises(ChromatuneError) as refusal:
        check_sampler(search, space, objectives)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_samplers_say_what_they_cannot_do(space_of: MakeSpace) -> None:
    with pytest.raises(ChromatuneError, match="cmaes takes one objective"):
        check_sampler(config(sampler="cmaes"), space_of(), [1, 2])
    with pytest.raises(ChromatuneError, match="lr has no step, and a grid needs one"):
        check_sampler(config(sampler="grid"), space_of(), [1])
    stepped = space_of(lr={"type": "float", "low": 0.1, "high": 0.3, "step": 0.1})
    assert sorted({point["lr"] for point in stepped.grid()}) == [0.1, 0.2, 0.3]
    assert check_sampler(config(sampler="tpe"), space_of(), [1]) == []
    assert check_sampler(config(sampler="gp"), space_of(), [1]) == [
        "gp does not model model_kwargs.width: drawn at random"
    ]
    (line,) = check_sampler(config(sampler="cmaes", scheduler="none"), space_of(), [1])
    assert "model, head, batch_size, model_kwargs.width" in line


OWN = """
from optuna.samplers import RandomSampler

class Halves(RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        if name == "lr":
            return (distribution.low + distribution.high) / 2
        return super().sample_independent(study, trial, name, distribution)

class Broken(RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        return 1 / 0

class Seedless(RandomSampler):
    def __init__(self, lowest=0.5):
        super().__init__()
"""


@pytest.fixture
def own_file(tmp_path: Path) -> Iterator[None]:
    """A file with samplers of a user's own that was given with --import."""
    (tmp_path / "own_draws.py").write_text(OWN)
    with forgetting():
        import_code([str(tmp_path / "own_draws.py")])
        yield


@pytest.mark.usefixtures("own_file")
@pytest.mark.parametrize(
    ("word", "options", "message"),
    [
        ("own_draws:Halves", {}, None),
        ("optuna.samplers:NSGAIISampler", {"population_size": 4}, None),
        ("optuna.samplers:QMCSampler", {"qmc_type": "halton"}, None),
        ("own_draws:Halvs", {}, "own_draws has no Halvs; did you mean 'Halves'?"),
        ("own_draws:Broken", {}, "cannot draw with no options: "),
        ("own_draws:OWN", {}, "own_draws has no OWN"),
        ("own_draws:Seedless", {"lowst": 1}, "has no option 'lowst'; did you mean 'lowest'?"),
        ("no_such_module:Sampler", {}, "No module named 'no_such_module'"),
        ("optuna.samplers:BaseSampler", {}, "no subclass of optuna.samplers.BaseSampler"),
        ("optuna.study:Study", {}, "no subclass of optuna.samplers.BaseSampler"),
        ("optuna.samplers:GridSampler", {}, "missing 1 required positional argument"),
        ("optuna.samplers:CmaEsSampler", {}, "use cmaes"),
        ("subprocess:Popen", {"args": "true"}, "the standard library has no sampler"),
    ],
)
def test_any_sampler_is_named_by_its_class(
    word: str, options: dict[str, Any], message: str | None, space_of: MakeSpace
) -> None:
    search = config(sampler=word, sampler_options=options)
    objectives = read_objectives("colorizer", ())
    if message is None:
        assert check_sampler(search, space_of(), objectives) == []
        assert type(make_sampler(search, 1)).__name__ == word.partition(":")[2]
        return
    with pytest.raises(ChromatuneError) as refusal:
        check_sampler(search, space_of(), objectives)
    assert message in str(refusal.value)
    assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("own_file")
def test_a_sampler_without_a_seed_is_announced(space_of: MakeSpace) -> None:
    search = config(sampler="own_draws:Seedless")
    (line,) = check_sampler(search, space_of(), read_objectives("colorizer", ()))
    assert line.startswith("own_draws:Seedless takes no seed")


def test_a_seed_among_the_options_of_a_class_wins() -> None:
    def first(count: int, **options: Any) -> float:
        search = config(sampler="optuna.samplers:RandomSampler", sampler_options=options)
        study = optuna.create_study(sampler=make_sampler(search, count))
        return study.ask().suggest_float("x", 0, 1)

    assert first(1) != first(2)
    assert first(1, seed=7) == first(2, seed=7)


class Exploit:
    """A malicious state of CMA-ES."""

    def __reduce__(self) -> Any:
        return (exec, ("import os; os.environ['CHROMATUNE_EXPLOITED'] = '1'",))


def test_a_study_cannot_run_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMATUNE_EXPLOITED", raising=False)
    study = optuna.create_study(sampler=make_sampler(config(sampler="cmaes", scheduler="none"), 1))
    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    study.tell(study.ask(space), 1.0)
    study.tell(study.ask(space), 0.5)  # the state of CMA-ES itself is read
    trial = study.ask(space)
    state = pickle.dumps(Exploit()).hex()
    study._storage.set_trial_system_attr(trial._trial_id, "cma:optimizer:0", state)
    study.tell(trial, 0.2)
    with pytest.raises(ChromatuneError, match="which does not belong there"):
        study.ask(space)
    assert "CHROMATUNE_EXPLOITED" not in os.environ


def test_cma_es_continues_from_the_state_in_the_study() -> None:
    study = optuna.create_study()
    space = {"x": FloatDistribution(-3, 3), "y": FloatDistribution(-3, 3)}
    for count in range(60):
        # A new sampler each time, as the ledger makes them: all state is in the study.
        study.sampler = make_sampler(config(sampler="cmaes", scheduler="none"), seed_of(0, count))
        trial = study.ask(space)
        study.tell(trial, (trial.params["x"] - 1) ** 2 + (trial.params["y"] + 1) ** 2)
    early = min(trial.value for trial in study.trials[:10])
    late = sum(trial.value for trial in study.trials[-10:]) / 10
    assert study.best_value < early
    assert late < 0.5
