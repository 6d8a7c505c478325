"""Seconds per epoch on a GPU: the naive loop against ours, for every network of the report.

    python -m benchmarks.gpu_epoch --data-root data

The naive loop is that of benchmarks/ways/naive.py, ours `fit()`, both on the same 6 000 pictures.
Without a GPU the claims are written down as not measured. That of the whole report is read off
what `python -m benchmarks.report_on_gpu` left in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu.table import BAR_MINUTES, full_scale_minutes
from benchmarks.measuring import RESULTS, Claim, write
from benchmarks.ways.data import load
from benchmarks.ways.naive import train_cell
from models import model_heads, model_task
from tuning.config.schema import DataConfig
from tuning.launch.datasets import open_prepared
from tuning.launch.exchange import read_results
from tuning.training.config import FitConfig
from tuning.training.data import load_task_data
from tuning.training.loop import fit

MODELS = ("cnn1", "cnn2", "cnn3", "fc", "autoencoder")
EPOCH_CLAIM = "GPU: seconds per epoch, naive / ours, geometric mean of the five networks"
REPORT_CLAIM = "GPU: the whole report at full scale, engine only"
_NO_GPU = "no GPU was there"


def main() -> None:
    asked = _arguments()
    if not torch.cuda.is_available():
        claim = Claim(EPOCH_CLAIM, "", 15, "least", [], _NO_GPU)
        write("gpu_epoch", [claim, _report_claim()], epochs=[])
        return
    data = DataConfig(dataset=asked.dataset, root=str(asked.data_root), augment=asked.augment)
    rows = [_row(name, data, asked.epochs) for name in MODELS]
    mean = statistics.geometric_mean(row["naive_s"] / row["ours_s"] for row in rows)
    claim = Claim(EPOCH_CLAIM, "", 15, "least", [mean])
    write("gpu_epoch", [claim, _report_claim()], epochs=rows)


def _report_claim() -> Claim:
    file = RESULTS / "report_on_gpu.json"
    minutes = full_scale_minutes(read_results(file)) if file.is_file() else None
    values = [] if minutes is None else [minutes]
    return Claim(REPORT_CLAIM, " min", BAR_MINUTES, "most", values, "" if values else _NO_GPU)


def _row(name: str, data: DataConfig, epochs: int) -> dict[str, float | str]:
    device = torch.device("cuda")
    head = "relu" if "relu" in model_heads(name) else model_heads(name)[0]
    dataset = open_prepared(data)
    task_data = load_task_data(dataset, model_task(name))
    config = FitConfig(
        model=name,
        head=head,
        lr=1e-3,
        milestones=(1 + epochs,),
        image_size=dataset.size,
        eval_every=1 + epochs,
    )
    records = [result.record for result in fit(config, task_data, device=device)]
    train, val = load(data, "train", model_task(name)), load(data, "val", model_task(name))
    # Two lengths, so that what is not an epoch cancels out.
    naive = [
        _seconds(partial(train_cell, name, head, 1e-3, count, train, val, device))
        for count in (1, 1 + epochs)
    ]
    return {
        "model": name,
        "naive_s": (naive[1] - naive[0]) / epochs,
        "ours_s": statistics.median(record["seconds"] for record in records[1:]),
    }


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--dataset", default="faces")
    parser.add_argument("--augment", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
