"""`chromatune prepare`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuning.cli.console import log, print_line
from tuning.cli.options import DataOptions, option, takes
from tuning.display.steps import step_progress


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

    data = options.data_config()
    with step_progress(log) as progress:
        prepared = prepare_images(
            prepare_settings(data),
            data.root,
            source=source,
            overwrite=overwrite,
            progress=progress,
        )
    print_line(prepared.summary)
