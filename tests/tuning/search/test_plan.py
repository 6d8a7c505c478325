"""A search's configuration as a whole: points that settings have pushed out of the space."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tuning.config.schema import configs_folder, resolve
from tuning.config.search import SearchLaunchConfig
from tuning.display.formatting import format_count
from tuning.errors import ChromatuneError
from tuning.search.plan import SearchPlan, plan_search
from tuning.training.tasks import TASKS

FILES = {task: configs_folder() / f"search_{task}.yaml" for task in TASKS}
SPACES = {task: yaml.safe_load(file.read_text())["search"]["space"] for task, file in FILES.items()}


def plan(task: Any, *overrides: str, **options: Any) -> SearchPlan:
    config = resolve(SearchLaunchConfig, file=FILES[task], overrides=overrides)
    return plan_search(task, config, 64, **options)


def narrowed(entry: dict[str, Any]) -> list[Any]:
    """Settings of a key: each of its choices, or the ends of a range and its lower half."""
    if "choices" in entry:
        return list(entry["choices"])
    low, high = entry["low"], entry["high"]
    return [low, high, {**entry, "high": low}]


SETTINGS = [
    (task, name, value)
    for task in TASKS
    for name, entry in SPACES[task].items()
    if isinstance(entry, dict)
    for value in narrowed(entry)
    if "when" not in entry or isinstance(value, dict)  # a value has no condition
]


@pytest.mark.parametrize(("task", "name", "value"), SETTINGS)
def test_no_setting_of_a_key_fails_on_the_points_of_a_file(
    task: str, name: str, value: Any
) -> None:
    whole = plan(task)
    count = len(whole.points)
    assert count == len(whole.search.points) > 0
    assert not any("dropped" in line for line in whole.advice)
    changed = plan(task, f"search.space.{name}={json.dumps(value)}")
    fits = value["low"] if isinstance(value, dict) else value
    dropped = sum(point.get(name, fits) != fits for point in whole.points)
    assert len(changed.points) == count - dropped
    lines = [line for line in changed.advice if line.startswith("dropped ")]
    assert len(lines) == (dropped > 0)
    for line in lines:
        assert line.startswith(f"dropped {dropped} of {format_count(count, 'point')}, which no")
        assert f": a point has {name}=" in line


def test_points_that_settings_exclude_are_dropped_with_the_reason() -> None:
    changed = plan("colorizer", "search.space.model=autoencoder")
    assert [point["model"] for point in changed.points] == ["autoencoder"]
    assert changed.advice == (
        "dropped 1 of 2 points, which no longer fit: a point has model='unet', which is not in "
        "the space: autoencoder",
    )
    names = [parameter.name for parameter in changed.space.parameters]
    assert [name for name in names if "model" in name] == ["model_kwargs.latent"]
    gone = plan("colorizer", "search.space.shuffle=null")
    assert not gone.points
    assert (
        "dropped 2 of 2 points, which no longer fit: a point has the unknown key 'shuffle'"
        in (gone.advice[0])
    )


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        ("[{lrr: 1.0e-3}]", {}, "did you mean 'lr'"),
        ("[{lr: fast}]", {"strict_points": True}, "lr"),
        ("[{lr: 3.0}]", {"strict_points": True}, "lr=3.0, which is not in the space"),
    ],
)
def test_misspelled_points_and_those_just_given_are_rejected(
    points: str, options: Any, message: str
) -> None:
    with pytest.raises(ChromatuneError, match=message):
        plan("colorizer", f"search.points={points}", **options)
