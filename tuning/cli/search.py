"""`chromatune search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tuning.cli.console import log, show
from tuning.cli.launch import finish
from tuning.cli.options import Format, LaunchOptions, TaskArgument, takes
from tuning.config.schema import LaunchConfig, Task, configs_folder
from tuning.config.search import SearchConfig, SearchLaunchConfig
from tuning.errors import ChromatuneError
from tuning.search.points import read_points

# What can be said of a search that goes on; all else it keeps.
_OF_EXTENSIONS = (
    *("search.num_samples", "search.points"),
    *("search.budget_gpu_hours", "search.budget_cpu_hours"),
    *("storage_path", "address"),
)


def register(app: typer.Typer) -> None:
    app.command()(search)


@takes(LaunchOptions)
def search(
    task: TaskArgument,
    num_samples: Annotated[
        int | None,
        typer.Option(help="Number of trials \\[default: 20]; with --extend, so many more.", min=1),
    ] = None,
    sampler: Annotated[
        Literal["tpe", "gp", "cmaes", "random", "grid"] | None,
        typer.Option(help="Optuna's sampler \\[default: tpe].", show_default=False),
    ] = None,
    scheduler: Annotated[
        Literal["asha", "median", "none", "pbt"] | None,
        typer.Option(
            help="Ray's scheduler \\[default: asha; none with several objectives].",
            show_default=False,
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="val_psnr:max, parameters:min, …; repeat it for a Pareto set "
            "\\[default: the task's score].",
            show_default=False,
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="YAML list of configurations to try first.", show_default=False),
    ] = None,
    warm_start: Annotated[
        bool | None,
        typer.Option(
            "--warm-start/--no-warm-start",
            help="Begin with what earlier launches found on these data \\[default: do].",
            show_default=False,
        ),
    ] = None,
    budget_gpu_hours: Annotated[
        float | None, typer.Option(help="Stop after so many hours of whole GPUs.")
    ] = None,
    budget_cpu_hours: Annotated[
        float | None, typer.Option(help="Stop after so many hours of cores.")
    ] = None,
    study_storage: Annotated[
        str | None,
        typer.Option(
            help="Journal file or database of the Optuna study \\[default: study.journal in the "
            "launch's folder].",
            show_default=False,
        ),
    ] = None,
    study_name: Annotated[
        str | None, typer.Option(help="\\[default: the launch's id]", show_default=False)
    ] = None,
    extend: Annotated[
        str | None,
        typer.Option(
            metavar="LAUNCH",
            help="Add trials to this search: its id, its folder, or `last`.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the space, the first suggestions and the cost."),
    ] = False,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Search beyond the grid with Optuna: `configs/search_TASK.yaml` unless told otherwise."""
    flags = {
        "search.num_samples": num_samples,
        "search.sampler": sampler,
        "search.scheduler": scheduler,
        "search.objectives": objective or None,
        "search.points": None if points is None else read_points(points),
        "search.warm_start": warm_start,
        "search.budget_gpu_hours": budget_gpu_hours,
        "search.budget_cpu_hours": budget_cpu_hours,
        "search.study_storage": study_storage,
        "search.study_name": study_name,
    }
    if extend is not None:
        if dry_run:
            raise ChromatuneError(
                "--dry-run shows how a search would begin: give it without --extend"
            )
        _extend(task, extend, flags, options, format_)
        return
    file = configs_folder() / f"search_{task}.yaml"
    config = options.resolve(SearchLaunchConfig, flags, file=file)
    if dry_run:
        from tuning.workflows.search_dry_run import dry_run_table

        show([dry_run_table(task, config)], format_)
        return
    from tuning.tracking.store import tracking_uri
    from tuning.workflows.search import run_search
    from tuning.workflows.search_conclusion import conclude_search

    uri = tracking_uri(options.tracking_uri)
    outcome = run_search(task, config, tracking_uri=uri, console=log)
    finish([conclude_search(outcome, uri)], format_)


def _extend(
    task: Task, name: str, flags: dict[str, Any], options: LaunchOptions, format_: str
) -> None:
    """Go on with a search beyond what it was begun for."""
    given = {key: value for key, value in {**options.flags(), **flags}.items() if value is not None}
    refused = [key for key in given if key not in _OF_EXTENSIONS]
    if refused or options.config or options.set_:
        word = refused[0].rpartition(".")[2].replace("_", "-") if refused else "config"
        raise ChromatuneError(
            f"--{word} does not go with --extend: a search goes on as it was begun (new are its "
            f"number of trials, its points and its hours of devices)"
        )
    from tuning.launch.folder import open_launch
    from tuning.search.budget import Allowance
    from tuning.workflows.search import resume_search
    from tuning.workflows.search_conclusion import conclude_search
    from tuning.workflows.trust import cluster_of, store_of

    path = options.storage_path
    where = LaunchConfig(storage_path=path) if path else LaunchConfig()
    launch = open_launch(name, where.storage_path)
    if launch.kind != "search" or launch.task != task:
        raise ChromatuneError(f"{launch.launch_id} is no {task} search")
    gpu_hours, cpu_hours = flags["search.budget_gpu_hours"], flags["search.budget_cpu_hours"]
    # More hours for the trials there are need no more trials.
    default = 0 if gpu_hours or cpu_hours else SearchConfig.model_fields["num_samples"].default
    uri = store_of(launch, options.tracking_uri)
    outcome = resume_search(
        launch,
        address=cluster_of(launch, options.address),
        tracking_uri=uri,
        console=log,
        more=Allowance(flags["search.num_samples"] or default, gpu_hours, cpu_hours),
        points=flags["search.points"] or (),
    )
    finish([conclude_search(outcome, uri)], format_)
