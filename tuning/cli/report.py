"""`chromatune report | speedup`: what a store holds on paper, and CPU against GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from tuning.cli.console import log, print_document, print_line, results
from tuning.cli.options import Format, PreparedDataOptions, TrackingUri, option, takes, words
from tuning.display.formatting import format_duration
from tuning.display.steps import step_progress

_STDOUT = Path("-")


def report(
    out: Annotated[Path, option("Folder of the files; `-` prints Markdown.")] = Path("report"),
    format_: Annotated[
        str | None,
        option(
            "Formats: html, pdf (not on Linux on ARM), md (for a README) [default: html,pdf].",
            "--format",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        option(
            "Dataset of the first part, NAME or NAME@DIGEST [default: real before synthetic data, "
            "then the dataset with more finished cells]."
        ),
    ] = None,
    target: Annotated[
        str | None,
        option(
            "Dataset of the transfer learning [default: the dataset that the first part's models "
            "were fine-tuned on]."
        ),
    ] = None,
    published_curves: Annotated[
        Path | None,
        option("Folder with the published training losses as CSV, drawn behind ours."),
    ] = None,
    photographs: Annotated[
        bool,
        option(
            "Show pictures of real datasets; synthetic ones are always shown.",
            "--photographs/--no-photographs",
        ),
    ] = True,
    mlflow_url: Annotated[
        str | None,
        option(
            "URL of the MLflow UI that cells link to, or `none` [default: the tracking server, "
            "else the URL of `chromatune ui`; without a server, none for `--out -`]."
        ),
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Write a report of the tracking store: results beside those of the original paper."""
    from tuning.report import (
        build_report,
        check_report_folder,
        checked_format,
        read_published_curves,
        render_markdown,
        write_report,
    )
    from tuning.tracking.address import tracking_uri as resolve_uri
    from tuning.tracking.reader import read_store
    from tuning.tracking.store import is_server

    formats = [checked_format(word) for word in words(format_) or ()]
    if out != _STDOUT:
        check_report_folder(out)
    uri = resolve_uri(tracking_uri)
    if mlflow_url is None and out == _STDOUT and not is_server(uri):
        mlflow_url = "none"  # printed for others, who have no such page on their machine
    store, archive = read_store(uri, "" if mlflow_url == "none" else mlflow_url)
    made = build_report(
        *(store, archive),
        dataset=dataset,
        target=target,
        photographs=photographs,
        published_curves=read_published_curves(published_curves) if published_curves else {},
    )
    if out == _STDOUT:
        print(render_markdown(made, pictures=False), end="", file=results.file)
        return
    for path in write_report(made, out, formats):
        print_line(str(path))


@takes(PreparedDataOptions)
def speedup(
    epochs: Annotated[int, option("Epochs to train on each device.", min=1)] = 30,
    seed: Annotated[int, option("Seed of weights and batch order.", min=0)] = 0,
    tracking_uri: TrackingUri = None,
    format_: Format = "table",
    *,
    options: PreparedDataOptions,
) -> None:
    """Train CNN2 on the CPU and on a GPU, and write how many times faster the GPU is."""
    from tuning.tracking.address import tracking_uri as resolve_uri
    from tuning.tracking.speedup import SpeedupRun
    from tuning.training.data import load_task_data
    from tuning.training.speedup import TASK, devices, measure, speedup_training

    dataset = options.open_data()
    data = load_task_data(dataset, TASK)
    config = speedup_training(dataset.size, epochs, seed)
    run = SpeedupRun(resolve_uri(tracking_uri), dataset, config)
    halves = []
    for device in devices():
        step = f"{config.model} on the {device.upper()}: epochs"
        with step_progress(log) as progress:
            half = measure(
                config, data, device, functools.partial(_show_epoch, progress, step, epochs)
            )
        run.add(half)
        halves.append(half)
        if format_ == "table":
            print_line(
                f"{device.upper()} ({half.hardware}): {format_duration(half.seconds)} for "
                f"{epochs} epochs, {half.seconds / epochs:.3g} s an epoch"
            )
    if format_ == "json":
        seconds = {half.device: half.seconds for half in halves}
        hardware = {half.device: half.hardware for half in halves}
        document = {"seconds": seconds, "hardware": hardware, "speedup": run.factor}
        print_document(document)
    elif run.factor is None:
        results.print("GPU: torch finds none here, so only the CPU half was measured.")
    else:
        results.print(f"The GPU is {run.factor:.3g} times as fast as the CPU.")
    print_line(f"stored as {run.launch_id}", log)


def _show_epoch(
    progress: Callable[[str, int, int], None], step: str, epochs: int, epoch: int
) -> None:
    progress(step, epoch, epochs)
