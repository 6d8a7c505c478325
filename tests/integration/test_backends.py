"""Launches on both backends: the same bits, whatever kills, stops or breaks them on the way."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tuning.launch.folder import open_launch

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

# Kinds of launches, on the backends where their interruption may differ.
KILLED = [
    ("grid", "ray"),
    ("grid", "serial"),
    ("search", "ray"),
    ("search", "serial"),
    ("finals", "serial"),
    ("finetune", "serial"),
]
ONE_SLOT = ["--max-concurrent-trials", "1"]


def words_of(kind: str, place: Any) -> list[str]:
    """A command of a launch of that kind, several trainings of seconds."""
    shared = [*place.data, *place.where, "--epochs", "15"]
    match kind:
        case "grid":
            return list(place.grid())
        case "search":
            return list(place.search("--num-samples", "3", epochs=40, grace_period=30))
        case "finals":
            rates = ["--lr", "1e-3", "--fc-lr", "1e-4", "--fc-epochs", "2"]
            return ["finals", "regression", *shared, *rates]
        case _:
            rates = ["--from", "synthetic-faces", "--lr", "1e-4", "--compare-scratch"]
            return ["finetune", "regression", *shared, *rates]


@pytest.fixture(scope="module")
def undisturbed(make_place: Any, finished_grid: Any, run: Callable[..., Any]) -> Any:
    """A function of a kind -> where such a launch ran to its end: grids on Ray, others serially."""
    places = {"grid": finished_grid[0]}

    def get(kind: str) -> Any:
        if kind not in places:
            place = places[kind] = make_place()
            prepare(kind, place, run)
            done = run(*words_of(kind, place), "--backend", "serial")
            assert done.status in (0, 1), done.err
            assert place.cells()
        return places[kind]

    return get


def prepare(kind: str, place: Any, run: Callable[..., Any]) -> None:
    """For what is trained further: a small champion, from a launch in another folder."""
    if kind == "finetune":
        model = ["--model", "cnn1", "--head", "relu", "--lr", "1e-4", "--epochs", "1", "--promote"]
        elsewhere = ["--storage-path", f"{place.folder}/earlier", "--backend", "serial"]
        trained = run("train", *model, *place.data, *place.where, *elsewhere)
        assert trained.status == 0, trained.err


@pytest.mark.parametrize(("kind", "backend"), KILLED)
def test_a_killed_driver_changes_nothing(
    kind: str, backend: str, place: Any, undisturbed: Any, run: Callable[..., Any]
) -> None:
    expected = undisturbed(kind)
    prepare(kind, place, run)
    driver = place.start(*words_of(kind, place), *ONE_SLOT, "--backend", backend)
    place.wait_for(driver, lambda: bool(place.cells()), "the first cell")
    driver.kill()
    before = {cell_id: cell["ended"] for cell_id, cell in place.cells().items()}
    assert 0 < len(before) < len(expected.cells())

    resumed = run(*place.resume(), "--backend", "serial")
    assert resumed.status in (0, 1), resumed.err
    assert {cell_id: place.cells()[cell_id]["ended"] for cell_id in before} == before
    place.assert_same_cells(expected)
    place.assert_once_in_mlflow()
    assert not list(place.launch().glob("*/checkpoint_*"))


@pytest.mark.parametrize(
    ("backend", "number", "then"),
    [("ray", signal.SIGTERM, "serial"), ("serial", signal.SIGINT, "ray")],
)
def test_a_stopped_launch_saves_its_last_epoch_and_resumes_with_the_same_bits(
    backend: str, number: int, then: str, place: Any, undisturbed: Any, run: Callable[..., Any]
) -> None:
    driver = place.start(*place.grid(), *ONE_SLOT, "--backend", backend)
    place.wait_for_first_cell(driver)
    if number == signal.SIGINT:  # as a terminal does: to every process of the foreground
        os.killpg(driver.process.pid, number)
    else:
        driver.process.terminate()
    stopped = driver.wait()
    assert stopped.status == 130, stopped.err
    assert f"stopped; resume with `chromatune resume {place.launch().name}`" in stopped.err
    assert "Traceback" not in stopped.err
    runs = place.runs()
    assert runs[""].info.status == "KILLED"
    assert "RUNNING" not in {run_.info.status for run_ in runs.values()}
    *_, state = sorted(place.launch().glob("*/checkpoint_*/state.json"))
    own = [run_ for name, run_ in runs.items() if name.startswith(state.parts[-3])]
    shown = [step for run_ in own for step, _ in place.metric(run_, "train_loss")]
    assert json.loads(state.read_text())["epoch"] >= max(shown)

    resumed = run(*place.resume(), "--backend", then)
    assert resumed.status == 0, resumed.err
    place.assert_same_cells(undisturbed("grid"))
    place.assert_once_in_mlflow()


def test_only_one_process_works_on_a_launch(undisturbed: Any, run: Callable[..., Any]) -> None:
    place = undisturbed("grid")
    with open_launch(str(place.launch()), "").held():
        refused = run(*place.resume())
    assert refused.status == 2
    assert "is in use by process" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert run(*place.resume()).status == 0


@pytest.mark.parametrize("backend", ["ray", "serial"])
def test_a_launch_out_of_time_resumes_and_a_trial_that_raises_is_retried(
    backend: str, place: Any, undisturbed: Any, run: Callable[..., Any]
) -> None:
    chosen = ["--backend", backend]
    stopped = run(*place.grid(), *chosen, "--time-budget-s", "0.01", "--max-failures", "1")
    assert stopped.status == 1, stopped.err
    assert f"chromatune resume {place.launch()}`" in stopped.err
    assert len(place.cells()) < len(undisturbed("grid").cells())
    assert "RUNNING" not in {run_.info.status for run_ in place.runs().values()}

    document = json.loads((place.launch() / "launch.json").read_text())
    document["config"]["resources"]["time_budget_s"] = None  # as if it had been long enough
    (place.launch() / "launch.json").write_text(json.dumps(document))
    name = "cnn1-relu-lr1e-4"
    assert not list(place.launch().glob(f"{name}/cells/*"))
    obstacle = place.launch() / name / f"cells/{name}-e2/model.safetensors"
    obstacle.mkdir(parents=True)  # where the weights of its first cell would be
    failed = run(*place.resume(), *chosen)
    assert failed.status == 1, failed.err
    assert f"{name} crashed and resumes from its last checkpoint (failure 1)" in failed.err
    assert "(failure 2)" not in failed.err
    assert f"{name}-e2 failed: " in failed.err
    assert "once the cause is fixed, `chromatune resume" in failed.err
    assert list(place.launch().glob(f"{name}*/error.txt"))
    runs = place.runs()
    assert runs[f"{name}-e2"].info.status == "FAILED"
    assert runs["cnn1-relu-lr1e-3-e60"].info.status == "FINISHED"

    obstacle.rmdir()
    resumed = run(*place.resume(), *chosen)
    assert resumed.status == 0, resumed.err
    place.assert_same_cells(undisturbed("grid"))
    place.assert_once_in_mlflow()


@pytest.mark.parametrize("command", ["resume", "doctor"])
def test_a_launch_that_was_not_tracked_is_delivered_once(
    command: str, place: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    words = place.grid("regression", "--lrs", "1e-3", "--epochs", "1,2")
    store = words.index("--tracking-uri")
    done = run(*words[:store], *words[store + 2 :], "--backend", "serial")
    assert done.status == 0, done.err
    assert place.runs() == {}
    for _ in range(2):
        delivered = run(*(place.resume() if command == "resume" else ["doctor", *place.where]))
        assert delivered.status == 0, delivered.err + delivered.out
        place.assert_once_in_mlflow()
