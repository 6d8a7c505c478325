"""`chromatune search`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tuning.cli.console import log, log_line, show
from tuning.cli.launch import finish
from tuning.cli.launched import begin
from tuning.cli.options import (
    Format,
    PreparedLaunchOptions,
    TaskArgument,
    config_names,
    option,
    resolve_storage,
    takes,
)
from tuning.errors import ChromatuneError
from tuning.training.tasks import Task
from tuning.utils.environment import expanded

if TYPE_CHECKING:
    from tuning.launch.outcomes import LaunchOutcome
    from tuning.workflows.run_launch import Session

# What can be given with --extend; the rest of a search stays as it was started.
_EXTENSIONS = (
    *("search.num_samples", "search.points"),
    *("search.budget_gpu_hours", "search.budget_cpu_hours"),
    *("storage_path", "address", "resources.backend", "notify"),
)


def _read_points(file: Path | None) -> list[dict[str, Any]] | None:
    from tuning.config.search import read_points

    return None if file is None else read_points(expanded(file))


def _sampler_names(incomplete: str) -> list[str]:
    from tuning.config.search import SAMPLERS

    return [name for name in SAMPLERS if name.startswith(incomplete)]


@dataclasses.dataclass(frozen=True)
class SearchOptions(PreparedLaunchOptions):
    """How is searched, and for how long."""

    section = "search"

    num_samples: Annotated[
        int | None, option("Number of trials, with --extend of further ones [default: 20].", min=1)
    ] = None
    sampler: Annotated[
        str | None,
        option(
            "Optuna's sampler: tpe, gp, cmaes, random, grid, or MODULE:CLASS of any other "
            "[default: tpe].",
            autocompletion=_sampler_names,
        ),
    ] = None
    scheduler: Annotated[
        Literal["asha", "hyperband", "asha-stop", "median", "none"] | None,
        option(
            "Rule that pauses trials by the first objective and resumes the best (asha, "
            "hyperband), or stops them (asha-stop, median) [default: asha; none with several]."
        ),
    ] = None
    objectives: Annotated[
        list[str] | None,
        option(
            "val_psnr:max, parameters:min, …; repeat for a Pareto front [default: the task's "
            "validation score].",
            "--objective",
            callback=lambda values: values or None,
        ),
    ] = None
    points: Annotated[
        Path | None, option("YAML list of configurations to try first.", callback=_read_points)
    ] = None
    warm_start: Annotated[
        bool | None,
        option(
            "Start from the results of earlier launches on the same dataset [default: yes].",
            "--warm-start/--no-warm-start",
        ),
    ] = None
    transfer: Annotated[
        bool | None,
        option(
            "Try the best configurations of earlier launches on other datasets first, and draw "
            "near them [default: no].",
            "--transfer/--no-transfer",
        ),
    ] = None
    recipe: Annotated[
        str | None,
        option(
            "Likewise a configuration of `chromatune train`: a YAML file, or the name of a "
            "packaged one.",
            autocompletion=config_names,
        ),
    ] = None
    budget_gpu_hours: Annotated[
        float | None, option("Stop after this many GPU hours, summed over trials.")
    ] = None
    budget_cpu_hours: Annotated[
        float | None, option("Stop after this many core hours, summed over trials.")
    ] = None
    max_stagnation_trials: Annotated[
        int | None,
        option("Begin no more trials when so many in a row have not improved the best.", min=1),
    ] = None
    min_improvement: Annotated[
        float | None,
        option("What counts as improved, in the unit of the objective [default: 0].", min=0),
    ] = None
    confirm: Annotated[
        str | None,
        option(
            "After the search, train the best configurations with several seeds: 3x3 are the three "
            "best with three seeds, and the best mean wins.",
            metavar="BESTxSEEDS",
        ),
    ] = None
    study_storage: Annotated[
        str | None,
        option(
            "Optuna storage of the study, a journal file or a database URL [default: "
            "study.journal in the launch folder]."
        ),
    ] = None
    study_name: Annotated[
        str | None, option("Name of the Optuna study [default: the launch id].")
    ] = None


@takes(SearchOptions)
def search(
    task: TaskArgument,
    extend: Annotated[
        str | None,
        option("Add trials to this search: launch id, its folder, or `last`.", metavar="LAUNCH"),
    ] = None,
    dry_run: Annotated[
        bool, option("Show the space, the first suggestions and the cost.", "--dry-run")
    ] = False,
    time_it: Annotated[
        bool, option("With --dry-run: train a few epochs to measure the hours.", "--time-it")
    ] = False,
    format_: Format = "table",
    *,
    options: SearchOptions,
) -> None:
    """Search with Optuna, by default over the packaged space `search_TASK`."""
    check_modes(extend, dry_run=dry_run, time_it=time_it)
    if extend is not None:
        outcome, session = extend_search(task, extend, options, in_shell=True)
        finish([outcome], session, format_)
    from tuning.config.schema import configs_folder
    from tuning.config.search import SearchLaunchConfig

    config = options.resolve(SearchLaunchConfig, file=configs_folder() / f"search_{task}.yaml")
    # Those of a file may have been written for a wider space.
    sets_points = any(word.startswith("search.points") for word in options.set_ or ())
    strict = {"strict_points": options.points is not None or sets_points}
    if dry_run:
        from tuning.workflows.search_dry_run import dry_run_table

        show([dry_run_table(task, config, log_line, time_it=time_it, **strict)], format_)
        return
    from tuning.workflows.search import run_search

    session = options.session(config)
    finish([run_search(task, config, session, **strict)], session, format_)


def check_modes(extend: object, *, dry_run: bool, time_it: bool) -> None:
    """Raise ChromatuneError for ways to run a search that exclude each other."""
    if time_it and not dry_run:
        raise ChromatuneError("--time-it measures for --dry-run: give both")
    if extend is not None and dry_run:
        raise ChromatuneError("--dry-run is about a new search: it does not go with --extend")


def extend_search(
    task: Task, name: str, options: SearchOptions, *, in_shell: bool
) -> tuple[LaunchOutcome, Session]:
    """Add trials or hours to a search and run it.

    Raises ChromatuneError if `options` has anything else that makes a search.
    """
    given = {key: value for key, value in options.flags().items() if value is not None}
    given.pop("imports", None)
    refused = [key.rpartition(".")[2] for key in given if key not in _EXTENSIONS]
    refused += [word for word in ("config", "set_") if getattr(options, word)]
    if refused:
        word = refused[0].strip("_").replace("_", "-")
        raise ChromatuneError(
            f"--{word} does not go with --extend, which takes only --num-samples, --points, "
            f"--budget-gpu-hours and --budget-cpu-hours"
        )
    from tuning.config.imports import allow_code
    from tuning.launch.folder import open_launch
    from tuning.workflows.address_checks import store_of
    from tuning.workflows.run_launch import Session
    from tuning.workflows.search import extend

    given_code = allow_code(options.import_ or (), trust=options.trust_code)
    launch = open_launch(name, resolve_storage(options.storage_path), given_code)
    uri = store_of(launch, options.tracking_uri, options.backend)
    session = Session(uri, log, begin if in_shell else None, notify=options.notify)
    added = {key.removeprefix("search."): value for key, value in given.items()}
    where = {"address": options.address, "backend": options.backend}
    return extend(task, launch, session, added, **where), session
