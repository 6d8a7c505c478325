"""Preparing 750 faces with ten copies each: pictures a second, against a plain loop.

    python -m benchmarks.preparation --source pictures/gt_faces

The plain loop reads, cuts and converts one picture after another with OpenCV and NumPy, with the
same cuts, and saves the same planes: the benchmark fails if one pixel differs. Ours also checks
every file, splits, digests and writes a manifest.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measuring import Claim, timed, write
from data_prep import PreparedDataset
from data_prep.augment import augmented_copies
from tuning.config.schema import DataConfig
from tuning.launch.datasets import open_prepared

COPIES = 10


def main() -> None:
    asked = _arguments()
    ratios, rates = [], []
    for number in range(asked.repetitions):
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            command = ["tuning", "prepare", "faces", "--source", str(asked.source)]
            command += ["--augment", str(COPIES), "--data-root", str(root / "data")]
            ours = timed(command, root / "log") - timed(["tuning", "--version"], root / "log")
            dataset = open_prepared(DataConfig(root=str(root / "data"), augment=COPIES))
            plain = _plain(dataset, asked.source, root / "plain")
            pictures = sum(len(dataset.planes(side).L) for side in ("train", "val", "test"))
        ratios.append(plain / ours)
        rates.append({"ours": pictures / ours, "plain": pictures / plain})
        print(f"{number + 1}/{asked.repetitions}: {json.dumps(rates[-1])}", flush=True)
    name = f"preparing 750 faces x{COPIES}: pictures a second, ours / a plain loop"
    write("preparation", [Claim(name, "", 3.0, "least", ratios)], pictures_per_second=rates)


def _plain(dataset: PreparedDataset, source: Path, folder: Path) -> float:
    """Seconds of the plain loop; SystemExit if its planes are not those of `dataset`."""
    keys = _keys(dataset)
    started = time.perf_counter()
    written = {}
    for side, copies in (("train", COPIES), ("val", 1), ("test", 1)):
        labs = []
        for entry in dataset.files(side):
            bgr = cv2.imread(str(source / entry.name))
            rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            for copy in augmented_copies(rgb, copies, keys[entry.name]):
                labs.append(cv2.cvtColor(copy, cv2.COLOR_RGB2LAB))
        lab = np.stack(labs)
        (folder / side).mkdir(parents=True)
        for channel, name in enumerate("Lab"):
            np.save(folder / side / f"{name}.npy", np.ascontiguousarray(lab[..., channel]))
        written[side] = lab
    seconds = time.perf_counter() - started
    for side, lab in written.items():
        planes = dataset.planes(side)
        ours = np.stack([planes.L, planes.a, planes.b], axis=-1)
        if not np.array_equal(lab, ours):
            raise SystemExit(f"the planes of {side} differ")
    return seconds


def _keys(dataset: PreparedDataset) -> dict[str, str]:
    """What each picture's draws are seeded by."""
    twins: dict[str, int] = {}
    keys = {}
    for entry in sorted(dataset.manifest.files, key=lambda one: one.name):
        twin = twins[entry.sha256] = twins.get(entry.sha256, -1) + 1
        keys[entry.name] = f"{dataset.manifest.settings.seed}:{entry.sha256}:{twin}"
    return keys


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, default=Path("pictures/gt_faces"))
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
