"""All that a run has measured so far, off the files that its trainings left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.jobs import Job
from benchmarks.gpu.place import Place
from benchmarks.gpu.plan import Plan
from data_prep import PreparedDataset
from tuning.launch.exchange import DatasetResult, LaunchResult, Results, Run, Stage, write_json
from tuning.training.data import load_split, load_task_data
from tuning.training.metrics import constant_baseline


def collected(
    run: Run, plan: Plan, datasets: Mapping[str, PreparedDataset], *, complete: bool
) -> Results:
    """Gather the results of every launch that has finished a cell."""
    return Results(
        run=run,
        complete=complete,
        stages=[Stage(**stage) for stage in json.loads(plan.place.stages.read_text())],
        datasets=[
            DatasetResult(dataset.name, dataset.digest, _summary(dataset))
            for dataset in datasets.values()
        ],
        launches=[
            _launch(jobs, plan.place, datasets[jobs[0].dataset]) for jobs in plan.begun().values()
        ],
    )


def _summary(dataset: PreparedDataset) -> dict[str, Any]:
    """The manifest's, with the source's name alone: the file is read on other machines."""
    summary = dataset.manifest.summary()
    source = summary["source"]
    return {**summary, "source": {**source, "location": Path(source["location"]).name}}


def _launch(jobs: Sequence[Job], place: Place, dataset: PreparedDataset) -> LaunchResult:
    kind, _, task = jobs[0].launch.partition("-")
    constant = _constant(task, dataset, place)
    return LaunchResult(
        kind=kind,  # type: ignore[arg-type]  # it is the beginning of a launch's name
        task=task,  # type: ignore[arg-type]
        dataset=dataset.name,
        baseline=constant["val"],
        constant=constant["test"],
        parent=next((job.parent for job in jobs if job.parent), None),
        trainings=[place.result(job) for job in jobs],
    )


def _constant(task: str, dataset: PreparedDataset, place: Place) -> dict[str, dict[str, float]]:
    """The constant predictor's metrics, measured only once."""
    file = place.run.with_name(f"constant-{task}-{dataset.name}.json")
    if not file.is_file():
        data = load_task_data(dataset, task)
        splits = {"val": data.val, "test": load_split(dataset, "test", task)}
        measured = {
            name: constant_baseline(split, data.baseline_ab, task, f"{name}_")
            for name, split in splits.items()
        }
        write_json(file, measured)
    known: dict[str, dict[str, float]] = json.loads(file.read_text())
    return known
