"""Launches that are killed with kill -9, themselves or a trial: the same bits in the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ONE_SLOT = ["--max-concurrent-trials", "1"]
SERIAL = ["--backend", "serial"]
# All that a command may say on stderr: progress lines of ours, no warnings of anybody's.
OUR_LINES = re.compile(
    r"(grid-regression-synthetic-faces-\d{8}-\d{6}: \d+ trials, \d+ epochs"
    r"|\d+ %, .* elapsed.*: \d+ trials: .*"
    r"|cnn1-relu-lr1e-[34] (done|running): epoch \d+/\d+.*"
    r"|cnn1-relu-lr1e-[34] crashed and resumes from its last checkpoint .*)"
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", metafunc.cls.backends)


def words_of(kind: str, place: Any) -> list[str]:
    """A command of a launch of that kind, several trainings of seconds."""
    if kind == "grid":
        return list(place.grid())
    if kind == "search":
        return list(place.search("--num-samples", "3", epochs=40, grace_period=30))
    shared = ["regression", *place.data, *place.where]
    if kind == "finals":
        epochs = ["--epochs", "4", "--fc-epochs", "1"]
        # At 128 px the fully connected network has 172 million parameters.
        return ["finals", *shared, *epochs, "--lr", "1e-3", "--fc-lr", "1e-4", "--size", "32"]
    further = ["--from", "synthetic-faces", "--lr", "1e-4", "--epochs", "15", "--compare-scratch"]
    return ["finetune", *shared, *further]


def prepare(kind: str, place: Any, run: Callable[..., Any]) -> None:
    """For what is trained further: a small champion, from a launch in another folder."""
    if kind == "finetune":
        model = ["--model", "cnn1", "--head", "relu", "--lr", "1e-4", "--epochs", "1", "--force"]
        elsewhere = ["--storage-path", f"{place.folder}/earlier", *SERIAL]
        trained = run("train", *model, *place.data, *place.where, *elsewhere)
        assert trained.status == 0, trained.err


@pytest.mark.usefixtures("local_ray")
class KilledDriver:
    """A class for each kind, so that they run beside each other."""

    kind: str
    backends = ("serial",)

    @pytest.fixture(scope="class")
    def undisturbed(self, make_place: Any, run: Callable[..., Any]) -> Any:
        """Where such a launch ran to its end."""
        place = make_place()
        prepare(self.kind, place, run)
        done = run(*words_of(self.kind, place), *SERIAL)
        assert done.status in (0, 1), done.err
        assert place.cells()
        return place

    def test_a_killed_driver_changes_nothing_and_doctor_ends_its_runs(
        self, backend: str, place: Any, undisturbed: Any, run: Callable[..., Any]
    ) -> None:
        prepare(self.kind, place, run)
        words = words_of(self.kind, place)
        driver = place.start(*words, *ONE_SLOT, "--backend", backend)
        place.wait_for(driver, lambda: bool(place.cells()), "the first cell")
        driver.kill()
        before = {cell_id: cell["ended"] for cell_id, cell in place.cells().items()}
        assert 0 < len(before) < len(undisturbed.cells())

        assert "would be ended" in " ".join(run("doctor", *place.where, "--dry-run").out.split())
        assert "RUNNING" in place.statuses()
        run("doctor", *place.where)
        assert "RUNNING" not in place.statuses()

        resumed = run(*place.resume(), "--backend", backend)
        assert resumed.status in (0, 1), resumed.err
        assert {cell_id: place.cells()[cell_id]["ended"] for cell_id in before} == before
        place.assert_whole(undisturbed)
        assert not list(place.launch().glob("*/checkpoint_*"))


class TestSearch(KilledDriver):
    kind = "search"
    backends = ("ray", "serial")


class TestGrid(KilledDriver):
    kind = "grid"
    backends = ("ray", "serial")


class TestFinals(KilledDriver):
    kind = "finals"


class TestFinetuning(KilledDriver):
    kind = "finetune"


def test_a_killed_trial_resumes_from_its_checkpoint(place: Any, finished_grid: Any) -> None:
    driver = place.start(*place.grid(), "--format", "json")
    driver.kill_a_worker()
    finished = driver.wait()
    assert finished.status == 0, finished.err
    assert "crashed and resumes from its last checkpoint (failure 1)" in finished.err
    undisturbed, reference = finished_grid
    place.assert_whole(undisturbed)
    assert [result(cell) for cell in finished.cells] == [result(cell) for cell in reference.cells]
    for line in finished.err.splitlines():
        assert OUR_LINES.fullmatch(line), line


def result(cell: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cell.items() if key not in ("launch_id", "run_id")}
