"""`chromatune reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tuning.cli.console import FAILED, INTERRUPTED, log, print_line, results
from tuning.cli.launched import begin
from tuning.cli.options import LaunchOptions, option, resolve_uri, takes
from tuning.errors import ChromatuneError
from tuning.utils.redaction import redact

if TYPE_CHECKING:
    from tuning.workflows.reproduce import Step

# The datasets that are made of the folders in --data.
_REAL = {"data": ("faces", "gt_faces"), "target": ("ncd", "ncd")}


@takes(LaunchOptions)
def reproduce(
    preset: Annotated[
        Literal["quick", "report"], option("Packaged configuration: reproduce_<preset>.")
    ] = "quick",
    data: Annotated[
        Path | None,
        option("Folder with gt_faces/ and ncd/, the real datasets [default: synthetic ones]."),
    ] = None,
    force: Annotated[
        bool | None,
        option("Promote a first champion even if the constant predictor is better.", "--force"),
    ] = None,
    report_folder: Annotated[
        Path, option("Folder of the report, which is written last.", "--report")
    ] = Path("report"),
    *,
    options: LaunchOptions,
) -> None:
    """Run everything: prepare, both grids, finals, promotion, fine-tuning, the report."""
    from tuning.config.schema import configs_folder
    from tuning.report import check_report_folder
    from tuning.tracking.store import prepare_store
    from tuning.workflows.reproduce import Job, ReproduceConfig

    flags: dict[str, Any] = {"force": force}
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

    job = Job(config, sources, uri, log, begin)
    steps = []
    for step in job.run():
        steps.append(step)
        _show(step)
    if steps[-1].interrupted:
        log.print("interrupted: the same command resumes from here")
        sys.exit(INTERRUPTED)
    for path in job.report(report_folder):
        print_line(f"report: {path}")
    print_line(f"MLflow store: {redact(uri)}\nNext:")
    print_line("  chromatune ui   # compare the runs and their images in MLflow")
    print_line(f"  chromatune trials colorizer --dataset {config.data.dataset}")
    succeeded = all(step.succeeded for step in steps)
    if succeeded:
        print_line(f"  chromatune colorize PICTURE.jpg --mode {config.data.dataset}")
    sys.exit(0 if succeeded else FAILED)


def _show(step: Step) -> None:
    if step.line:
        print_line(step.line)
    if step.table is not None:
        results.print()
        results.print(step.table.rich())
    if step.promotion is not None:
        print_line(step.promotion.sentence)
    for line in step.advice:
        print_line(line, log)
