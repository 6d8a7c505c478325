"""Run a benchmark some times, compare the median with its target, write it all as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from tuning.utils import provenance

Figures = TypeVar("Figures", bound=Mapping[str, Any])

RESULTS = Path(__file__).parent / "results"

# The other implementations run with Ray's and MLflow's defaults, but without telemetry.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A quantity with a target: its median over all runs must be at least or at most that."""

    name: str
    unit: str
    target: float
    passes_at: Literal["least", "most"]
    values: Sequence[float]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields, with n, minimum, median and maximum of the values."""
        return {
            **dataclasses.asdict(self),
            "n": len(self.values),
            "min": min(self.values),
            "median": statistics.median(self.values),
            "max": max(self.values),
        }


def parser(doc: str, *, repetitions: int) -> argparse.ArgumentParser:
    """The options that all benchmarks on prepared data have."""
    options = argparse.ArgumentParser(description=doc.splitlines()[0])
    options.add_argument("--data-root", type=Path, default=Path("data"))
    options.add_argument("--dataset", default="faces")
    options.add_argument("--repetitions", type=int, default=repetitions)
    return options


def repeat(times: int, run: Callable[[Path], Figures]) -> list[Figures]:
    """Call `run` with an empty folder, again and again, and return the figures of every call."""
    runs = []
    for number in range(times):
        with tempfile.TemporaryDirectory() as scratch:
            runs.append(run(Path(scratch)))
        print(f"{number + 1}/{times}: {json.dumps(runs[-1])}", flush=True)
    return runs


def write(name: str, measurements: Sequence[Measurement], **details: Any) -> dict[str, Any]:
    """Write `benchmarks/results/<name>.json` atomically, and return its content."""
    document = {
        "command": shlex.join(
            ["python", "-m", f"benchmarks.{name}", *map(_without_folder, sys.argv[1:])]
        ),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": provenance.git_commit(),
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "measurements": [measurement.to_json() for measurement in measurements],
        **details,
    }
    path = RESULTS / f"{name}.json"
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    scratch.replace(path)
    return document


def table(documents: Sequence[Mapping[str, Any]]) -> str:
    """The measurements of results files as one Markdown table."""
    rows = [_row(found) for document in documents for found in document["measurements"]]
    return markdown(("measurement", "target", "median", "min", "max", "n", ""), rows)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    first, *others = (f"| {' | '.join(cells)} |\n" for cells in (header, *rows))
    return "".join([first, "|" + "---|" * len(header) + "\n", *others])


def timed(command: Sequence[str], log: Path) -> float:
    """Run a Python module to its end and return the seconds it took; its output goes to `log`."""
    started = time.perf_counter()
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_QUIET},
            check=False,
        )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)} failed:\n{log.read_text()[-2000:]}")
    return seconds


def _without_folder(word: str) -> str:
    """A word of the command as it may be published: no folders of this machine."""
    return Path(word).name if Path(word).is_absolute() else word


def _row(found: Mapping[str, Any]) -> list[str]:
    is_least, unit = found["passes_at"] == "least", found["unit"]
    margin = found["median"] - found["target"]
    is_met = margin >= 0 if is_least else margin <= 0
    return [
        found["name"],
        f"{'≥' if is_least else '≤'} {found['target']:g}{unit}",
        *(f"{_three_digits(found[key])}{unit}" for key in ("median", "min", "max")),
        str(found["n"]),
        ("met" if is_met else "**missed**") + (f": {found['note']}" if found["note"] else ""),
    ]


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
