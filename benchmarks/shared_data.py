"""How many copies of the data eight trials on one node hold: proportional set sizes.

    python -m benchmarks.shared_data

Eight colorizer trainings run at once, first on pictures without copies, then with ten of each: the
same batches and the same validation, so that all that differs is the data. What the object store's
pages and the private memory of the trials' processes and Ray's own have grown by, from the first
launch to the second, is counted against what the data have grown by.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Claim, timed, write
from tuning.config.schema import DataConfig
from tuning.launch.datasets import open_prepared
from tuning.tracking.store import prepare_store

TRIALS = 8
_SIZE = 64
_PATIENCE_S = 300


def main() -> None:
    asked = _arguments()
    copies, details = [], []
    for _ in range(asked.repetitions):
        with tempfile.TemporaryDirectory() as scratch:
            few = _measured(Path(scratch) / "few", count=asked.count, augment=1)
            many = _measured(Path(scratch) / "many", count=asked.count, augment=10)
        grown = {key: many[key] - few[key] for key in many}
        copies.append((grown["shared"] + grown["private"]) / grown["data"])
        details.append({"few": few, "many": many})
    name = f"memory: copies of the data that {TRIALS} trials on one node hold"
    write("shared_data", [Claim(name, "", 1.1, "most", copies)], bytes=details)


def _measured(root: Path, count: int, augment: int) -> dict[str, int]:
    """Bytes of the data, and what the trials' and Ray's processes hold, at steady work."""
    root.mkdir()
    settings = ["--count", str(count), "--size", str(_SIZE), "--augment", str(augment)]
    settings += ["--data-root", str(root / "data")]
    timed(["tuning", "prepare", "synthetic-faces", *settings], root / "prepare.log")
    store = f"sqlite:///{root}/mlruns/mlflow.db"
    prepare_store(store)
    rates = ",".join(f"{1e-4 * (1 + number / 100):g}" for number in range(TRIALS))
    command = ["tuning", "grid", "colorizer", "--heads", "tanh", "--lrs", rates]
    command += ["--epochs", "100000", "--cpus-per-trial", "0.125", "--dataset", "synthetic-faces"]
    command += ["--storage-path", str(root / "ray_results"), "--tracking-uri", store, *settings]
    with (root / "grid.log").open("w") as log:
        driver = subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log)
        try:
            held = _held(_training(driver, root))
        finally:
            driver.send_signal(signal.SIGINT)
            driver.wait(_PATIENCE_S)
    data = DataConfig(
        dataset="synthetic-faces", root=str(root / "data"), size=_SIZE, augment=augment, count=count
    )
    arrays = [open_prepared(data).planes(side) for side in ("train", "val")]
    planes = [plane for one in arrays for plane in (one.L, one.a, one.b)]
    return {"data": sum(plane.nbytes for plane in planes), **held}


def _training(driver: subprocess.Popen[bytes], root: Path) -> list[int]:
    """Wait until every trial has left a checkpoint; Ray's processes, the trials among them."""
    ends = time.monotonic() + _PATIENCE_S
    while sum(1 for _ in (root / "ray_results").glob("*/*/checkpoint_*")) < TRIALS:
        if driver.poll() is not None or time.monotonic() > ends:
            raise SystemExit(f"the trials do not train:\n{(root / 'grid.log').read_text()[-2000:]}")
        time.sleep(1)
    return list(_descendants(driver.pid))


def _descendants(pid: int) -> Iterator[int]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from _descendants(int(child))


def _held(pids: list[int]) -> dict[str, int]:
    """Proportional set sizes in bytes, over all processes: of shared memory, and private."""
    sums = {"Pss_Shmem": 0, "Pss_Anon": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0]) * 1024
    return {"shared": sums["Pss_Shmem"], "private": sums["Pss_Anon"]}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--repetitions", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
