"""A dry run shows what a search would do, and writes nothing."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from rich.console import Console

from tests.tuning.search.test_promotion import Search
from tuning.config.schema import ResourcesConfig, resolve
from tuning.config.search import SearchLaunchConfig
from tuning.launch.trainings import Training
from tuning.search.plan import SearchPlan
from tuning.search.warm_start import WarmStart
from tuning.training.config import FitConfig
from tuning.training.devices import bfloat16_unit
from tuning.workflows import search_dry_run as dry_run
from tuning.workflows.search_dry_run import dry_run_table, expected_epochs

SPACE = yaml.safe_load((Path(__file__).parent / "space.yaml").read_text())


def config_of(tmp_path: Path, **search: Any) -> SearchLaunchConfig:
    return resolve(
        SearchLaunchConfig,
        defaults={
            "data": {
                "dataset": "synthetic-faces",
                "count": 12,
                "size": 64,
                "augment": 1,
                "root": str(tmp_path / "data"),
            },
            "storage_path": str(tmp_path / "launches"),
            "search": {"space": SPACE} | search,
        },
    )


@pytest.fixture(autouse=True)
def _plain_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "bfloat16_unit", lambda: None)


def test_bfloat16_is_measured_where_the_processor_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "bfloat16_unit", lambda: "AMX")
    monkeypatch.setattr(
        dry_run,
        "_seconds_per_epoch",
        lambda fit, *_: {"float32": 3.0, "bfloat16": 2.0}[fit.precision],
    )
    config = config_of(tmp_path, num_samples=2)
    asked = dry_run_table("colorizer", config).tables()[1].notes
    assert any("`precision: bfloat16` gains on this CPU, which has AMX" in note for note in asked)
    timed = dry_run_table("colorizer", config, time_it=True)
    assert timed.cost.bfloat16 == 1.5
    found = "with `precision: bfloat16`, 1.5 times as fast on this CPU (measured)"
    assert found in timed.tables()[1].notes
    chosen = config_of(tmp_path, num_samples=2, space=SPACE | {"precision": "bfloat16"})
    assert dry_run_table("colorizer", chosen, time_it=True).cost.bfloat16 is None


@pytest.mark.parametrize(
    ("flags", "unit"),
    [("avx2 avx512_bf16 amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16"), ("avx512f amx", None)],
)
def test_units_for_bfloat16_are_found_among_the_flags(
    flags: str, unit: str | None, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: CPU\nflags\t\t: fpu {flags}\n")
    assert bfloat16_unit(tmp_path / "cpuinfo") == unit
    assert bfloat16_unit(tmp_path / "none") is None


def test_a_dry_run_shows_the_first_suggestions_of_the_search(tmp_path: Path, script: Any) -> None:
    options = {"sampler": "random", "points": [{"lr": 5e-3}], "num_samples": 4}
    config = config_of(tmp_path, **options)
    table = dry_run_table("colorizer", config, time_it=True)
    search = script(sampler="random", total=4)
    search.study.enqueue_trial({"lr": 5e-3})
    numbers = [int(search.next().training_id[:4]) for _ in range(4)]
    assert list(table.suggestions) == [search.trial(number).params for number in numbers]
    assert not (tmp_path / "launches").exists()

    console = Console(file=io.StringIO(), width=100)
    console.print(table.rich())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for words in (
        "float 0.0001 to 0.01, log",
        "model unet",
        "4 trials by random for val_psnr:max, scheduler asha",
        "36 epochs (",
        "if no trial is stopped early",
    ):
        assert words in shown
    document = table.to_json()
    assert document["cost"]["epochs"] == 36
    assert document["cost"]["hours"] == pytest.approx(
        36 * document["cost"]["seconds_per_epoch"] / 3600
    )
    assert document["cost"]["seconds_per_epoch"] > 0
    assert r"| **model\_kwargs.width** | int 16 to 48, step 8 | model unet |" in table.markdown()


def test_priors_are_shown_and_tried_first(tmp_path: Path) -> None:
    rate = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "prior": 2e-3}
    table = dry_run_table("colorizer", config_of(tmp_path, space=SPACE | {"lr": rate}))
    assert table.suggestions[0]["lr"] == 2e-3
    [shown] = [line["values"] for line in table.to_json()["space"] if line["key"] == "lr"]
    assert shown == "float 0.0001 to 0.01, log, prior 2e-3 (medium)"


@pytest.mark.parametrize(("num_samples", "epochs"), [(9, 30), (3, 14)])
def test_the_cost_of_a_grid_is_that_of_its_points(
    num_samples: int,
    epochs: int,
    tmp_path: Path,
    script: Any,
    space_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dry_run, "_seconds_per_epoch", lambda *_: 60.0)
    space = {
        **{"model": "autoencoder", "head": "tanh", "batch_size": 8},
        "lr": {"type": "float", "low": 0.1, "high": 0.3, "step": 0.1},
        "epochs": {"type": "categorical", "choices": [4, 6]},
    }
    options = {"sampler": "grid", "points": [{"lr": 0.2, "epochs": 4}], "num_samples": num_samples}
    limits = {"budget_cpu_hours": 2.5}
    config = config_of(tmp_path, **options, **limits, space=space)
    config = config.model_copy(update={"resources": ResourcesConfig(time_budget_s=90)})
    table = dry_run_table("colorizer", config, time_it=True)

    search = script(
        space=space_of(yaml.safe_dump(space, sort_keys=False)), sampler="grid", total=num_samples
    )
    search.study.enqueue_trial({"lr": 0.2, "epochs": 4})
    tried = []
    while (assignment := search.ledger.next()) is not None:
        tried.append(search.trial(int(assignment.training_id[:4])).params)
    assert len(tried) == min(num_samples, 6)
    assert list(table.suggestions) == tried[:5]
    assert table.cost.trials == len(tried)
    assert table.cost.epochs == sum(params["epochs"] for params in tried) == epochs
    assert table.cost.hours == pytest.approx(epochs / 60)
    lines = table.markdown()
    assert ("the grid has no more points: 9 trials were requested" in lines) == (num_samples == 9)
    assert table.to_json()["limits"] == {"gpu_hours": None, "cpu_hours": 2.5, "seconds": 90}
    assert "- at most 2.5 CPU hours\n- at most 1:30 of wall time\n" in lines


def test_suggestions_follow_known_results_and_do_not_repeat_them(
    tmp_path: Path, monkeypatch: Any
) -> None:
    values = list(range(1, 41))
    space = {"model": "autoencoder", "head": "tanh", "epochs": 9, "lr": 1e-3}
    space["batch_size"] = {"type": "categorical", "choices": values}

    def feed(study: optuna.Study, plan: SearchPlan, *_: Any, **__: Any) -> WarmStart:
        distributions = {p.name: p.distribution for p in plan.space.parameters}
        for value in values[::2]:
            score = float(value)
            known = optuna.trial.create_trial(
                value=score,
                params={"batch_size": value},
                distributions=distributions,
                intermediate_values=dict.fromkeys((1, 3, 9), score),
            )
            study.add_trial(known)
        return WarmStart(20, 0)

    monkeypatch.setattr(dry_run, "feed_known", feed)
    table = dry_run_table("colorizer", config_of(tmp_path, space=space, num_samples=5))
    suggested = {point["batch_size"] for point in table.suggestions}
    assert len(suggested) == 5
    assert not suggested & set(values[::2])


def test_a_known_grid_costs_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    space = {"model": "autoencoder", "head": "tanh", "batch_size": 8, "lr": 0.1}
    space["epochs"] = {"type": "categorical", "choices": [4, 6]}

    def feed(study: optuna.Study, plan: SearchPlan, *_: Any, **__: Any) -> WarmStart:
        for point in plan.space.grid():
            distributions = {p.name: p.distribution for p in plan.space.parameters}
            known = optuna.trial.create_trial(value=30.0, params=point, distributions=distributions)
            study.add_trial(known)
        return WarmStart(2, 0)

    monkeypatch.setattr(dry_run, "feed_known", feed)
    config = config_of(tmp_path, sampler="grid", space=space)
    table = dry_run_table("colorizer", config, time_it=True)
    assert not table.suggestions
    assert (table.cost.trials, table.cost.epochs, table.cost.hours) == (0, 0, 0.0)
    assert r"- 0 trials by grid for val\_psnr:max" in table.markdown()
    assert "an epoch" not in table.markdown()


def test_without_being_asked_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fit", "load_task_data"):
        monkeypatch.setattr(dry_run, name, lambda *_, **__: pytest.fail("something is trained"))
    table = dry_run_table("colorizer", config_of(tmp_path, num_samples=7))
    assert (
        "63 epochs, if no trial is stopped early and all are as long as the mean of 5 suggestions; "
        "--time-it trains a few epochs to measure the hours"
    ) in table.tables()[1].notes
    # Rungs 1 and 3 of 9: 7 trials to epoch 1, a third of them to 3, one to the end.
    cost = {"trials": 7, "epochs": 63, "expected_epochs": round(7 * 1 + 7 / 3 * 2 + 1 * 6)}
    untimed = {"device": None, "seconds_per_epoch": None, "hours": None, "bfloat16": None}
    assert table.to_json()["cost"] == cost | untimed
    assert (
        "about 18 epochs with asha: one of 3 trials goes on at each rung (epochs 1, 3)"
    ) in table.tables()[1].notes


def test_the_expected_epochs_are_about_those_of_a_search(script: Any, space_of: Any) -> None:
    options = {"grace_period": 1, "sampler": "random"}
    search = Search(script(space=space_of(epochs=9), total=40, **options))
    trained = len(search.run())
    fits = [Training.from_dict(each).fit for each in search.script.written.values()]
    assert expected_epochs(search.script.plan, fits, 40) == pytest.approx(trained, rel=0.25)


def test_trials_after_warmup_and_without_rungs_cost_more(script: Any, space_of: Any) -> None:
    plan = script(space=space_of(epochs=27), grace_period=1).plan
    fit = FitConfig("autoencoder", "tanh", 1e-3, (27,))
    late = dataclasses.replace(fit, schedule="onecycle", warmup=0.2)
    # Rungs 1, 3, 9; the warm-up of 5.4 epochs leaves the last.
    assert expected_epochs(plan, [fit], 27) == 27 * 1 + 9 * 2 + 3 * 6 + 1 * 18
    assert expected_epochs(plan, [late], 27) == 27 * 9 + 9 * 18
    assert expected_epochs(script(scheduler="none").plan, [fit], 27) is None


def test_what_is_not_counted_is_said(tmp_path: Path) -> None:
    config = config_of(tmp_path, confirm="2x3", max_stagnation_trials=5)
    notes = dry_run_table("colorizer", config).tables()[1].notes
    assert "fewer if 5 trials in a row do not improve the best score" in notes
    (confirmation,) = [note for note in notes if note.startswith("confirmation")]
    assert "the best 2 with 3 seeds: 4 to 6 more trainings" in confirmation
