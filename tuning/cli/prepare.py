"""`chromatune prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from data_prep import prepare as prepare_pictures
from tuning.cli.console import log, results
from tuning.config.schema import DataConfig, resolve
from tuning.launch.datasets import prepare_settings


def register(app: typer.Typer) -> None:
    app.command()(prepare)


def prepare(
    dataset: Annotated[
        str, typer.Argument(help="faces | ncd | synthetic-faces | synthetic-fruits")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            help="Folder or zip of pictures, or an http(s) address; without it the official "
            "archive is downloaded.",
            show_default=False,
        ),
    ] = None,
    data_root: Annotated[Path, typer.Option(help="Folder of the prepared datasets.")] = Path(
        "data"
    ),
    size: Annotated[int, typer.Option(help="Side of a picture in pixels.", min=1)] = 128,
    split: Annotated[
        str, typer.Option(help="random | subject (no person on two sides).")
    ] = "random",
    augment: Annotated[
        int, typer.Option(help="Copies of each training picture, 1 = none.", min=1)
    ] = 10,
    data_seed: Annotated[
        int, typer.Option("--data-seed", "--seed", help="Seed of split and augmentation.", min=0)
    ] = 0,
    count: Annotated[
        int | None, typer.Option(help="Number of pictures of a synthetic dataset.", min=1)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what was prepared from other pictures.")
    ] = False,
    export_images: Annotated[
        bool, typer.Option("--export-images", help="Also write L, a, b and augmented PNG folders.")
    ] = False,
) -> None:
    """Turn pictures into split, augmented Lab arrays."""
    data = resolve(
        DataConfig,
        flags={
            "dataset": dataset,
            "root": data_root,
            "size": size,
            "split": split,
            "augment": augment,
            "seed": data_seed,
            "count": count,
        },
    )
    with Progress(console=log, transient=True, disable=not log.is_terminal) as bar:
        tasks = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total or None)
            bar.update(tasks[step], completed=done, total=total or None)

        prepared = prepare_pictures(
            prepare_settings(data),
            data.root,
            source=source,
            overwrite=overwrite,
            export_images=export_images,
            progress=progress,
        )
    results.print(prepared.summary, soft_wrap=True)
