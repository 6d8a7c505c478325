"""What `make run` takes after the installation, compared with its training steps alone.

    python -m benchmarks.first_run

The steps are spread over all cores: their seconds are those that the launches' cells report.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.harness import Measurement, parser, repeat, table, timed, write


def main() -> None:
    asked = parser(__doc__ or "", repetitions=1).parse_args()
    runs = repeat(asked.repetitions, _once)
    shares = [run["wall"] / run["steps"] for run in runs]
    measurements = [
        Measurement("make run: wall / steps alone", "", 2.0, "most", shares),
        Measurement("make run: wall", " s", 180.0, "most", [run["wall"] for run in runs]),
    ]
    print(table([write("first_run", measurements, runs=runs)]))


def _once(scratch: Path) -> dict[str, float]:
    os.chdir(scratch)
    wall = timed(["tuning", "reproduce", "--preset", "quick"], scratch / "log")
    trained: dict[Path, float] = {}
    for path in scratch.glob("ray_results/*/*/cells/*/cell.json"):
        training = path.parents[2]
        seconds = float(json.loads(path.read_text())["seconds"])
        trained[training] = max(seconds, trained.get(training, 0.0))
    return {"wall": wall, "steps": sum(trained.values()) / len(os.sched_getaffinity(0))}


if __name__ == "__main__":
    main()
