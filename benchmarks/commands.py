"""Processor time of commands that only look things up: `--help`, `trials`.

    python -m benchmarks.commands

`trials` shows the cells of both published grids, trained for this on a few tiny images.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import Measurement, parser, repeat, table, timed, write

_DATA = ("--dataset", "synthetic-faces", "--size", "64", "--count", "60", "--augment", "1")
# What is measured, by title: its words and the bar in seconds.
_COMMANDS = {
    "chromatune --help": (("--help",), 0.5),
    "chromatune trials, a store of 54 cells": (("trials", "colorizer", *_DATA), 2.0),
}


def main() -> None:
    asked = parser(__doc__ or "", repetitions=5).parse_args()
    runs = repeat(1, partial(_measured, asked.repetitions))
    measurements = [
        Measurement(f"{title}: processor time", " s", bar, "most", runs[0][title])
        for title, (_, bar) in _COMMANDS.items()
    ]
    print(table([write("commands", measurements)]))


def _measured(times: int, scratch: Path) -> dict[str, Sequence[float]]:
    os.chdir(scratch)
    log = scratch / "log"
    timed(["tuning", "prepare", _DATA[1], *_DATA[2:]], log)
    for task in ("regression", "colorizer"):
        grid = ["tuning", "grid", task, *_DATA, "--epochs", "1,2,3", "--backend", "serial"]
        timed([*grid, "--tracking-uri", "sqlite:///mlruns/mlflow.db"], log)
    return {
        title: [_processor_time(words, log) for _ in range(times)]
        for title, (words, _) in _COMMANDS.items()
    }


def _processor_time(words: Sequence[str], log: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    timed(["tuning", *words], log)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
