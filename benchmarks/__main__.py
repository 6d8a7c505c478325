"""Run the benchmarks of docs/performance.md one after another: `make bench`.

    python -m benchmarks --data DIR

DIR holds gt_faces/; without it the synthetic faces are used. A missed target is no failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import RESULTS, table
from data_prep import PrepareSettings, prepare

NAMES = ("grid_time", "orchestration")


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the benchmarks and print their table.")
    parser.add_argument("--data", type=Path, help="Folder with gt_faces/.")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    asked = parser.parse_args()
    dataset = "faces" if asked.data else "synthetic-faces"
    source = str(asked.data / "gt_faces") if asked.data else None
    for augment in (1, 10):
        settings = PrepareSettings(dataset=dataset, augment=augment)
        print(prepare(settings, asked.data_root, source=source).summary, flush=True)
    options = ["--data-root", str(asked.data_root), "--dataset", dataset]
    for name in NAMES:
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=True)
    print(table([json.loads((RESULTS / f"{name}.json").read_text()) for name in NAMES]))


if __name__ == "__main__":
    main()
