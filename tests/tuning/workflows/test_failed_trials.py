"""What is said of a trial that fails: on the terminal, in its records, and by `trials`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import run
from tuning.errors import ChromatuneError
from tuning.launch import trial

SPACE = {
    **{"model": "fc", "head": "relu", "epochs": 1, "batch_size": 4},
    **{"model_kwargs.hidden": [8, 4], "lr": {"type": "float", "low": 1e-3, "high": 1e-2}},
}


@pytest.mark.parametrize("kind", ["search", "train"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ChromatuneError("the pictures are gone"), "the pictures are gone"),
        (RuntimeError("out of memory"), "RuntimeError: out of memory"),
    ],
)
def test_error_and_log_are_told_everywhere(
    kind: str, error: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def fit(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(trial, "fit", fit)
    Path("space.yaml").write_text(yaml.safe_dump({"search": {"space": SPACE, "num_samples": 1}}))
    data = ["--dataset", "synthetic-faces", "--count", "12", "--size", "32", "--augment", "1"]
    words = {
        "search": ["search", "regression", "-c", "space.yaml"],
        "train": ["train", "--set", "train.model=fc", "--set", "train.lr=1e-3", "--epochs", "1"],
    }[kind]
    done = run(*words, *data, "--backend", "serial", "--max-failures", "0")
    assert done.status == 1, done.err
    assert "Traceback" not in done.err
    (log,) = Path("ray_results").glob("*/*/error.txt")
    name = log.parent.name
    log = log.absolute()
    assert log.read_text().strip().endswith(str(error))
    lines = done.err.splitlines()
    assert f"{name} failed: {told}; log: {log}" in lines
    cell = name if kind == "search" else f"{name}-e1"
    assert f"{cell} failed: {told}; log: {log}" in lines
    if kind == "search":
        (record,) = Path("ray_results").glob("*/*/failed.json")
        written = json.loads(record.read_text())
        assert (written["message"], written["log"]) == (told, f"{name}/error.txt")
    shown = run("trials", "regression", "--launch", "last", "--format", "json")
    (row,) = json.loads(shown.out)["tables"][0]["trials"]
    assert (row["status"], row["error"], row["log"]) == ("failed", told, str(log))
    text = run("trials", "regression", "--launch", "last").out
    assert "log: " in text


def test_the_log_of_a_trial_that_was_tried_again_is_where_messages_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    attempts = iter("123")

    def fit(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"CUDA error {next(attempts)}\nFor debugging consider to sleep")

    monkeypatch.setattr(trial, "fit", fit)
    Path("space.yaml").write_text(yaml.safe_dump({"search": {"space": SPACE, "num_samples": 1}}))
    data = ["--dataset", "synthetic-faces", "--count", "12", "--size", "32", "--augment", "1"]
    done = run("search", "regression", "-c", "space.yaml", *data, "--backend", "serial")
    told = [line.partition("; log: ") for line in done.err.splitlines() if "; log: " in line]
    assert [line.rpartition("RuntimeError: ")[2] for line, _, _ in told] == [
        *("CUDA error 1", "CUDA error 2", "CUDA error 3", "CUDA error 3")
    ]
    assert all("RuntimeError: CUDA error" in Path(log).read_text() for _, _, log in told)
    shown = run("status", "last", "--format", "json")
    assert told[-1][2] in shown.out
