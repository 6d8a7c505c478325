"""The results file: written as a whole or not at all, and laid out as Markdown."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tuning.display.result_tables import GridTable, TestTable
from tuning.display.tables import CellRow, ResultRow
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.outcomes import CellOutcome, LaunchOutcome
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import make_training
from tuning.training.config import FitConfig
from tuning.workflows.conclusion import Conclusion
from tuning.workflows.reproduce import ReproduceConfig, Step
from tuning.workflows.results_file import check_results_path, results_markdown, write_results

GRID = GridTable(
    "regression", [CellRow("c", "cnn1", "relu", 1e-3, 3, {"val_mse": 2e-4})], {"val_mse": 3e-4}
)
TEST = TestTable("cnn1 on drawn", ["test_mse"], [ResultRow("cnn1", {"test_mse": 1e-4})])


@dataclasses.dataclass(frozen=True)
class Gate:
    """What a promotion has to say, without one."""

    sentence: str = "drawn-regression version 1 (cnn1) becomes the first champion"
    passed: bool = True

    def record(self) -> dict[str, Any]:
        return {"name": "drawn-regression", "version": 1}


def make_launch_outcome(folder: Path) -> LaunchOutcome:
    """A launch of one training, 8 seconds of it in 10 seconds of wall time."""
    training = make_training(FitConfig("cnn1", "relu", 1e-3, milestones=(1, 3)))
    document = {
        "kind": "grid",
        "launch_id": "grid-regression-drawn-1",
        "dataset_digest": "d" * 64,
        "git_commit": None,
        "parent_model": None,
        "created": 1_000_000,
        "trainings": [training.to_dict()],
    }
    cells = [
        CellOutcome(training, cell.cell_id, cell.epochs, None, "finished", "", {}, seconds, ended)
        for cell, seconds, ended in zip(
            training.cells, (3.0, 8.0), (1_004_000, 1_010_000), strict=True
        )
    ]
    return LaunchOutcome(Launch(LaunchStorage(folder), document), cells, [])


@pytest.fixture
def steps(tmp_path: Path) -> list[Step]:
    conclusion = Conclusion(make_launch_outcome(tmp_path), GRID)
    return [
        Step("prepare drawn", 0.1234567, line="drawn: prepared"),
        Step("grid regression", 10.0, table=GRID, conclusion=conclusion),
        Step("promote regression", 1.0, table=TEST, promotion=Gate()),  # type: ignore[arg-type]
    ]


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_the_file_holds_every_step_and_what_it_was_measured_with(
    tmp_path: Path, steps: list[Step]
) -> None:
    path = tmp_path / "results.json"
    config = ReproduceConfig(storage_path=str(tmp_path / "somewhere"), epoch_scale=0.5)
    write_results(path, config, steps)
    document = read(path)
    assert document["format"] == "chromatune-results-1"
    assert document["config"]["epoch_scale"] == 0.5
    assert {"torch", "ray", "mlflow"} <= document["versions"].keys()
    assert {"processor", "cores", "memory", "gpus"} <= document["hardware"].keys()
    assert "somewhere" not in path.read_text()  # of no use on another machine
    prepared, grid, promoted = document["steps"]
    assert (prepared["line"], prepared["table"], prepared["launch"]) == (
        *("drawn: prepared", None, None),
    )
    assert grid["table"] == GRID.to_json()
    assert grid["launch"]["trials"] == 1
    assert grid["launch"]["wall_seconds"] == 10.0
    assert grid["launch"]["training_seconds"] == 8.0  # the 3 of the first cell are among them
    assert promoted["promotion"]["sentence"] == Gate().sentence


def test_an_older_file_is_replaced_and_nothing_is_left_beside_it(
    tmp_path: Path, steps: list[Step]
) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")
    write_results(path, ReproduceConfig(), steps)
    assert len(read(path)["steps"]) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_a_write_that_fails_leaves_the_older_file_as_it_was(
    tmp_path: Path, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ChromatuneError, match=r"results\.json \(No space left on device\)"):
        write_results(path, ReproduceConfig(), steps)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize("target", ["file/results.json", "folder"])
def test_where_nothing_can_be_written_it_is_said_in_one_line(
    tmp_path: Path, steps: list[Step], target: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for attempt in (
        lambda: check_results_path(tmp_path / target),
        lambda: write_results(tmp_path / target, ReproduceConfig(), steps),
    ):
        with pytest.raises(ChromatuneError, match=r"cannot write the results to .*--results$"):
            attempt()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_checking_makes_the_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "results.json"
    check_results_path(path)
    check_results_path(path)
    assert path.parent.is_dir()
    assert list(path.parent.iterdir()) == []


def test_the_markdown_has_a_heading_and_a_table_for_every_step_with_one(
    tmp_path: Path, steps: list[Step]
) -> None:
    path = tmp_path / "results.json"
    write_results(path, ReproduceConfig(), steps)
    document = read(path)
    text = results_markdown(document)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["#### Grid regression", "#### Promote regression"]
    for table in (GRID, TEST):
        assert table.markdown().rstrip() in text
    intro, grid, *_ = text.split("####")
    assert document["hardware"]["processor"] in intro
    assert document["versions"]["torch"] in intro
    assert "n = 1" in intro
    assert "1 trials" not in grid
    assert "1 trial in 10 s of wall time, 8 s of training." in grid
    assert text.count("Gate: ") == 1
    assert f"Gate: {Gate().sentence}." in text
    assert text.endswith("\n")
    assert "\n\n\n" not in text


@pytest.mark.parametrize("document", [{}, {"format": "chromatune-results-0"}])
def test_what_is_no_results_file_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ChromatuneError, match="not a results file"):
        results_markdown(document)
