"""Priors of parameters: how values are drawn from them, and when they are left."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler

from tests.tuning.search.test_promotion import Search
from tests.tuning.search.test_warm_start import leave_launch
from tuning.config.schema import TrainingConfig
from tuning.config.search import SearchConfig, SearchLaunchConfig
from tuning.errors import ChromatuneError
from tuning.launch.trainings import make_training
from tuning.search.plan import plan_search
from tuning.search.priors import Prior, PriorSampler
from tuning.search.transfer import best_elsewhere, with_priors
from tuning.training.config import FitConfig
from tuning.workflows.search_study import informed

RATE = FloatDistribution(1e-5, 1e-1, log=True)
EXPECTED = {"lr": (RATE, Prior(1e-2, "medium"))}


@pytest.mark.parametrize(
    ("confidence", "spread"), [("low", 0.5), ("medium", 0.25), ("high", 0.125)]
)
def test_values_of_a_range_are_drawn_around_the_prior(confidence: Any, spread: float) -> None:
    prior = Prior(1e-2, confidence)
    rng = np.random.default_rng(0)
    drawn = np.log10([prior.draw(RATE, rng) for _ in range(20_000)])
    places = np.linspace(-5, -1, 4001)
    bell = np.exp(-(((places + 2) / 4 / spread) ** 2) / 2)
    share = bell / bell.sum()  # a normal distribution on the logarithm, cut at the ends
    assert drawn.min() >= -5
    assert drawn.max() <= -1
    assert drawn.mean() == pytest.approx(np.sum(share * places), abs=0.03)
    assert np.quantile(drawn, 0.1) == pytest.approx(
        places[np.searchsorted(share.cumsum(), 0.1)], abs=0.06
    )
    at = [prior.density(RATE, 10.0**place) for place in (-5, -3.5, -2)]
    assert at == pytest.approx([bell[i] / bell.mean() for i in (0, 1500, 3000)], rel=2e-3)


def test_steps_and_choices_are_drawn_as_often_as_the_prior_says() -> None:
    rng = np.random.default_rng(0)
    width = IntDistribution(8, 48, step=8)
    drawn = [Prior(24, "high").draw(width, rng) for _ in range(3000)]
    assert set(map(type, drawn)) == {int}
    assert set(drawn) <= {8, 16, 24, 32, 40, 48}
    assert max(set(drawn), key=drawn.count) == 24
    heads = CategoricalDistribution(["relu", "sigmoid", "tanh"])
    chosen = [Prior("tanh", "medium").draw(heads, rng) for _ in range(6000)]
    assert chosen.count("tanh") / 6000 == pytest.approx(4 / 6, abs=0.02)
    densities = [Prior("tanh", "medium").density(heads, choice) for choice in heads.choices]
    assert densities == pytest.approx([1 / 2, 1 / 2, 2])


@pytest.mark.parametrize(
    ("best", "share"), [(1e-2, 1 / 3), (1e-5, 0.0)], ids=["right prior", "wrong prior"]
)
def test_a_wrong_prior_is_left_and_a_right_one_used_for_a_third_of_the_trials(
    best: float, share: float
) -> None:
    study = optuna.create_study(direction="maximize")
    for number in range(9):
        rate = best if number < 3 else 3e-4
        study.add_trial(
            optuna.create_trial(params={"lr": rate}, distributions={"lr": RATE}, value=0.0)
        )
    scores = {number: float(-number) for number in range(9)}

    def near(values: dict[int, float]) -> float:
        drawn = [
            PriorSampler(RandomSampler(seed), EXPECTED, values, 4, seed)._uses_priors(study)
            for seed in range(400)
        ]
        return sum(drawn) / 400

    assert near({}) == pytest.approx(1 / 3, abs=0.08)  # too few scores
    assert near(scores) == pytest.approx(share, abs=0.08)


def test_a_killed_search_with_priors_draws_the_same(
    script: Callable[..., Any], space_of: Any
) -> None:
    rate = {"type": "float", "low": 1e-5, "high": 1e-1, "log": True, "prior": "1e-2"}
    batches = {"type": "categorical", "choices": [25, 50, 100], "prior": 25}
    space = space_of(lr=rate, batch_size=batches, epochs=9)

    def run(folder: str, *kills: int) -> Any:
        search = Search(script(folder=folder, space=space, total=6, grace_period=1), kills)
        return search.run(), [trial.params for trial in search.script.study.trials]

    expected = run("undisturbed")
    for kill in range(1, len(expected[0]), 5):
        assert run(f"killed-{kill}", kill) == expected


def test_a_sampler_behind_priors_hears_of_every_trial() -> None:
    class Counting(RandomSampler):
        heard: ClassVar[list[str]] = []

        def before_trial(self, *_: Any) -> None:
            self.heard.append("before")

        def after_trial(self, *_: Any) -> None:
            self.heard.append("after")

    study = optuna.create_study(sampler=PriorSampler(Counting(0), EXPECTED, {}, 4, 0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert Counting.heard == ["before", "after", "before", "after"]


def planned(space: dict[str, Any], **search: Any) -> Any:
    config = SearchLaunchConfig.model_validate({"search": {"space": space, **search}})
    return plan_search("colorizer", config, 64)


SPACE: dict[str, Any] = {
    "model": "autoencoder",
    "head": {"type": "categorical", "choices": ["relu", "tanh"]},
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "prior": 3e-3},
    "schedule": {"type": "categorical", "choices": ["constant", "cosine"], "prior": "constant"},
    "warmup": {
        "type": "float",
        "low": 0,
        "high": 0.3,
        "prior": 0.1,
        "when": {"schedule": "cosine"},
    },
    "epochs": 9,
}


def test_what_the_priors_expect_is_tried_first() -> None:
    assert list(planned(SPACE).points) == [{"lr": 3e-3, "schedule": "constant"}]
    assert planned({**SPACE, "lr": 1e-3, "schedule": "cosine"}).points == ({"warmup": 0.1},)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"prior": 1}, "the prior 1 is not in the space: float 0.0001 to 0.01, log"),
        ({"prior": "tanh"}, "'search.space.lr' is wrong: input should be a valid number"),
        ({"confidence": "high"}, "confidence is that of a prior, and there is none"),
        ({"prior": 3e-3, "confidence": "hgih"}, "search.space.lr.confidence"),
    ],
)
def test_a_wrong_prior_is_told(entry: dict[str, Any], message: str) -> None:
    rate = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
    with pytest.raises(ChromatuneError) as caught:
        planned({**SPACE, "lr": {**rate, **entry}})
    assert message in str(caught.value)


def test_the_best_of_other_datasets_is_tried_first_and_becomes_the_prior(tmp_path: Path) -> None:
    def leave(name: str, digest: str, scores: dict[float, float], **changes: Any) -> None:
        for rate, score in scores.items():
            fit = FitConfig(
                model="autoencoder", head="tanh", lr=rate, milestones=(9,), image_size=64, **changes
            )
            training = make_training(fit)
            values = {training.cells[0].cell_id: score}
            leave_launch(tmp_path, f"{name}-{rate:g}", [training], values, digest=digest)

    config = SearchLaunchConfig.model_validate(
        {"search": {"space": SPACE}, "storage_path": str(tmp_path)}
    )
    with pytest.raises(ChromatuneError, match="has no finished colorizer training on another"):
        best_elsewhere(config, "colorizer", "digest-1")
    leave("other", "digest-2", {1e-3: 30.0, 2e-3: 31.0})
    leave("same", "digest-1", {4e-3: 50.0})
    leave("newest", "digest-3", {5e-3: 20.0, 1.0: 19.0}, schedule="cosine", warmup=0.2)
    recipes = best_elsewhere(config, "colorizer", "digest-1")
    assert [recipe.lr for recipe in recipes] == [5e-3, 2e-3]
    space = planned(SPACE).space
    search = with_priors(config.search, space, recipes)
    assert search.points == [
        {"head": "tanh", "lr": 5e-3, "schedule": "cosine", "warmup": 0.2},
        {"head": "tanh", "lr": 2e-3, "schedule": "constant"},
    ]
    assert search.space["head"]["prior"] == "tanh"
    assert search.space["lr"]["prior"] == 3e-3  # the user's own
    assert math.isclose(search.space["lr"]["high"], 1e-2)
    assert not search.transfer
    config = config.model_copy(update={"search": search})
    assert plan_search("colorizer", config, 64).points[0]["schedule"] == "constant"
    bare = {**SPACE, "lr": {**SPACE["lr"], "prior": None}, "schedule": "constant"}
    search = with_priors(SearchConfig(space=bare), planned(bare).space, recipes)
    config = config.model_copy(update={"search": search})
    assert len(plan_search("colorizer", config, 64).points) == len(recipes)  # the prior's is one


def test_a_packaged_recipe_is_tried_first() -> None:
    search = SearchConfig(
        space={**SPACE, "model": {"type": "categorical", "choices": ["unet"]}},
        recipe="champion_colorizer_faces",
    )
    config = SearchLaunchConfig(search=search, training=TrainingConfig())
    dataset: Any = SimpleNamespace(size=64)
    found = informed("colorizer", config, dataset).search
    assert found.points == [{"model": "unet", "head": "tanh", "lr": 2e-3}]
    assert found.recipe is None
    regression = search.model_copy(update={"recipe": "champion_regression_faces"})
    config = config.model_copy(update={"search": regression})
    with pytest.raises(ChromatuneError, match="trains a regression, not a colorizer"):
        informed("colorizer", config, dataset)
