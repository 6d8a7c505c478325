"""What a study begins with: configurations to try first."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tuning.errors import ChromatuneError
from tuning.search.beginning import enqueue


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
    tried = [search.trial(search.next().number).params for _ in range(2)]
    assert [one["lr"] for one in tried] == [1e-3, 2e-3]


def test_one_wrong_point_queues_none(script: Any) -> None:
    search = script()
    with pytest.raises(ChromatuneError, match="did you mean 'lr'"):
        enqueue(search.study, search.space, [{"lr": 5e-3}, {"lrr": 5e-3}])
    assert not search.study.trials
