"""`chromatune report | speedup`, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep import PrepareSettings, prepare
from tuning.tracking.delivery import project_launch
from tuning.tracking.reader import read_store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _own_store(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)


def test_one_command_writes_page_and_pdf(run: Run) -> None:
    status, out, _ = run("report")
    assert (status, out.split()) == (0, ["report/index.html", "report/report.pdf"])
    assert Path("report/report.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in Path("report").iterdir()) == ["index.html", "report.pdf"]


def test_markdown_on_stdout_links_to_a_named_server_only(
    run: Run, make_launch: Callable[..., Any], store: str
) -> None:
    made = make_launch("regression", launch_id="grid-regression-faces-1")
    made.finish_all()
    project_launch(made.storage, store)
    status, out, _ = run("report", "--out", "-", "--mlflow-url", "https://mlflow.example")
    assert status == 0
    assert "](https://mlflow.example/#/experiments/" in out
    assert "](http" not in run("report", "--out", "-")[1]


def test_speedup_says_that_there_is_no_gpu_and_keeps_its_half(
    run: Run, store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare(PrepareSettings(dataset="synthetic-faces", count=20, size=64, augment=1), tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words = ["speedup", "--epochs", "2", "--dataset", "synthetic-faces", "--count", "20"]
    words += ["--data-root", str(tmp_path), "--size", "64", "--augment", "1"]
    status, out, _ = run(*words)
    assert status == 0
    assert "for 2 epochs" in out
    assert "GPU: torch finds none here" in out
    (found,) = read_store(store)[0].speedups
    assert found.cpu_seconds > 0
    status, out, _ = run(*words, "--format", "json")
    document = json.loads(out)
    assert (status, document["speedup"], list(document["seconds"])) == (0, None, ["cpu"])
    _, out, _ = run("report", "--out", "-")
    assert "Only the CPU half has been measured" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--format", "html,pfd"), "unknown format 'pfd'; did you mean 'pdf'?"),
        (("--dataset", "faces"), "--dataset faces: no such launches"),
        (("--published-curves", "nowhere"), "none of the nine files is there"),
        (("--out", "/proc/report"), "cannot write the report to /proc/report"),
    ],
)
def test_wrong_input_is_told_in_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    status, out, err = run("report", *words)
    assert (status, out) == (2, "")
    assert complaint in err
    assert len(err.strip().splitlines()) == 1
