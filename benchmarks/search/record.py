"""Train every point of a space and record its learning curves; resumes where it was interrupted.

python -m benchmarks.search.record --dataset faces --space recipe
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.search.curves import (
    COMMON,
    EPOCHS,
    IMAGE_SIZE,
    MODEL_KWARGS,
    PICTURES,
    SPACES,
    Curves,
    points,
)
from data_prep import PreparedDataset, PrepareSettings, dataset_folder, open_dataset
from tuning.training.config import FitConfig
from tuning.training.data import Split, load_task_data
from tuning.training.loop import Diverged, fit
from tuning.utils import provenance

Recorded = tuple[int, int, NDArray[np.float32], NDArray[np.float32]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--dataset", default="faces")
    parser.add_argument("--space", choices=list(SPACES), default="recipe")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    settings = PrepareSettings(dataset=options.dataset, size=IMAGE_SIZE, augment=1)
    dataset = open_dataset(dataset_folder(settings, options.data_root))
    curves = Curves.open(options.dataset, options.space)
    if curves.about.setdefault("dataset_digest", dataset.digest) != dataset.digest:
        raise SystemExit(f"{curves.path} was recorded on another version of {options.dataset}")
    curves.about |= {"hardware": provenance.hardware(), "versions": provenance.versions()}
    missing = curves.missing
    train = functools.partial(_train, dataset, options.space)
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for done, (point, seed, psnr, seconds) in enumerate(pool.imap_unordered(train, missing)):
            curves.psnr[point, seed], curves.seconds[point, seed] = psnr, seconds
            curves.save()
            print(
                f"{done + 1}/{len(missing)}: point {point}, seed {seed}: "
                f"{psnr.max():.2f} dB in {seconds.sum():.0f} s",
                flush=True,
            )


def _train(dataset: PreparedDataset, space: str, place: tuple[int, int]) -> Recorded:
    """Train one point with one seed, on one thread."""
    torch.set_num_threads(1)
    point, seed = place
    chosen = points(space)[point]
    config = FitConfig(
        **COMMON,
        **chosen,
        model_kwargs=MODEL_KWARGS[chosen["model"]],
        seed=seed,
        milestones=(EPOCHS,),
        eval_every=1,
    )
    data = load_task_data(dataset, config.task)
    whole = data.train
    assert whole.a is not None
    assert whole.b is not None
    part = Split(whole.L[PICTURES], whole.a[PICTURES], whole.b[PICTURES], whole.mean_ab[PICTURES])
    data = dataclasses.replace(data, train=part)
    psnr, seconds = np.zeros((2, EPOCHS), np.float32)
    began, epoch = time.process_time(), 0
    with contextlib.suppress(Diverged):
        for epoch, result in enumerate(fit(config, data), 1):
            psnr[epoch - 1] = result.record["val_psnr"]
            seconds[epoch - 1] = time.process_time() - began
            began = time.process_time()
    if epoch < EPOCHS:
        seconds[epoch] = time.process_time() - began  # of the epoch in which it diverged
    return point, seed, psnr, seconds


if __name__ == "__main__":
    main()
