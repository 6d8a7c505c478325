"""The whole report in stages: killed at any moment, it goes on to the same bits."""

from __future__ import annotations

import dataclasses
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from benchmarks.gpu.jobs import Scale, final_jobs, finetune_jobs, grid_jobs
from benchmarks.gpu.place import Place
from benchmarks.gpu.table import full_scale_minutes, markdown
from benchmarks.report_on_gpu import main
from models import load_model
from tuning.config.schema import REPORT_GRIDS, GridConfig, TrainingConfig
from tuning.launch.exchange import Results, read_results
from tuning.launch.trainings import grid_trainings, make_training

ROOT = Path(__file__).parents[2]
SMALL = [
    *("--device", "cpu", "--epoch-scale", "0.01", "--size", "64", "--augment", "1"),
    *("--batch-size", "8", "--only", "grid-colorizer,finals-colorizer,finetune-colorizer"),
]
# One learning rate instead of three, in this process or another.
PROGRAM = """
import sys, torch
torch.set_num_threads(1)
from benchmarks.gpu import jobs
jobs.LRS = (1e-3,)
from benchmarks.report_on_gpu import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def few_and_single_threaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("benchmarks.gpu.jobs.LRS", (1e-3,))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 pictures of 5 people and 20 of 2 kinds of fruit, laid out as the real ones are."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 64)[:, None, None]
    names = [f"gt_faces/s{s:02}/{i:02}.png" for s in range(1, 6) for i in range(4)]
    names += [
        f"ncd/ColorfulOriginal/{kind}/{i}.png" for kind in ("Kiwi", "Pear") for i in range(10)
    ]
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.normal(0, 4, (64, 64, 3))
        picture = rng.uniform(60, 160, 3) + 60 * ramp * rng.uniform(-1, 1, 3) + noise
        assert cv2.imwrite(str(path), picture.clip(0, 255).astype(np.uint8))
    return folder


def untimed(results: Results) -> Any:
    """All that two runs of the same must agree in, down to the weights' digests."""
    launches = json.loads(json.dumps([dataclasses.asdict(one) for one in results.launches]))
    trainings = [one for launch in launches for one in launch["trainings"]]
    for training in trainings:
        for item in (*training["history"], *training["cells"]):
            for key in ("seconds", "timestamp", "started", "ended"):
                item.pop(key, None)
    return launches


def test_killed_and_gone_on_with_it_comes_to_the_same_bits(pictures: Path, tmp_path: Path) -> None:
    words = ["--data", str(pictures), *SMALL, "--weights", "all"]
    whole, struck = tmp_path / "whole", tmp_path / "struck"
    assert main([*words, "--out", str(whole), "--stage-minutes", "0"]) == 0

    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words, "--out", str(struck), "--stage-minutes", "0"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while len(list(struck.glob("models/*.safetensors"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (struck / "results.json").exists()
    # Each of these stages is over after its first epoch.
    for _ in range(2):
        assert main([*words, "--out", str(struck), "--stage-minutes", "0.01"]) == 3
        assert not read_results(struck / "results.json").complete
    assert main([*words, "--out", str(struck), "--stage-minutes", "0"]) == 0

    expected, found = (read_results(one / "results.json") for one in (whole, struck))
    assert found.complete
    assert len(found.stages) == 3
    assert untimed(found) == untimed(expected)
    grid, finals, finetune = found.launches
    assert [len(one.cells) for one in grid.trainings] == [3, 3, 3]
    assert [len(one.history) for one in grid.trainings] == [5, 5, 5]
    assert [[len(one.history), len(one.cells)] for one in finetune.trainings] == [[10, 1], [10, 1]]
    tested = [cell.cell_id for one in grid.trainings for cell in one.cells if cell.test_metrics]
    best = max((cell for one in grid.trainings for cell in one.cells),
               key=lambda cell: cell.metrics["val_psnr"])  # fmt: skip
    assert tested == [best.cell_id]
    assert all(cell.test_metrics for one in finals.trainings for cell in one.cells)
    for launch in found.launches:
        for cell in itertools.chain(*(one.cells for one in launch.trainings)):
            assert cell.model is not None
            assert load_model(struck / "models" / cell.model.name).task == "colorizer"
    # The same again has nothing left to do, and on a CPU nothing is claimed of a GPU.
    assert main([*words, "--out", str(struck)]) == 0
    assert "**not measured**: this ran on a CPU, the epochs are scaled" in markdown(found)
    assert full_scale_minutes(found) is None
    run = dataclasses.replace(found.run, device="a GPU", epoch_scale=None)
    trainings = itertools.chain(*(launch.trainings for launch in found.launches))
    seconds = sum(record["seconds"] for one in trainings for record in one.history)
    whole = dataclasses.replace(found, run=run)
    assert full_scale_minutes(whole) == pytest.approx(seconds / 60)


def test_what_is_begun_is_gone_on_with_as_it_was_begun(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(pictures), "--out", str(tmp_path), "--stage-minutes", "0.01", *SMALL]
    assert main(words) == 3
    for changes, problem in (
        (["--epoch-scale", "0.02"], "was begun with epoch_scale 0.01, not 0.02"),
        (["--size", "80"], "was begun with other pictures"),
        (["--data", str(tmp_path / "nowhere")], "there is no folder gt_faces/ in it"),
        (["--only", "finetune-colorizer"], "finetune-colorizer needs the best model of grid-col"),
    ):
        assert main([*words, *changes]) == 2
        assert problem in capsys.readouterr().err
    with Place(tmp_path).held():
        assert main(words) == 2
    assert "another process is at work" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["regression", "colorizer"])
@pytest.mark.parametrize("scale", [None, 0.05])
def test_the_trainings_are_those_of_the_program(
    task: Any, scale: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.gpu.jobs.LRS", (1e-3, 1e-4, 1e-5))
    grid = GridConfig(**REPORT_GRIDS[task], epoch_scale=scale)
    expected = [one.to_dict() for one in grid_trainings(task, grid, TrainingConfig(), 128)]
    jobs = grid_jobs(task, Scale(scale))
    assert sorted((job.training() for job in jobs), key=str) == sorted(expected, key=str)
    assert sum(len(job.fit.milestones) for job in jobs) == 27

    finals = final_jobs(task, Scale(scale), lr=1e-4, epochs=300)
    followers = finetune_jobs(task, Scale(scale), jobs[0], "some-cell")
    for job in (*finals, *followers):
        initial = "initial.safetensors" if job.parent else None
        training = make_training(job.fit, suffix=job.suffix, initial_weights=initial)
        assert job.training() == training.to_dict()
    assert [(job.fit.model, job.fit.head) for job in finals] == {
        "regression": [("fc", "relu"), ("cnn2", "relu"), ("cnn2", "tanh")],
        "colorizer": [("autoencoder", "sigmoid"), ("autoencoder", "tanh")],
    }[task]
    assert {job.fit.epochs for job in followers} == {1000 if scale is None else 50}


def test_it_needs_four_packages_and_no_more(tmp_path: Path) -> None:
    others = ("pydantic", "safetensors", "yaml", "typer", "rich", "PIL", "matplotlib", "ray")
    others += ("mlflow", "optuna", "pyarrow", "requests")
    program = f"import sys; sys.modules.update(dict.fromkeys({others!r}))" + PROGRAM
    answer = subprocess.run(
        [sys.executable, "-c", program, "--data", "nowhere", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr == "error: --data nowhere: there is no folder gt_faces/ in it\n"
    assert answer.returncode == 2
