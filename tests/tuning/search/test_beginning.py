"""What a study begins with: configurations to try first."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from rich.console import Console

from tuning.config.search import SearchLaunchConfig
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.search.plan import plan_search
from tuning.workflows.search_study import config_of, enqueue

SPACE = yaml.safe_load((Path(__file__).parent / "space.yaml").read_text())
WIDTH = "model_kwargs.width"


def test_points_that_are_known_are_not_tried_again_and_that_is_said(
    script: Any, space_of: Any
) -> None:
    space = space_of(model="autoencoder", model_kwargs__width=None, batch_size=8)
    search = script(space=space, sampler="random")
    point = {"lr": 5e-3, "head": "tanh"}
    console = Console(file=io.StringIO())
    enqueue(search.study, space, [point, {"lr": 1e-3}], console)
    assert not console.file.getvalue()  # type: ignore[attr-defined]
    search.run(search.next(), [30.0])
    enqueue(search.study, space, [point, {"lr": 1e-3}, {"lr": 2e-3}], console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said == "2 of 3 points known already, not tried again\n"
    tried = [search.trial(int(search.next().training_id[:4])).params for _ in range(2)]
    assert [one["lr"] for one in tried] == [1e-3, 2e-3]


def test_a_search_that_is_resumed_draws_in_the_order_it_began_with(script: Any) -> None:
    config = SearchLaunchConfig.model_validate({"search": {"space": SPACE, "sampler": "random"}})
    storage = script().launch.storage
    storage.write_json("launch.json", {"config": config.model_dump(mode="json")})
    again = config_of(Launch(storage, storage.read_json("launch.json")))
    before, after = (plan_search("colorizer", one, 64).space for one in (config, again))
    assert after.names == before.names == ["model", "head", "lr", "batch_size", WIDTH]
    drawn = [
        space.sample(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask())
        for space in (before, after)
    ]
    assert drawn[0] == drawn[1]


def test_one_wrong_point_queues_none(script: Any) -> None:
    search = script()
    with pytest.raises(ChromatuneError, match="did you mean 'lr'"):
        enqueue(search.study, search.space, [{"lr": 5e-3}, {"lrr": 5e-3}])
    assert not search.study.trials
