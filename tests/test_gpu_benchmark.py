"""The benchmark for a GPU, tried on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import gpu, harness
from data_prep import PrepareSettings, prepare


def test_the_gpu_benchmark_runs_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    prepare(PrepareSettings("synthetic-faces", size=64, augment=1, count=130), tmp_path)
    data = ["--data-root", str(tmp_path), "--dataset", "synthetic-faces", "--size", "64"]
    data += ["--augment", "1", "--count", "130"]
    one = ["--networks", "autoencoder", "--most", "1"]
    gpu.main([*data, *one, "--device", "cpu", "--epoch-scale", "0.01"])
    found = json.loads((tmp_path / "gpu.json").read_text())
    (row,) = found["networks"]
    assert (found["device"], found["epochs"], row["network"]) == ("cpu", 1, "autoencoder")
    assert row["ours"].keys() == {"1"}
    assert 0 < row["ours"]["1"] < 30
    shown = capsys.readouterr().out
    assert "| network | naive | 1 of ours at once |" in shown
