"""Champions without training, and the commands that use them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image

from tuning.cli import main
from tuning.tracking import project_launch
from tuning.tracking_cells import finished_cells

Promote = Callable[..., int]


@pytest.fixture
def promote(make_launch: Any, store: str, client: MlflowClient) -> Promote:
    """Register a model that paints one colour: `promote("faces", "colorizer", (0.5, 0.6))`."""
    count = 0

    def make(
        dataset: str, task: str, paints: tuple[float, float], *, champion: bool = True, **tags: str
    ) -> int:
        nonlocal count
        count += 1
        digest = f"{count:064d}"
        launch = make_launch(
            task, launch_id=f"grid-{task}-{count}", dataset=dataset, digest=digest, epochs=[2]
        )
        launch.finish_cell(launch.training_ids()[0], 2, paints=paints)
        project_launch(launch.storage, store)
        (cell,) = finished_cells(store, digest, task)
        name = f"{dataset}-{task}"
        with contextlib.suppress(MlflowException):  # it is there already
            client.create_registered_model(name)
        version = client.create_model_version(
            name,
            source=client.get_logged_model(cell.model_id).artifact_location,
            run_id=cell.run_id,
            model_id=cell.model_id,
            tags={f"chromatune.{key}": text for key, text in tags.items()},
        )
        if champion:
            client.set_registered_model_alias(name, "champion", version.version)
        return int(version.version)

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture in colour, one in gray, and one in a subfolder."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    coarse = np.random.RandomState(0).randint(60, 200, (3, 3, 3)).astype(np.uint8)
    for name, size in (("colour.jpg", (60, 40)), ("gray.png", (50, 70)), ("more/x.png", (9, 9))):
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        (image.convert("L") if name == "gray.png" else image).save(folder / name)
    return folder


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Any]:
    """Run a command in this process: `run("colorize", …)` gives (status, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["chromatune", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program of its own in the temporary folder; nothing of it is left afterwards."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, **options: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        environment |= options.pop("env", {})
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env=environment,
            text=True,
            start_new_session=True,
            **options,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
