"""`chromatune prepare`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress

from tuning.cli.console import log, print_line
from tuning.cli.options import DataOptions, option, takes


@takes(DataOptions)
def prepare(
    dataset: Annotated[  # noqa: ARG001  (in `options`)
        str, typer.Argument(help="faces | ncd | synthetic-faces | synthetic-fruits")
    ],
    source: Annotated[
        str | None,
        option(
            "Folder, zip or http(s) address of the images "
            "[default: download the official archive].",
        ),
    ] = None,
    overwrite: Annotated[
        bool, option("Replace a dataset prepared from other images.", "--overwrite")
    ] = False,
    *,
    options: DataOptions,
) -> None:
    """Split, resize and augment images, and store them as Lab arrays."""
    from data_prep import prepare as prepare_images
    from tuning.launch.open_dataset import prepare_settings

    data = options.data()
    with Progress(console=log, transient=True, disable=not log.is_terminal) as bar:
        tasks = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total or None)
            bar.update(tasks[step], completed=done, total=total or None)

        prepared = prepare_images(
            prepare_settings(data),
            data.root,
            source=source,
            overwrite=overwrite,
            progress=progress,
        )
    print_line(prepared.summary)
