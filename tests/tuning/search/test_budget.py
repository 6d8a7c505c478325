"""What a search may spend is counted over interruptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuning.launch.storage import LaunchStorage
from tuning.search.budget import Allowance, Budget


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_devices_are_counted_by_the_share_that_is_held(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(LaunchStorage(tmp_path), clock=clock)
    budget.allow(Allowance(20, gpu_hours=1.0))
    budget.trial_began("a", cpus=1, gpus=0.25)
    budget.trial_began("b", cpus=2, gpus=0.5)
    clock.now += 3600
    assert budget.spent.gpu_hours == pytest.approx(0.75)
    assert budget.spent.cpu_hours == pytest.approx(3)
    assert budget.used_up() is None
    budget.trial_ended("a")
    clock.now += 1800
    assert budget.spent.gpu_hours == pytest.approx(1.0)
    assert budget.used_up() == "the budget of 1 GPU hours is used up"


def test_an_interruption_forgets_nothing_and_an_extension_adds(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(LaunchStorage(tmp_path), clock=clock)
    budget.allow(Allowance(20, cpu_hours=1.0))
    budget.trial_began("a", cpus=1, gpus=0)
    clock.now += 3600
    assert budget.used_up() is not None  # saved meanwhile, with what runs
    again = Budget(LaunchStorage(tmp_path), clock=clock)
    assert again.spent.cpu_hours == pytest.approx(1.0)
    assert again.used_up() == "the budget of 1 CPU hours is used up"
    again.allow(Allowance(5, cpu_hours=0.5))
    assert again.allowance == Allowance(25, None, pytest.approx(1.5))
    assert again.used_up() is None


def test_wall_time_begins_anew_with_each_process(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(LaunchStorage(tmp_path), wall_s=60, clock=clock)
    budget.allow(Allowance(20))
    clock.now += 61
    assert budget.used_up() == "the time budget is used up"
    assert Budget(LaunchStorage(tmp_path), wall_s=60, clock=clock).used_up() is None


def test_a_trial_that_is_begun_again_is_not_counted_twice(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(LaunchStorage(tmp_path), clock=clock)
    budget.trial_began("a", cpus=1, gpus=0)
    clock.now += 1800
    budget.trial_began("a", cpus=1, gpus=0)  # it crashed and was begun again
    clock.now += 1800
    budget.trial_ended("a")
    budget.trial_ended("a")
    assert budget.spent.cpu_hours == pytest.approx(1.0)


def test_a_storage_that_is_full_does_not_end_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    budget = Budget(LaunchStorage(tmp_path), clock=clock)
    budget.allow(Allowance(20, cpu_hours=1.0))
    budget.trial_began("a", cpus=1, gpus=0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LaunchStorage, "write_json", full)
        clock.now += 1800
        assert budget.used_up() is None
        budget.trial_ended("a")
    budget.save()
    assert Budget(LaunchStorage(tmp_path)).spent.cpu_hours == pytest.approx(0.5)


def test_what_was_allowed_for_nothing_is_taken_back(tmp_path: Path) -> None:
    budget = Budget(LaunchStorage(tmp_path))
    budget.allow(Allowance(20))
    budget.ended(is_over=True)
    before = budget.allowance
    budget.allow(Allowance(10))
    budget.restore(before, is_over=True)
    again = Budget(LaunchStorage(tmp_path))
    assert (again.allowance.num_samples, again.is_over) == (20, True)
