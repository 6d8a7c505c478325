"""Datasets of many images: time, memory and disk of their preparation, memory of two trials.

    python -m benchmarks.dataset_size

Memory of a process is what the system cannot drop: its own pages and those that it shares with
others. Pages of mapped files are listed beside it, for they are dropped where memory is needed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.harness import Measurement, markdown, table, write

_SIZE = 64
_FOLDERS = 50
_NAME = "drawn"
_MB = 2**20
# Two colorizers for a while; what they take does not depend on how far they come.
_GRID = ("--heads", "tanh,relu", "--lrs", "1e-4", "--epochs", "1", "--max-concurrent-trials", "2")


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--pictures", default="1000,10000,50000,100000")
    options.add_argument("--seconds", type=float, default=120, help="of training")
    asked = options.parse_args()
    counts = [int(word) for word in asked.pictures.split(",")]
    runs = []
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            runs.append(_once(count, asked.seconds, Path(scratch)))
        print(runs[-1], flush=True)
    each = [run["processor_s"] / run["pictures"] for run in runs]
    base = 1 if len(counts) > 2 else 0  # of few images the start of the command takes most
    measured = [
        Measurement(
            f"preparation of {counts[-1]:,} images: peak memory",
            *(" MB", 1000.0, "most", [runs[-1]["memory_mb"]]),
        ),
        Measurement(
            f"processor time an image, {counts[-1]:,} / {counts[base]:,} images",
            *("", 1.2, "most", [each[-1] / each[base]]),
        ),
    ]
    print(table([write("dataset_size", measured, runs=runs)]))
    print(sizes_table({"runs": runs}))


def sizes_table(document: dict[str, Any]) -> str:
    """The measurements of each size as a Markdown table."""
    columns = {
        "images": "pictures",
        "prepared in, s": "seconds",
        "processor, s": "processor_s",
        "memory, MB": "memory_mb",
        "on disk, MB": "disk_mb",
        "driver, MB": "driver_mb",
        "two trials, MB": "trials_mb",
        "mapped by them, MB": "mapped_mb",
    }
    rows = [[f"{run[key]:,.0f}" for key in columns.values()] for run in document["runs"]]
    return markdown(list(columns), rows)


def _once(count: int, seconds: float, scratch: Path) -> dict[str, float]:
    _draw(count, scratch / "images")
    words = ["prepare", _NAME, "--source", str(scratch / "images"), "--size", str(_SIZE)]
    started, before = time.perf_counter(), os.times()
    prepared = _watched([*words, "--data-root", str(scratch / "data")], scratch)
    elapsed, after = time.perf_counter() - started, os.times()
    processor = after.children_user + after.children_system
    processor -= before.children_user + before.children_system
    on_disk = sum(path.stat().st_size for path in (scratch / "data").rglob("*") if path.is_file())
    where = ["--data-root", str(scratch / "data"), "--storage-path", str(scratch / "launches")]
    where += ["--tracking-uri", f"sqlite:///{scratch}/mlflow.db"]
    limit = ["--time-budget-s", f"{seconds:g}"]
    trained = _watched(["grid", "colorizer", "--dataset", _NAME, *_GRID, *where, *limit], scratch)
    return {
        "pictures": count,
        "seconds": round(elapsed, 1),
        "processor_s": round(processor, 1),
        "memory_mb": round(prepared["driver"] + prepared["driver mapped"]),
        "disk_mb": round(on_disk / _MB),
        "driver_mb": round(trained["driver"]),
        "trials_mb": round(trained["trials"]),
        "mapped_mb": round(trained["trials mapped"]),
    }


def _draw(count: int, folder: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"folder {number % _FOLDERS:02d}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(place / f"{number:06d}.jpg"), image)


def _watched(words: Sequence[str], scratch: Path) -> dict[str, float]:
    """Run a command and return the peaks of its memory in MB: the driver's, all trials' together.

    A launch that its budget ends is not finished, whatever its exit status is.
    """
    with (scratch / "log").open("w") as log:
        command = subprocess.Popen(
            [sys.executable, "-m", "chromatune", *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "RAY_ADDRESS": "local"},
        )
    peaks: dict[str, float] = {}
    while command.poll() is None:
        for name, value in _memory(command.pid).items():
            peaks[name] = max(peaks.get(name, 0.0), value)
        time.sleep(0.2)
    fails = command.returncode != 0
    if words[0] == "grid":
        fails = command.returncode not in (0, 1, 130) or "trials" not in peaks
    if fails:
        raise SystemExit(f"{words[0]} failed:\n{(scratch / 'log').read_text()[-2000:]}")
    return peaks


def _memory(driver: int) -> dict[str, float]:
    """Memory of the driver and of the trials below it in MB, and what they map."""
    found: dict[str, float] = {}
    for pid in _descendants(driver):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        is_trial = title.startswith(("ray::ResourceTrainable", "ray::StoppableTrial"))
        if pid != driver and not is_trial:
            continue
        name = "driver" if pid == driver else "trials"
        pages = dict(line.split(":", 1) for line in lines if line.startswith("Rss"))
        size = {key: int(value.split()[0]) / 1024 for key, value in pages.items()}
        own = size.get("RssAnon", 0.0) + size.get("RssShmem", 0.0)
        found[name] = found.get(name, 0.0) + own
        found[f"{name} mapped"] = found.get(f"{name} mapped", 0.0) + size.get("RssFile", 0.0)
    return found


def _descendants(root: int) -> list[int]:
    """A process and all that it has started."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


if __name__ == "__main__":
    main()
