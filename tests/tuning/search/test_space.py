"""Reading search spaces, and finding configurations in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tuning.config.schema import TrainingConfig
from tuning.errors import ChromatuneError
from tuning.search.distributions import contains, read_entry, values_of
from tuning.search.space_file import read_space
from tuning.training.config import FitConfig

MakeSpace = Callable[..., Any]
WIDTH = "{type: int, low: 16, high: 24, step: 8, when: {model: unet}}"
FLIP = "{type: categorical, choices: [true], when: WHEN}"


def draw(space: Any, count: int, seed: int = 0) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.sample(study.ask()) for _ in range(count)]


def test_entries_become_optunas_distributions(space_of: MakeSpace) -> None:
    by_name = {parameter.name: parameter for parameter in space_of().parameters}
    assert by_name["lr"].distribution == FloatDistribution(1e-4, 1e-2, log=True)
    assert by_name["model"].distribution == CategoricalDistribution(["autoencoder", "unet"])
    assert by_name["model_kwargs.width"].distribution == IntDistribution(16, 48, step=8)
    assert by_name["model_kwargs.width"].when == {"model": ("unet",)}
    assert space_of().constants == {"epochs": 9}


def test_a_conditional_parameter_counts_only_in_its_branch(space_of: MakeSpace) -> None:
    space = space_of()
    for values in draw(space, 30):
        assert ("model_kwargs.width" in values) == (values["model"] == "unet")
        fit = space.fit_config(values)
        assert fit.keep == "best"
        assert fit.milestones == (9,)
        assert set(fit.model_kwargs) == ({"width"} if fit.model == "unet" else set())


def test_branches_may_be_nested_in_any_order(space_of: MakeSpace) -> None:
    schedules = {"type": "categorical", "choices": ["constant", "cosine", "onecycle"]}
    warmup = {"type": "float", "low": 0.0, "high": 0.4, "step": 0.1}
    space = space_of(
        warmup={**warmup, "when": {"schedule": ["cosine", "onecycle"]}},
        schedule={**schedules, "when": {"model": "unet"}},
    )
    names = [parameter.name for parameter in space.parameters]
    assert names.index("schedule") < names.index("warmup")
    seen = set()
    for values in draw(space, 60):
        assert ("schedule" in values) == (values["model"] == "unet")
        warms = values.get("schedule") in ("cosine", "onecycle")
        assert ("warmup" in values) == warms
        seen.add(warms)
    assert seen == {True, False}


def test_numbers_as_text_and_overrides_of_dotted_keys_are_read(space_of: MakeSpace) -> None:
    # PyYAML reads 1e-3 without a dot as a string.
    assert space_of(lr=yaml.safe_load("1e-3")).constants["lr"] == 1e-3
    ranged = space_of(lr=yaml.safe_load("{type: float, low: 1e-4, high: 1e-2}"))
    assert ranged.parameters[2].distribution == FloatDistribution(1e-4, 1e-2)
    # What `--set search.space.model_kwargs.width.high=24` makes of it.
    space = space_of(model_kwargs={"width": {"high": 24}})
    assert space.parameters[-1].name == "model_kwargs.width"
    assert space.parameters[-1].distribution.high == 24


def test_lists_can_be_chosen_from(space_of: MakeSpace) -> None:
    wide, narrow = [16, 32, 64, 64, 128], [8, 16, 32, 32, 64]
    space = space_of(
        model="autoencoder",
        model_kwargs__width=None,
        model_kwargs__channels={"type": "categorical", "choices": [wide, narrow]},
    )
    drawn = [space.fit_config(values).model_kwargs["channels"] for values in draw(space, 10)]
    assert wide in drawn
    assert narrow in drawn


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lrr: 1.0e-3", "unknown key 'lrr' in search.space; did you mean 'lr'?"),
        ("milestones: [1]", "unknown key 'milestones'"),
        ("lr: {type: flot, low: 1, high: 2}", "has the unknown type 'flot'; did you mean 'float'"),
        ("lr: {low: 1, high: 2}", "search.space.lr has no type (valid: float, int, categorical)"),
        ("lr: {type: float, lo: 1, high: 2}", "search.space.lr.lo'; did you mean 'low'?"),
        ("lr: {type: float, low: 1}", "'search.space.lr.high' is missing"),
        ("lr: {type: float, low: 2, high: 1}", "`low <= high` must hold"),
        ("lr: {type: float, low: 0, high: 1, log: true}", "`low > 0` must hold for `log=True`"),
        ("lr: {type: float, low: a, high: 1}", "valid number, unable to parse string as a number"),
        ("lr: {type: float, low: true, high: 1}", "'search.space.lr.low' is wrong"),
        ("lr: {type: float, low: 1, high: 2, log: yess}", "should be a valid boolean, got 'yess'"),
        ("lr: {type: categorical, choices: []}", "lr.choices' is wrong: list should have at least"),
        ("lr: {type: categorical, choices: [1.0e-3, 1e-3]}", "name a value twice"),
        ("batch_size: {type: float, low: 8, high: 16}", "whole numbers: use type int"),
        (
            "batch_size: {type: int, low: 8.5, high: 16}",
            "low' is wrong: input should be a valid int",
        ),
        (
            "batch_size: {type: int, low: 0, high: 16}",
            "'batch_size' is wrong: input should be greater",
        ),
        ("optimizer: {type: int, low: 0, high: 1}", "should be 'adam' or 'adamw', got 0"),
        ("optimizer: adamx", "should be 'adam' or 'adamw'; did you mean 'adam'?, got 'adamx'"),
        ("optimizer: {type: categorical, choices: [adam, adamv]}", "did you mean 'adam"),
        ("warmup: {type: float, low: 0, high: 0.5, step: 0.2}", "nearest range is [0.0, 0.4]"),
        ("epochs: 2.5", "'search.space.epochs' is wrong: input should be a valid integer"),
        ("flip: 1", "'search.space.flip' is wrong: input should be a valid boolean, got 1"),
        ("model: autoencodr", "'autoencodr' is not a colorizer model; did you mean 'autoencoder'?"),
        ("model: cnn2", "'cnn2' is not a colorizer model"),
        ("head: {type: categorical, choices: [relu, tahn]}", "did you mean 'tanh'?"),
        ("head: [relu, tanh]", "choose from it, write {type: categorical, choices: [relu, tanh]}"),
        ("lr: null", "search.space needs 'lr'"),
        ("lr: -1", "a training that is not possible: 'lr' is wrong"),
        (
            "{model: unet, head: relu, lr: -1, batch_size: 8, model_kwargs.width: 16}",
            "'lr' is wrong: input should be greater than 0, got -1.0$",
        ),
        ("model_kwargs: 3", "unknown key 'model_kwargs'"),
        (f"model_kwargs.widht: {WIDTH}", "did you mean 'model_kwargs.width'?"),
        (
            "model_kwargs.width: {type: int, low: 16, high: 48, step: 8}",
            "unknown argument of autoencoder 'width'",
        ),
        ("{model: unet, model_kwargs.width: [16, 24]}", "width of unet must be positive whole"),
        (f"model_kwargs.width: {WIDTH.replace('8', '4')}", "width of unet must be a multiple of 8"),
        (f"model_kwargs.width: {WIDTH.replace('model', 'modle')}", "did you mean 'model'?"),
        (
            f"model_kwargs.width: {WIDTH.replace('unet', 'unett')}",
            "model is never 'unett'; did you mean 'unet'? (valid: autoencoder | unet)",
        ),
        (f"flip: {FLIP.replace('WHEN', '{epochs: 3}')}", "epochs is never 3 (valid: 9)"),
        (f"flip: {FLIP.replace('WHEN', '{lr: 0.1}')}", "lr is continuous"),
        (
            f"flip: {FLIP.replace('WHEN', 'unet')}",
            "flip.when' is wrong: input should be a valid di",
        ),
        (
            "head: {type: categorical, choices: [relu], when: {model: unet}}",
            "head cannot have a `when`",
        ),
        (
            f"{{flip: {FLIP.replace('WHEN', '{shuffle: true}')}, "
            f"shuffle: {FLIP.replace('WHEN', '{flip: true}')}}}",
            "the `when` of flip and shuffle depend on each other",
        ),
    ],
)
def test_invalid_spaces_are_one_line(change: str, message: str, space_of: MakeSpace) -> None:
    changes = {key.replace(".", "__"): value for key, value in yaml.safe_load(change).items()}
    with pytest.raises(ChromatuneError) as refusal:
        space_of(**changes)
    assert message in f"{refusal.value}$"
    assert "\n" not in str(refusal.value)


def test_what_only_some_models_take_is_refused_for_the_others() -> None:
    models = {"type": "categorical", "choices": ["cnn2", "unet_mean"]}
    entries = {"model": models, "head": "relu", "lr": 1e-3, "epochs": 2}
    weight = {"type": "float", "low": 0.0, "high": 1.0}
    with pytest.raises(ChromatuneError, match="mean_weight is of no use"):
        read_space("regression", {**entries, "mean_weight": weight}, TrainingConfig(), 64)
    entries["mean_weight"] = {**weight, "when": {"model": "unet_mean"}}
    assert read_space("regression", entries, TrainingConfig(), 64).needs_planes


def test_a_training_is_found_in_the_space_it_came_from(space_of: MakeSpace) -> None:
    space = space_of()
    for values in draw(space, 20):
        fit = dataclasses.replace(space.fit_config(values), keep="last", seed=7)
        assert space.locate(fit) == space.chosen(values)


def test_a_cell_of_the_reports_grid_lies_in_a_space_that_covers_it(space_of: MakeSpace) -> None:
    cell = FitConfig("autoencoder", "tanh", 1e-3, (9,), image_size=64)
    latent = {"type": "int", "low": 256, "high": 512, "step": 256}
    covering = {
        "batch_size": 100,
        "optimizer": {"type": "categorical", "choices": ["adam", "adamw"]},
        "model_kwargs__latent": {**latent, "when": {"model": "autoencoder"}},
    }
    assert space_of(**covering).locate(cell) == {
        "model": "autoencoder",
        "head": "tanh",
        "lr": 1e-3,
        "optimizer": "adam",
        "model_kwargs.latent": 512,
    }
    one_model = {"model": "autoencoder", "model_kwargs__width": None}
    for changes in (
        {"batch_size": 50},
        {"epochs": 10},
        {"lr": {"type": "float", "low": 1e-5, "high": 1e-4}},
        {"optimizer": "adamw"},
        {"schedule": "cosine"},
        {"model_kwargs__latent": 256, **one_model},
    ):
        assert space_of(**{**covering, **changes}).locate(cell) is None


def test_points_are_checked_against_the_space(space_of: MakeSpace) -> None:
    space = space_of()
    assert space.checked_point({"lr": "1e-3", "model": "unet", "epochs": 9}) == {
        "lr": 1e-3,
        "model": "unet",
    }
    # What counts only for one value of a key that is left out implies that value.
    width = {"model_kwargs.width": 16}
    assert space.checked_point(width) == {"model": "unet", **width}
    for point, message in (
        ({"lrr": 1}, "unknown key 'lrr'; did you mean 'lr'?"),
        ({"lr": 1.0}, "not in the space: float 0.0001 to 0.01, log"),
        ({"head": "sigmoid"}, "not in the space: relu | tanh"),
        ({"epochs": 3}, "epochs=3, which is not in the space: 9"),
        ({"model": "autoencoder", "model_kwargs.width": 16}, "counts only for model unet"),
    ):
        with pytest.raises(ChromatuneError) as refusal:
            space.checked_point(point)
        assert message in str(refusal.value)


@settings(max_examples=60, deadline=None)
@given(low=st.integers(1, 50), steps=st.integers(0, 20), step=st.integers(1, 9))
def test_any_int_range_holds_exactly_its_steps(low: int, steps: int, step: int) -> None:
    entry = {"type": "int", "low": low, "high": low + steps * step, "step": step}
    distribution, *_ = read_entry("batch_size", entry)
    expected = [low + index * step for index in range(steps + 1)]
    assert list(values_of("batch_size", distribution)) == expected
    assert all(contains(distribution, value) for value in expected)
    assert contains(distribution, low + 1) == (step == 1 and steps > 0)
    assert not contains(distribution, True)
