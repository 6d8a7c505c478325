"""Study and launch folder stay in step, whenever the process between them dies.

That nothing is lost or repeated is tested with the other sources, in launch/test_trial_source.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import TrialState

from tuning.search.samplers import make_sampler, seed_of

MakeScript = Callable[..., Any]
ONE_RATE = {"type": "categorical", "choices": [1e-3]}


def test_a_trial_is_told_its_best_value_and_not_its_last(script: MakeScript) -> None:
    search = script()
    search.run(search.next(), [30.0, 34.0, 33.0])
    search.run(search.next(), [31.0, 30.5], outcome="pruned")
    search.end([31.0, 32.0, 30.0], "pruned")  # its reports were lost
    told = search.study.trials
    assert [trial.value for trial in told] == [34.0, 31.0, 32.0]
    assert [trial.state for trial in told] == [TrialState.COMPLETE, *[TrialState.PRUNED] * 2]
    outcomes = [trial.user_attrs["outcome"] for trial in told]
    assert outcomes == ["finished", "pruned", "pruned"]
    assert told[0].user_attrs["kept_epoch"] == 2
    assert told[0].intermediate_values == {1: 30.0, 2: 34.0, 3: 34.0}


def test_failed_and_diverged_trials_are_told_apart(script: MakeScript) -> None:
    search = script()
    for outcome in ("diverged", "failed"):
        search.ledger.failed(search.next().training_id, outcome, f"{outcome} in epoch 3")
    assert [trial.state for trial in search.study.trials] == [TrialState.FAIL] * 2
    assert [trial.user_attrs["outcome"] for trial in search.study.trials] == ["diverged", "failed"]
    assert search.trial(1).user_attrs["message"] == "failed in epoch 3"
    # What has failed is not tried again by whoever goes on.
    assert all((search.folder / name / "failed.json").exists() for name in search.written)


def test_trainings_are_named_after_their_trials_and_written_down(script: MakeScript) -> None:
    search = script()
    assignments = [search.next() for _ in range(3)]
    names = [assignment.training_id for assignment in assignments]
    assert [name[:5] for name in names] == ["0000-", "0001-", "0002-"]
    first = assignments[0].training
    assert search.written[names[0]]["params"]["lr"] == first.fit.lr == search.trial(0).params["lr"]
    assert first.fit.keep == "best"
    assert [training.training_id for training in search.launch.trainings] == sorted(names)


def test_more_can_be_added_on_top(script: MakeScript) -> None:
    search = script(total=2)
    for _ in range(2):
        search.end([30.0])
    search.total = 3
    search.open()
    assert number_of(search.next()) == 2
    assert search.ledger.next() is None


@pytest.mark.parametrize(
    "sampler", ["tpe", "random", "gp", "cmaes", "grid", "optuna.samplers:NSGAIISampler"]
)
def test_the_same_seed_suggests_the_same_also_after_an_interruption(
    sampler: str, script: MakeScript, space_of: Any
) -> None:
    space = space_of(lr=ONE_RATE) if sampler == "grid" else space_of()
    options = {"n_startup_trials": 2} if sampler in ("tpe", "gp") else {}
    search = {"sampler": sampler, "sampler_options": options, "scheduler": "none"}

    def run(folder: str, seed: int, reopened: tuple[int, ...] = ()) -> list[dict[str, Any]]:
        made = script(folder=folder, seed=seed, total=5, space=space, **search)
        for count in range(5):
            if count in reopened:
                made.open()  # a new process
            made.run(made.next(), [30.0 + count % 3])
        return [trial.params for trial in made.study.trials]

    once = run("once", 1)
    assert run("again", 1, reopened=(1, 4)) == once
    assert len({repr(params) for params in once}) == 5
    if sampler != "grid":
        assert run("other", 2) != once


def test_a_trial_whose_training_ended_unheard_is_told_its_result(script: MakeScript) -> None:
    search = script()
    finished, pruned, diverged = (search.next().training_id for _ in range(3))
    search.write_cell(finished, [30.0, 33.0, 31.0])
    search.write_cell(pruned, [29.0, 28.0], "pruned")
    search.launch.storage.write_json(
        f"{diverged}/failed.json", {"outcome": "diverged", "message": "NaN", "history": []}
    )
    ledger = search.open()
    states = [trial.state for trial in search.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert [search.trial(number).value for number in (0, 1)] == [33.0, 29.0]
    assert search.trial(2).user_attrs["outcome"] == "diverged"
    assert not ledger.live
    assert number_of(search.next()) == 3


def test_a_stopped_training_is_no_finished_one(script: MakeScript) -> None:
    search = script()
    name = search.next().training_id
    assert [(training.training_id, outcome) for training, outcome in search.ledger.stopped()] == [
        (name, "stopped")
    ]
    search.write_cell(name, [30.0], "stopped")
    assert search.trial(0).state == TrialState.RUNNING
    assert search.trial(0).user_attrs["outcome"] == "stopped"
    search.open()
    assert search.next().training_id == name


def test_what_was_to_stop_when_the_process_died_is_stopped_by_the_next(script: MakeScript) -> None:
    search = script(grace_period=1, scheduler="asha-stop")
    search.run(search.next(), [30.0])
    for _ in range(2):
        name = search.next().training_id
        assert search.ledger.observe(name, 1, 29.0) == "stop"
        search.open()


@pytest.mark.parametrize("objectives", [[], ["val_psnr:max", "parameters:min"]])
def test_a_resumed_trial_is_stopped_where_it_would_have_been(
    objectives: list[str], script: MakeScript
) -> None:
    search = script(grace_period=1, scheduler="asha-stop", objectives=objectives)
    search.run(search.next(), [30.0, 30.0, 30.0])
    assert search.ledger.observe(search.next().training_id, 1, 31.0) == "train"
    for _ in range(2):
        (name,) = (one.training_id for one in search.ledger.live)
        assert search.ledger.observe(name, 3, 29.0) == "stop"
        search.open()  # before the trial could be stopped, from a checkpoint before epoch 1
        assert search.ledger.observe(search.next().training_id, 1, 31.0) == "train"


def test_scores_that_a_killed_trial_could_not_report_are_read_from_its_cell(
    script: MakeScript,
) -> None:
    search = script(grace_period=1, scheduler="asha-stop", objectives=["val_mse:min"])
    name = search.next().training_id
    search.ledger.observe(name, 1, 0.1)
    search.write_cell(name, [10.0, 30.0, 20.0])
    search.open()
    scores = search.trial(0).intermediate_values
    assert scores == pytest.approx({1: 0.1, 2: 0.001, 3: 0.001})
    assert search.ledger.observe(search.next().training_id, 3, 0.05) == "stop"


@pytest.mark.parametrize("drawn", range(1, 4))
@pytest.mark.parametrize(("seed", "in_database"), [(0, False), (1, False), (2, False), (0, True)])
def test_a_trial_that_was_killed_while_it_was_drawn_is_drawn_to_the_end(
    script: MakeScript, drawn: int, seed: int, in_database: bool
) -> None:
    """Whatever was drawn before, the rest is what an undisturbed process would have drawn."""
    expected = script(folder="undisturbed", seed=seed).next().training

    killed = script(folder="killed", seed=seed, in_database=in_database)
    killed.study.sampler = make_sampler(killed.plan.search, seed_of(seed, 0))
    trial = killed.study.ask()
    trial.set_user_attr("launch_id", "search-1")
    for parameter in killed.plan.space.parameters[:drawn]:
        parameter.suggest(trial)
    assert killed.open().next().training == expected


def test_points_come_first_and_what_they_leave_open_is_drawn(script: MakeScript) -> None:
    search = script()
    search.study.enqueue_trial({"lr": 5e-3, "model": "unet"})
    fit = search.next().training.fit
    assert (fit.lr, fit.model) == (5e-3, "unet")
    assert fit.model_kwargs["width"] in range(16, 49, 8)


def test_a_grid_is_tried_whole_each_point_once(script: MakeScript, space_of: Any) -> None:
    space = space_of(lr=ONE_RATE)
    search = script(space=space, sampler="grid", scheduler="none", total=100)
    while (assignment := search.ledger.next()) is not None:
        search.run(assignment, [30.0])
    seen = [repr(sorted(trial.params.items())) for trial in search.study.trials]
    # 2 heads x 2 batch sizes x (autoencoder, or a U-Net of 5 widths)
    assert len(seen) == len(set(seen)) == 24
    assert search.ledger.is_over


def test_several_objectives_are_told_as_such(script: MakeScript) -> None:
    search = script(objectives=["val_psnr:max", "parameters:min"])
    name = search.next().training_id
    search.ledger.observe(name, 1, 31.0)
    search.write_cell(name, [31.0, 30.0], parameters=5)
    search.ledger.ended(name)
    assert search.trial(0).values == [31.0, 5.0]
    search.end([29.0], "pruned")
    assert search.trial(1).state == TrialState.PRUNED
    assert search.trial(1).user_attrs["figures"]["val_psnr"] == 29.0
    assert [trial.number for trial in search.study.best_trials] == [0]
    search.next()


def test_trials_of_another_launch_in_the_same_study_are_left_alone(script: MakeScript) -> None:
    search = script(total=1)
    search.end([30.0])
    foreign = search.study.ask()
    foreign.set_user_attr("launch_id", "search-2")
    search.total = 2
    search.open()
    assert number_of(search.next()) == 2
    assert search.trial(1).state == TrialState.RUNNING


def number_of(assignment: Any) -> int:
    return int(assignment.training_id[:4])
