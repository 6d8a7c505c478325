"""All benchmarks of the table, one after another: `make bench`.

    python -m benchmarks --data DIR

DIR holds gt_faces/; without it the embedded pictures are used where that is possible. A benchmark
that misses its bar fails nothing; one that cannot run is told at the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import RESULTS, table
from data_prep import PrepareSettings, prepare

# In the order of the table; results files of these names.
TABLE = (
    "grid_time",
    "orchestration",
    "tracking_cost",
)
_ON_PICTURES = ("grid_time", "orchestration")


def main() -> None:
    parser = argparse.ArgumentParser(description="All benchmarks, and their table.")
    parser.add_argument("--data", type=Path, help="Folder with gt_faces/.")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--only", help="Some of them, separated by commas.")
    asked = parser.parse_args()
    dataset = "faces" if asked.data else "synthetic-faces"
    source = str(asked.data / "gt_faces") if asked.data else None
    for augment in (1, 10):
        settings = PrepareSettings(dataset=dataset, augment=augment)
        print(prepare(settings, asked.data_root, source=source).summary, flush=True)
    on_pictures = ["--data-root", str(asked.data_root), "--dataset", dataset]
    arguments = dict.fromkeys(_ON_PICTURES, on_pictures)
    failed = []
    for name in asked.only.split(",") if asked.only else TABLE:
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments.get(name, [])]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    files = [RESULTS / f"{name}.json" for name in TABLE]
    print(table([json.loads(file.read_text()) for file in files if file.is_file()]))
    if failed:
        raise SystemExit(f"could not run: {', '.join(failed)}")


if __name__ == "__main__":
    main()
