"""The commands that prepare data and train, as functions."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

import yaml

from chromatune import _background
from chromatune._keywords import (
    Files,
    FinalsKeywords,
    FinetuneKeywords,
    GridKeywords,
    PrepareKeywords,
    SearchKeywords,
    Task,
    TrainKeywords,
    as_files,
    as_options,
)
from chromatune._launch import Launch, concluded, load_launch
from chromatune._process import unchanged
from data_prep import PreparedDataset
from tuning.cli.console import log, log_line
from tuning.cli.launch import FinalsOptions, FinetuneOptions, GridOptions, TrainOptions
from tuning.cli.options import LaunchOptions, resolve_storage
from tuning.cli.prepare import PrepareOptions
from tuning.cli.search import SearchOptions, check_modes, extend_search
from tuning.config.imports import allow_code
from tuning.config.schema import (
    REPORT_GRIDS,
    FinalsLaunchConfig,
    FinetuneLaunchConfig,
    GridLaunchConfig,
    LaunchConfig,
    TrainLaunchConfig,
    configs_folder,
)
from tuning.config.search import SearchLaunchConfig
from tuning.display.steps import step_progress
from tuning.errors import ChromatuneError
from tuning.launch.outcomes import LaunchOutcome
from tuning.training.tasks import TASKS, checked_task
from tuning.utils.environment import expanded
from tuning.workflows.run_launch import Session

if TYPE_CHECKING:
    from tuning.workflows.search_dry_run import DryRunTable

Config = TypeVar("Config", bound=LaunchConfig)


@unchanged()
def prepare(
    dataset: str,
    *,
    source: str | Path | None = None,
    overwrite: bool = False,
    **keywords: Unpack[PrepareKeywords],
) -> PreparedDataset:
    """Split, resize and augment images, and store them as Lab arrays.

    `source` is a folder, a zip or an address, by default the official archive of a known dataset.
    Keywords are the options of `chromatune prepare`. Raises ChromatuneError if the images are
    unusable, or, without `overwrite`, if the name was prepared from others.
    """
    from tuning.workflows.prepare import run_prepare

    options = as_options(PrepareOptions, {"dataset": dataset, **keywords})
    images = None if source is None else str(source)
    with step_progress(log) as progress:
        config = options.data_config()
        prepared = run_prepare(config, images, overwrite=overwrite, progress=progress)
    log_line(prepared.summary)
    return prepared.dataset


@unchanged()
def grid(task: Task, **keywords: Unpack[GridKeywords]) -> Launch:
    """Train a grid, by default the 27 cells of the original paper.

    Keywords are the options of `chromatune grid`. Returns when all cells have ended, with
    `background=True` when training begins. A cell that fails is in the launch's `errors`. Raises
    ChromatuneError before any training for wrong input, KeyboardInterrupt after Ctrl-C, when the
    launch has been stopped and can be resumed.
    """
    from tuning.workflows.grid import run_grid

    options, config = _resolved(
        GridOptions, GridLaunchConfig, keywords, defaults={"grid": REPORT_GRIDS[checked_task(task)]}
    )
    return _launch(
        *(["grid", task], options, config, keywords),
        lambda session: run_grid(task, config, session),
    )


@overload
def finals(task: Task, **keywords: Unpack[FinalsKeywords]) -> Launch: ...


@overload
def finals(task: None = None, **keywords: Unpack[FinalsKeywords]) -> list[Launch]: ...


@unchanged()
def finals(task: Task | None = None, **keywords: Unpack[FinalsKeywords]) -> Launch | list[Launch]:
    """Train the single models of Tables II and IV and evaluate them on the test set.

    Keywords are the options of `chromatune finals`; returns and raises as `grid`, without `task` a
    launch for each.
    """
    from tuning.workflows.finals import run_finals

    options, config = _resolved(FinalsOptions, FinalsLaunchConfig, keywords)
    if task is not None:
        checked_task(task)
        return _launch(
            *(["finals", task], options, config, keywords),
            lambda session: next(run_finals((task,), config, session)),
        )
    if keywords.get("background"):
        raise ChromatuneError("finals of both tasks do not run in the background: name a task")
    session = _session(options, config)
    return [concluded(each, session.tracking_uri) for each in run_finals(TASKS, config, session)]


@unchanged()
def finetune(task: Task, **keywords: Unpack[FinetuneKeywords]) -> Launch:
    """Continue training a champion on another dataset; promote it if it wins there.

    Keywords are the options of `chromatune finetune`, where `source` is its `--from`; returns and
    raises as `grid`.
    """
    from tuning.workflows.finetune import run_finetune

    checked_task(task)
    defaults = {"data": {"dataset": "ncd"}}
    options, config = _resolved(FinetuneOptions, FinetuneLaunchConfig, keywords, defaults=defaults)
    return _launch(
        *(["finetune", task], options, config, keywords),
        lambda session: run_finetune(task, config, session),
    )


@unchanged()
def train(**keywords: Unpack[TrainKeywords]) -> Launch:
    """Train one configuration, such as a search's best, and evaluate it on the test set.

    Keywords are the options of `chromatune train`; returns and raises as `grid`.
    """
    from tuning.workflows.train import run_train

    options, config = _resolved(TrainOptions, TrainLaunchConfig, keywords)
    return _launch(
        *(["train"], options, config, keywords), lambda session: run_train(config, session)
    )


@overload
def search(
    task: Task,
    *,
    extend: str | Launch | None = None,
    dry_run: Literal[False] = False,
    **keywords: Unpack[SearchKeywords],
) -> Launch: ...


@overload
def search(
    task: Task,
    *,
    dry_run: Literal[True],
    time_it: bool = False,
    **keywords: Unpack[SearchKeywords],
) -> DryRunTable: ...


@unchanged()
def search(
    task: Task,
    *,
    extend: str | Launch | None = None,
    dry_run: bool = False,
    time_it: bool = False,
    **keywords: Unpack[SearchKeywords],
) -> Launch | DryRunTable:
    """Search with Optuna, by default over the packaged space `search_TASK`.

    Keywords are the options of `chromatune search`; `space` is the search space, and `points` are
    configurations to try first. `extend` adds trials, points or hours to an earlier search.
    Returns and raises as `grid`; with `dry_run` it trains nothing, and returns the space, the first
    suggestions and the cost, in hours with `time_it`.
    """
    checked_task(task)
    check_modes(extend, dry_run=dry_run, time_it=time_it)
    if extend is not None:
        return _extended(task, extend, keywords)
    given: dict[str, Any] = dict(keywords)
    set_ = dict(keywords.get("set_", {}))
    # Those of a file may have been written for a wider space.
    strict = "points" in given or any(key.startswith("search.points") for key in set_)
    if (space := given.pop("space", None)) is not None:
        # Points of the packaged file belong to its own space.
        set_ = {"search.points": [], **set_, "search.space": space}
    given["set_"] = set_
    file = configs_folder() / f"search_{task}.yaml"
    options, config = _resolved(SearchOptions, SearchLaunchConfig, given, file=file)
    if dry_run:
        from tuning.workflows.search_dry_run import dry_run_table

        return dry_run_table(task, config, log_line, time_it=time_it, strict_points=strict)
    from tuning.workflows.search import run_search

    return _launch(
        *(["search", task], options, config, given),
        lambda session: run_search(task, config, session, strict_points=strict),
    )


@unchanged()
def resume(
    launch: str | Launch = "last",
    *,
    storage_path: str | Path | None = None,
    address: str | None = None,
    backend: str | None = None,
    tracking_uri: str | None = None,
    take_over: bool = False,
    notify: str | None = None,
    import_: Files = (),
    trust_code: bool = False,
    background: bool = False,
) -> Launch:
    """Resume a launch: finished cells stay, the others continue from their checkpoints.

    `launch` is its id, its folder, or `last`; a launch that brings code needs the same files in
    `import_`, or `trust_code`. Returns and raises as `grid`.
    """
    from tuning.launch.folder import open_launch
    from tuning.workflows.address_checks import store_of
    from tuning.workflows.resume import resume_launch

    code = as_files(import_)
    allow_code(code, trust=trust_code)
    path = None if storage_path is None else str(storage_path)
    opened = open_launch(_place(launch), resolve_storage(path))
    if background:
        given = {"address": address, "backend": backend, "import_": code}
        flags = {"take_over": take_over, "trust_code": trust_code}
        words = ["resume", opened.storage.uri, *_words(**given, **flags)]
        _background.start(words, tracking_uri=tracking_uri, notify=notify)
        return load_launch(opened.storage.uri)
    uri = store_of(opened, tracking_uri, backend)
    session = Session(uri, log, take_over=take_over, notify=notify)
    return concluded(resume_launch(opened, session, address=address, backend=backend), uri)


def _extended(task: Task, launch: str | Launch, keywords: Mapping[str, Any]) -> Launch:
    """Extend a search here, or in the background."""
    values = {name: value for name, value in keywords.items() if name != "background"}
    if "space" in values:
        raise ChromatuneError("space does not go with extend: a search keeps its space")
    options = as_options(SearchOptions, values)
    if not keywords.get("background"):
        outcome, session = extend_search(task, _place(launch), options, in_shell=False)
        return concluded(outcome, session.tracking_uri)
    found = load_launch(_place(launch), storage_path=options.storage_path)
    with tempfile.TemporaryDirectory() as scratch:
        if options.points is not None:
            file = Path(scratch) / "points.yaml"
            file.write_text(yaml.safe_dump(options.points), encoding="utf-8")
            values["points"] = file
        for name in ("storage_path", "tracking_uri", "notify"):
            values.pop(name, None)
        words = ["search", task, "--extend", found.folder, *_words(**values)]
        _background.start(words, tracking_uri=options.tracking_uri, notify=options.notify)
    return found


def _place(launch: str | Launch) -> str:
    return launch.folder if isinstance(launch, Launch) else launch


def _words(**keywords: Any) -> list[str]:
    """Keywords as the words of a command."""
    words: list[str] = []
    for name, value in keywords.items():
        option = f"--{name.strip('_').replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] * value
        elif value is not None:
            values = value if isinstance(value, list | tuple) else [value]
            words += [word for each in values for word in (option, str(each))]
    return words


def _resolved(
    kind: type[LaunchOptions],
    schema: type[Config],
    keywords: Mapping[str, Any],
    **layers: Any,
) -> tuple[LaunchOptions, Config]:
    """The options of a command and the configuration that they make."""
    values = {name: value for name, value in keywords.items() if name != "background"}
    set_ = values.pop("set_", None) or {}
    config = values.pop("config", None)
    options = as_options(kind, values)
    if config is not None:
        options = dataclasses.replace(options, config=expanded(config))
    flags = {key: value for key, value in options.flags().items() if value is not None}
    return options, options.resolve(schema, flags={**set_, **flags}, **layers)


def _launch(
    words: list[str],
    options: LaunchOptions,
    config: LaunchConfig,
    keywords: Mapping[str, Any],
    run: Callable[[Session], LaunchOutcome],
) -> Launch:
    """Run a launch here, or in the background as the command of these words."""
    if keywords.get("background"):
        uri, notify = options.tracking_uri, config.notify
        words += ["--trust-code"] * options.trust_code
        said = _background.start(words, config, tracking_uri=uri, notify=notify)
        return load_launch(f"{config.storage_path.rstrip('/')}/{said.split()[0]}")
    session = _session(options, config)
    return concluded(run(session), session.tracking_uri)


def _session(options: LaunchOptions, config: LaunchConfig) -> Session:
    return dataclasses.replace(options.session(config), on_begin=None)
