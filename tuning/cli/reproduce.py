"""`chromatune reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuning.cli.console import FAILED, INTERRUPTED, log, results
from tuning.cli.options import LaunchOptions, takes
from tuning.config.schema import configs_folder
from tuning.errors import ChromatuneError

if TYPE_CHECKING:
    from tuning.workflows.reproduce import Step

# The folders that real pictures are looked for in under --data, and the datasets they make.
_REAL = {"data": ("faces", "gt_faces"), "target": ("ncd", "ncd")}


def register(app: typer.Typer) -> None:
    app.command()(reproduce)


@takes(LaunchOptions)
def reproduce(
    preset: Annotated[
        Literal["quick", "report"], typer.Option(help="configs/reproduce_<preset>.yaml.")
    ] = "quick",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Real pictures: a folder with gt_faces/ and ncd/ \\[default: drawn ones].",
            show_default=False,
        ),
    ] = None,
    report_folder: Annotated[
        Path, typer.Option("--report", help="Folder of the report that the job ends with.")
    ] = Path("report"),
    *,
    options: LaunchOptions,
) -> None:
    """Do the whole job: prepare, both grids, finals, promotion, fine-tuning, the report."""
    from tuning.report import check_report_folder
    from tuning.tracking.store import prepare_store
    from tuning.tracking.store import tracking_uri as resolve_uri
    from tuning.workflows.reproduce import ReproduceConfig, report_on
    from tuning.workflows.reproduce import reproduce as steps_of

    flags: dict[str, str] = {}
    sources: dict[str, str] = {}
    if data is not None:
        for section, (dataset, folder) in _REAL.items():
            if not (data / folder).is_dir():
                raise ChromatuneError(f"--data {data}: there is no folder {folder}/ in it")
            flags[f"{section}.dataset"] = dataset
            sources[dataset] = str(data / folder)
    file = configs_folder() / f"reproduce_{preset}.yaml"
    config = options.resolve(ReproduceConfig, flags, file=file)
    check_report_folder(report_folder)
    uri = resolve_uri(options.tracking_uri)
    prepare_store(uri)

    steps = []
    for step in steps_of(config, sources=sources, tracking_uri=uri, console=log):
        steps.append(step)
        _show(step)
    if steps[-1].interrupted:
        log.print("interrupted: the same command goes on from here")
        sys.exit(INTERRUPTED)
    for path in report_on(config, uri, report_folder):
        results.print(f"report: {path}", soft_wrap=True, markup=False)
    _say_what_next(uri, config.data.dataset)
    sys.exit(0 if all(step.succeeded for step in steps) else FAILED)


def _show(step: Step) -> None:
    if step.line:
        results.print(step.line, soft_wrap=True, markup=False)
    if step.table is not None:
        results.print()
        results.print(step.table.rich())
    if step.promotion is not None:
        results.print(step.promotion.sentence, soft_wrap=True, markup=False)
    for line in step.conclusion.advice if step.conclusion else ():
        log.print(line, soft_wrap=True, markup=False)


def _say_what_next(uri: str, dataset: str) -> None:
    from tuning.utils.redaction import redact

    results.print(f"\nMLflow store: {redact(uri)}", soft_wrap=True, markup=False)
    results.print("Next:", markup=False)
    for command, what in (
        ("chromatune ui", "compare the runs and look at their pictures in MLflow"),
        (f"chromatune trials colorizer --dataset {dataset}", "the grid as the report's table"),
        (
            f"chromatune grid colorizer --dataset {dataset} --heads tanh --epochs 10,20",
            "train longer, then `chromatune promote` again",
        ),
    ):
        results.print(f"  {command}\n      {what}", soft_wrap=True, markup=False)
