"""`chromatune search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from tuning.cli.console import log, show
from tuning.cli.launch import finish
from tuning.cli.options import (
    Format,
    LaunchOptions,
    TaskArgument,
    option,
    resolve_storage,
    section,
    takes,
)
from tuning.errors import ChromatuneError
from tuning.training.tasks import Task

# What can be given with --extend; the rest of a search stays as it was started.
_EXTENSIONS = (
    *("search.num_samples", "search.points"),
    *("search.budget_gpu_hours", "search.budget_cpu_hours"),
    *("storage_path", "address", "resources.backend"),
)


@takes(LaunchOptions)
def search(
    task: TaskArgument,
    num_samples: Annotated[
        int | None, option("Number of trials, with --extend of further ones [default: 20].", min=1)
    ] = None,
    sampler: Annotated[
        Literal["tpe", "gp", "cmaes", "random", "grid"] | None,
        option("Optuna's sampler [default: tpe]."),
    ] = None,
    scheduler: Annotated[
        Literal["asha", "median", "none"] | None,
        option("Rule that stops trials early [default: asha; none with several objectives]."),
    ] = None,
    objective: Annotated[
        list[str] | None,
        option(
            "val_psnr:max, parameters:min, …; repeat for a Pareto front [default: the task's "
            "validation score]."
        ),
    ] = None,
    points: Annotated[Path | None, option("YAML list of configurations to try first.")] = None,
    warm_start: Annotated[
        bool | None,
        option(
            "Start from the results of earlier launches on the same dataset [default: yes].",
            "--warm-start/--no-warm-start",
        ),
    ] = None,
    budget_gpu_hours: Annotated[
        float | None, option("Stop after this many GPU hours, summed over trials.")
    ] = None,
    budget_cpu_hours: Annotated[
        float | None, option("Stop after this many core hours, summed over trials.")
    ] = None,
    study_storage: Annotated[
        str | None,
        option(
            "Optuna storage of the study, a journal file or a database URL [default: "
            "study.journal in the launch folder]."
        ),
    ] = None,
    study_name: Annotated[
        str | None, option("Name of the Optuna study [default: the launch id].")
    ] = None,
    extend: Annotated[
        str | None,
        option("Add trials to this search: launch id, its folder, or `last`.", metavar="LAUNCH"),
    ] = None,
    dry_run: Annotated[
        bool, option("Show the space, the first suggestions and the cost.", "--dry-run")
    ] = False,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Search with Optuna, by default over the space of `configs/search_TASK.yaml`."""
    from tuning.config.schema import configs_folder
    from tuning.config.search import SearchLaunchConfig, read_points

    flags = section(
        "search",
        num_samples=num_samples,
        sampler=sampler,
        scheduler=scheduler,
        objectives=objective or None,
        points=None if points is None else read_points(points),
        warm_start=warm_start,
        budget_gpu_hours=budget_gpu_hours,
        budget_cpu_hours=budget_cpu_hours,
        study_storage=study_storage,
        study_name=study_name,
    )
    if extend is not None:
        if dry_run:
            raise ChromatuneError("--dry-run is about a new search: it does not go with --extend")
        _extend(task, extend, flags, options, format_)
        return
    file = configs_folder() / f"search_{task}.yaml"
    config = options.resolve(SearchLaunchConfig, flags, file=file)
    if dry_run:
        from tuning.workflows.search_dry_run import dry_run_table

        show([dry_run_table(task, config)], format_)
        return
    from tuning.workflows.search import run_search
    from tuning.workflows.search_conclusion import conclude_search

    uri = options.uri(config)
    outcome = run_search(task, config, tracking_uri=uri, console=log)
    finish([conclude_search(outcome, uri)], format_)


def _extend(
    task: Task, name: str, flags: dict[str, Any], options: LaunchOptions, format_: str
) -> None:
    """Add trials or hours to a search."""
    given = {key: value for key, value in {**options.flags(), **flags}.items() if value is not None}
    refused = [key for key in given if key not in _EXTENSIONS]
    if refused or options.config or options.set_:
        word = refused[0].rpartition(".")[2].replace("_", "-") if refused else "config"
        raise ChromatuneError(
            f"--{word} does not go with --extend, which takes only --num-samples, --points, "
            f"--budget-gpu-hours and --budget-cpu-hours"
        )
    from tuning.config.search import SearchConfig
    from tuning.launch.folder import open_launch
    from tuning.search.budget import Allowance
    from tuning.workflows.search import resume_search
    from tuning.workflows.search_conclusion import conclude_search
    from tuning.workflows.trust import cluster_of, store_of

    launch = open_launch(name, resolve_storage(options.storage_path))
    if launch.task != task or not launch.document["config"].get("search"):
        raise ChromatuneError(f"{launch.launch_id} is not a {task} search")
    gpu_hours, cpu_hours = flags["search.budget_gpu_hours"], flags["search.budget_cpu_hours"]
    # More hours for the trials there are need no more trials.
    default = 0 if gpu_hours or cpu_hours else SearchConfig.model_fields["num_samples"].default
    uri = store_of(launch, options.tracking_uri, options.backend)
    outcome = resume_search(
        launch,
        address=cluster_of(launch, options.address),
        backend=options.backend,
        tracking_uri=uri,
        console=log,
        more=Allowance(flags["search.num_samples"] or default, gpu_hours, cpu_hours),
        points=flags["search.points"] or (),
    )
    finish([conclude_search(outcome, uri)], format_)
