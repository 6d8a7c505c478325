"""`chromatune search`: options become a configuration, and wrong ones a line and exit status 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import resolved
from tuning.cli import main
from tuning.config import schema
from tuning.config.search import SearchLaunchConfig, read_points
from tuning.errors import ChromatuneError

SPACE = yaml.safe_load((Path(__file__).parent / "space.yaml").read_text())


@pytest.fixture
def refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Run a command that is refused, in a folder with a small synthetic dataset's settings."""
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(yaml.safe_dump({"search": {"space": SPACE}}))
    data = ["--dataset", "synthetic-faces", "--count", "12", "--size", "64", "--augment", "1"]

    def run(*line: str) -> str:
        words = ["chromatune", "search", "colorizer", "-c", "space.yaml", *data, *line]
        if "--extend" in line:
            words = ["chromatune", "search", "colorizer", *line]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as exit_:
            main()
        assert exit_.value.code == 2
        message = capsys.readouterr().err.strip()
        assert len(message.splitlines()) == 1, message
        assert not Path("ray_results").exists()
        return message

    return run


@pytest.mark.parametrize("task", ["colorizer", "regression"])
def test_without_a_file_it_is_the_committed_space(task: str) -> None:
    search = resolved("search", task).search
    assert {"model", "head", "lr", "epochs"} <= search.space.keys()
    assert (search.sampler, search.chosen_scheduler, search.num_samples) == ("tpe", "asha", 20)
    assert search.warm_start


def test_options_win_over_the_file(tmp_path: Path) -> None:
    points = tmp_path / "points.yaml"
    points.write_text("- {lr: 1.0e-3}\n")
    config = resolved(
        *("search", "colorizer", "--num-samples", "7"),
        *("--sampler", "random", "--scheduler", "median"),
        *("--objective", "val_psnr:max", "--objective", "parameters:min", "--no-warm-start"),
        *("--points", str(points), "--budget-gpu-hours", "1.5", "--budget-cpu-hours", "3"),
        *("--study-storage", "sqlite:////studies/x.db", "--study-name", "mine", "--seed", "5"),
        *("--set", "search.space.epochs=4", "--time-budget-s", "60"),
    )
    search = config.search
    assert (search.num_samples, search.sampler, search.scheduler) == (7, "random", "median")
    assert search.objectives == ["val_psnr:max", "parameters:min"]
    assert search.points == [{"lr": 1e-3}]
    assert (search.budget_gpu_hours, search.budget_cpu_hours) == (1.5, 3.0)
    assert (search.study_storage, search.study_name) == ("sqlite:////studies/x.db", "mine")
    assert not search.warm_start
    assert search.space["epochs"] == 4
    assert config.training.seed == 5
    assert config.resources.time_budget_s == 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "search.samplr=tpe"], "unknown key 'search.samplr'; did you mean 'sampler'?"),
        (["--set", "search.sampler=tpee"], "did you mean 'tpe'?"),
        (["--sampler", "optuna.samplers:TPESamplr"], "did you mean 'TPESampler'?"),
        (["--objective", "val_pnsr:max"], "did you mean 'val_psnr'?"),
        (["--scheduler", "pbt"], "'pbt' is not one of"),
        (["--set", "search.grace_period=10"], "the longest training has 9 epochs"),
        (["--set", "search.points=[{lr: 3}]"], "a point has lr=3.0, which is not in the space"),
        (["--points", "nowhere.yaml"], "cannot read the points nowhere.yaml"),
        (["--storage-path", "s3://bucket/launches"], "a journal file cannot be in s3://bucket"),
        (["--extend", "last"], "no launch in"),
        (["--extend", "last", "--sampler", "gp"], "--sampler does not go with --extend"),
        (["--extend", "last", "-c", "space.yaml"], "--config does not go with --extend"),
        (["--extend", "last", "--dry-run"], "--dry-run is about a new search"),
        (["--time-it"], "--time-it measures for --dry-run"),
        (["--extend", "last", "--seed", "1"], "--seed does not go with --extend"),
    ],
)
def test_what_is_wrong_is_a_line_and_status_2(words: list[str], message: str, refusal: Any) -> None:
    assert message in refusal(*words)


def test_a_grid_cannot_be_extended_as_a_search(tmp_path: Path, refusal: Any) -> None:
    folder = tmp_path / "elsewhere" / "grid-1"
    folder.mkdir(parents=True)
    names = {"launch_id": "grid-1", "kind": "grid", "task": "colorizer", "dataset": "faces"}
    texts = {"dataset_digest": "0", "experiment": "grid", "tracking_uri": "sqlite:///mlflow.db"}
    rest = {"config": {}, "baseline": {}, "parent_model": None, "trainings": []}
    document = {"format": 1, "created": 1, **names, **texts, **rest}
    (folder / "launch.json").write_text(json.dumps(document))
    assert "grid-1 is not a colorizer search" in refusal("--extend", str(folder))


@pytest.mark.parametrize("text", ["lr: 1", "- 1", "[1, 2", "- [lr, 1]", "- {1: 2}", ""])
def test_invalid_files_of_points_are_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "points.yaml"
    file.write_text(text)
    with pytest.raises(ChromatuneError) as refusal:
        read_points(file)
    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("st.journal", "{here}/st.journal"),
        ("sqlite:///st.db", "sqlite:///{here}/st.db"),
        ("sqlite:////elsewhere/st.db", "sqlite:////elsewhere/st.db"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_the_study_is_found_from_any_folder(
    given: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = schema.resolve(
        SearchLaunchConfig, defaults={"search": {"space": SPACE, "study_storage": given}}
    )
    assert config.search.study_storage == kept.format(here=tmp_path)
