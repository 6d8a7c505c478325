"""The results file as Markdown, each number beside the report's."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tuning.display.formatting import (
    format_count,
    format_duration,
    format_value,
    metric_heading,
    metric_title,
)
from tuning.display.published import published_cell, published_result
from tuning.launch.exchange import CellResult, LaunchResult, Results, TrainingResult, read_results

BAR_MINUTES = 10.0
_TEST = {
    "regression": ("test_mse_a", "test_mse_b"),
    "colorizer": ("test_psnr_a", "test_psnr_b", "test_ssim"),
}


def markdown(results: Results) -> str:
    """Lay the results out: what ran where, what it took, then a table for every launch."""
    blocks = [overview(results).rstrip()]
    for launch in results.launches:
        rows = _grid(launch) if launch.kind == "grid" else _finals(launch)
        blocks.append(f"#### {launch.kind} {launch.task} on {launch.dataset}\n\n{_table(rows)}")
    return "\n\n".join(blocks) + "\n"


def overview(results: Results) -> str:
    """Only what ran where and what it took: the scores of few epochs say nothing."""
    return f"{_heading(results)}\n\n{_claim(results)}\n\n{_costs(results)}\n"


def full_scale_minutes(results: Results) -> float | None:
    """Minutes of training that the whole report took on a GPU; None if it was not that."""
    if _shortcomings(results):
        return None
    return _seconds(results.launches) / 60


def _heading(results: Results) -> str:
    run = results.run
    day = time.strftime("%Y-%m-%d", time.gmtime(run.started / 1000))
    scale = "full scale" if run.epoch_scale is None else f"{run.epoch_scale:g} of the epochs"
    state = "" if results.complete else " Not everything is trained yet."
    stages = format_count(len(results.stages), "stage")
    return (
        f"Measured on {day} with `{run.command}` on {run.device} ({run.hardware['processor']}, "
        f"{run.hardware['cores']} cores, {run.hardware['memory']}), torch {run.versions['torch']}, "
        f"{scale}, {run.precision}, seed {run.seed}, one run (n = 1), {stages}.{state}"
    )


def _claim(results: Results) -> str:
    claim = "| GPU: the whole report at full scale, engine only |"
    bar = f" <= {BAR_MINUTES:g} min |"
    minutes = full_scale_minutes(results)
    measured = f" **not measured**: {', '.join(_shortcomings(results))} |"
    if minutes is not None:
        measured = f" {minutes:.1f} min |"
    return f"| claim | bar | measured |\n|---|---|---|\n{claim}{bar}{measured}"


def _shortcomings(results: Results) -> list[str]:
    """What keeps a run from being the whole report at full scale on a GPU."""
    found = []
    if results.run.device == "cpu":
        found.append("this ran on a CPU")
    if results.run.epoch_scale is not None:
        found.append("the epochs are scaled")
    if not results.complete:
        found.append("not everything is trained")
    return found


def _costs(results: Results) -> str:
    rows: list[Sequence[str]] = [("model", "trainings", "epochs", "seconds an epoch", "training")]
    for model in dict.fromkeys(_model(one) for one in _trainings(results.launches)):
        own = [one for one in _trainings(results.launches) if _model(one) == model]
        seconds = [record["seconds"] for one in own for record in one.history]
        if seconds:
            middle = sorted(seconds)[len(seconds) // 2]
            count = f"{len(own)}", f"{len(seconds)}"
            rows.append((model, *count, f"{middle:.3g}", format_duration(sum(seconds))))
    return _table(rows)


def _grid(launch: LaunchResult) -> Iterator[Sequence[str]]:
    metric = "val_mse" if launch.task == "regression" else "val_psnr"
    yield "cell", metric_title(metric), "report", "seconds"
    for training, cell in _cells(launch):
        params = training.training["params"]
        plan = next(c for c in training.training["cells"] if c["cell_id"] == cell.cell_id)
        published = published_cell(
            *(launch.task, params["model"], params["head"], params["lr"]),
            plan["published_epochs"] or plan["epochs"],
        )
        report = "–" if published is None else format_value(metric, published)
        measured = format_value(metric, cell.metrics[metric])
        yield cell.cell_id, measured, report, f"{cell.seconds:.1f}"
    yield "constant predictor", format_value(metric, launch.baseline[metric]), "–", "–"


def _finals(launch: LaunchResult) -> Iterator[Sequence[str]]:
    columns = _TEST[launch.task]
    yield "cell", *(metric_heading(name) for name in columns), "seconds"
    for training, cell in _cells(launch):
        params = training.training["params"]
        row = published_result(launch.dataset, launch.task, params["model"], params["head"])
        yield cell.cell_id, *_figures(cell.test_metrics, columns), f"{cell.seconds:.1f}"
        if row is not None and not training.training["training_id"].endswith("-scratch"):
            yield "report", *_figures(row.metrics, columns), "–"
    yield "constant predictor", *_figures(launch.constant, columns), "–"


def _figures(metrics: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    return [format_value(name, metrics[name]) if name in metrics else "–" for name in columns]


def _cells(launch: LaunchResult) -> Iterator[tuple[TrainingResult, CellResult]]:
    for training in launch.trainings:
        for cell in training.cells:
            yield training, cell


def _trainings(launches: Sequence[LaunchResult]) -> Iterator[TrainingResult]:
    for launch in launches:
        yield from launch.trainings


def _model(training: TrainingResult) -> str:
    return str(training.training["params"]["model"])


def _seconds(launches: Sequence[LaunchResult]) -> float:
    records = [record for one in _trainings(launches) for record in one.history]
    return math.fsum(record["seconds"] for record in records)


def _table(rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    heads, *rest = [f"| {' | '.join(row)} |" for row in rows]
    columns = heads.count("|") - 1
    return "\n".join([heads, "|---" * columns + "|", *rest])


if __name__ == "__main__":
    print(markdown(read_results(Path(sys.argv[1]))))
