"""The whole report at full scale on one GPU, where neither Ray nor MLflow is installed.

    python -m benchmarks.report_on_gpu --data DIR --out DIR

DIR holds gt_faces/ and ncd/, as for `chromatune reproduce --data`. Needed are torch, NumPy, OpenCV
and scikit-image (with the Pillow that it brings). Both grids, the final models and the fine-tunings
go through the same `fit()` as any trial, one after another. A call is a stage: it ends within
`--stage-minutes` with exit status 3, and the next one goes on from the files in --out, as it does
after a kill -9. So

    until python -m benchmarks.report_on_gpu --data DIR --out DIR; do [ $? = 3 ] || break; done

does it all; with `--stage-minutes 0` one call does. OUT/results.json holds all that was measured;
`chromatune import-results` takes it into MLflow. On a CPU, `--epoch-scale 0.01` proves the way.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch

from benchmarks.gpu.jobs import LAUNCHES, SOURCE, TARGET, Job, Scale
from benchmarks.gpu.outcome import collected
from benchmarks.gpu.place import Place
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.stage import Clock, Pictures, end_stage, go_on, measure
from benchmarks.gpu.table import markdown
from data_prep import DataError, PreparedDataset, PrepareSettings, prepare
from models import ModelError
from tuning.errors import ChromatuneError, nearest
from tuning.launch.exchange import Run, write_json, write_results
from tuning.training.config import Precision
from tuning.training.data import load_split, load_task_data
from tuning.training.devices import pick_device
from tuning.utils import provenance

FOLDERS = {SOURCE: "gt_faces", TARGET: "ncd"}
FAILED, WRONG_INPUT, MORE_TO_DO, INTERRUPTED = 1, 2, 3, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run one stage; exit status 0 all done, 1 a training diverged, 2 wrong input, 3 go on."""
    asked = _arguments(words)
    clock = Clock(asked.stage_minutes)
    try:
        return _stage(asked, clock)
    except (ChromatuneError, DataError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last checkpoints", file=sys.stderr)
        return INTERRUPTED


def _stage(asked: argparse.Namespace, clock: Clock) -> int:
    started = time.time()
    device = torch.device(pick_device(asked.device))
    # The report trained in float32; torch would let cuDNN round convolutions to TF32.
    torch.backends.cudnn.allow_tf32 = False
    place = Place(asked.out)
    scale = Scale(asked.epoch_scale, asked.batch_size, asked.size, asked.augment, asked.seed)
    scale = dataclasses.replace(scale, precision=asked.precision)
    with place.held():
        datasets = {name: _prepared(name, asked, place) for name in FOLDERS}
        run = _begun(place, asked, device, datasets)
        plan = Plan(place, scale)
        left = _train(asked.only, plan, datasets, device, clock)
        if not left:
            plan.discard_weights(run.weights)
        stages = json.loads(place.stages.read_text()) if place.stages.is_file() else []
        end_stage(place, stages, started)
        results = collected(run, plan, datasets, complete=not left)
        write_results(place.results, results)
    if asked.format == "md":
        print(markdown(results))
    print(f"results: {place.results}", file=sys.stderr)
    if left:
        print("the stage is over: the same command goes on with the rest", file=sys.stderr)
        return MORE_TO_DO
    outcomes = {one.outcome for launch in results.launches for one in launch.trainings}
    return FAILED if "diverged" in outcomes else 0


def _train(
    launches: Sequence[str],
    plan: Plan,
    datasets: dict[str, PreparedDataset],
    device: torch.device,
    clock: Clock,
) -> bool:
    """Go on with the launches in their order; return whether something is left to train."""
    began = False
    for launch in launches:
        jobs = plan.jobs(launch)
        pictures = _pictures(jobs[0], datasets)
        for job in jobs:
            if plan.place.has_ended(job):
                continue
            if (began and clock.is_up) or not go_on(job, plan.place, pictures, device, clock):
                return True
            began = True
        winner = plan.place.best(jobs)
        if winner is not None:
            measure(*winner, plan.place, pictures.test, device)
    return False


def _pictures(job: Job, datasets: dict[str, PreparedDataset]) -> Pictures:
    dataset = datasets[job.dataset]
    return Pictures(load_task_data(dataset, job.task), load_split(dataset, "test", job.task))


def _prepared(name: str, asked: argparse.Namespace, place: Place) -> PreparedDataset:
    source = asked.data / FOLDERS[name]
    if not source.is_dir():
        raise ChromatuneError(f"--data {asked.data}: there is no folder {FOLDERS[name]}/ in it")
    settings = PrepareSettings(name, size=asked.size, augment=asked.augment)
    return prepare(settings, place.data, source=source).dataset


def _begun(
    place: Place,
    asked: argparse.Namespace,
    device: torch.device,
    datasets: dict[str, PreparedDataset],
) -> Run:
    """The run that the first call began; ChromatuneError if this one asks for another."""
    digests = {name: dataset.digest for name, dataset in datasets.items()}
    run = Run(
        started=round(1000 * time.time()),
        command=shlex.join(["python", "-m", "benchmarks.report_on_gpu", *sys.argv[1:]]),
        git_commit=provenance.git_commit(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        hostname=socket.gethostname(),
        hardware=provenance.hardware(),
        versions=provenance.versions(),
        epoch_scale=asked.epoch_scale,
        batch_size=asked.batch_size,
        seed=asked.seed,
        precision=asked.precision,
        weights=asked.weights,
    )
    if not place.run.is_file():
        write_json(place.run, {"run": dataclasses.asdict(run), "digests": digests})
        return run
    known = json.loads(place.run.read_text())
    begun = Run(**known["run"])
    for name in ("device", "epoch_scale", "batch_size", "seed", "precision", "weights"):
        before, now = getattr(begun, name), getattr(run, name)
        if before != now:
            raise ChromatuneError(
                f"the run in {asked.out} was begun with {name} {before}, not {now}: go on with "
                f"that, or choose another --out"
            )
    if known["digests"] != digests:
        raise ChromatuneError(
            f"the run in {asked.out} was begun with other pictures: choose another --out"
        )
    return begun


def _launches(words: str) -> list[str]:
    chosen = words.split(",")
    for word in chosen:
        if word not in LAUNCHES:
            raise argparse.ArgumentTypeError(
                f"unknown '{word}'{nearest(word, LAUNCHES)} (valid: {', '.join(LAUNCHES)})"
            )
    return [launch for launch in LAUNCHES if launch in chosen]


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with gt_faces/ and ncd/")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run's files")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--stage-minutes", type=float, default=9.0, help="0: until all is done")
    parser.add_argument("--only", type=_launches, default=list(LAUNCHES), help=",".join(LAUNCHES))
    parser.add_argument("--weights", choices=("all", "best", "none"), default="best")
    parser.add_argument("--format", choices=("none", "md"), default="md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    smaller = parser.add_argument_group("smaller than the report, to prove the way through")
    smaller.add_argument("--epoch-scale", type=float, help="0.01: 1, 3 and 5 epochs")
    smaller.add_argument("--size", type=int, default=128, help="side of the pictures in pixels")
    smaller.add_argument("--augment", type=int, default=10, help="copies of a training picture")
    smaller.add_argument("--batch-size", type=int, default=100)
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
