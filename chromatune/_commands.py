"""The commands that prepare data and train, as functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack

from chromatune import _background
from chromatune._keywords import (
    FinalsKeywords,
    FinetuneKeywords,
    GridKeywords,
    PrepareKeywords,
    SearchKeywords,
    Task,
    TrainKeywords,
    as_options,
)
from chromatune._launch import Launch, concluded, load_launch
from chromatune._process import unchanged
from data_prep import PreparedDataset
from tuning.cli.console import log
from tuning.cli.launch import FinalsOptions, FinetuneOptions, GridOptions, TrainOptions
from tuning.cli.options import LaunchOptions, resolve_storage
from tuning.cli.prepare import PrepareOptions
from tuning.cli.search import SearchOptions
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
from tuning.launch.outcomes import LaunchOutcome
from tuning.utils.environment import expanded
from tuning.workflows.run_launch import Session

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
        return run_prepare(config, images, overwrite=overwrite, progress=progress).dataset


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
        GridOptions, GridLaunchConfig, keywords, defaults={"grid": REPORT_GRIDS[task]}
    )
    return _launch(
        *(["grid", task], options, config, keywords),
        lambda session: run_grid(task, config, session),
    )


@unchanged()
def finals(task: Task, **keywords: Unpack[FinalsKeywords]) -> Launch:
    """Train the single models of Table II or IV and evaluate them on the test set.

    Keywords are the options of `chromatune finals`; returns and raises as `grid`.
    """
    from tuning.workflows.finals import run_finals

    options, config = _resolved(FinalsOptions, FinalsLaunchConfig, keywords)
    return _launch(
        *(["finals", task], options, config, keywords),
        lambda session: next(run_finals((task,), config, session)),
    )


@unchanged()
def finetune(task: Task, **keywords: Unpack[FinetuneKeywords]) -> Launch:
    """Continue training a champion on another dataset; promote it if it wins there.

    Keywords are the options of `chromatune finetune`, where `source` is its `--from`; returns and
    raises as `grid`.
    """
    from tuning.workflows.finetune import run_finetune

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


@unchanged()
def search(task: Task, **keywords: Unpack[SearchKeywords]) -> Launch:
    """Search with Optuna, by default over the packaged space `search_TASK`.

    Keywords are the options of `chromatune search`; `space` is the search space, and `points` are
    configurations to try first. Returns and raises as `grid`.
    """
    from tuning.workflows.search import run_search

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
    import_: Sequence[str | Path] = (),
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

    code = [str(each) for each in import_]
    allow_code(code, trust=trust_code)
    path = None if storage_path is None else str(storage_path)
    name = launch.folder if isinstance(launch, Launch) else launch
    opened = open_launch(name, resolve_storage(path))
    if background:
        words = ["resume", opened.storage.uri]
        for option, value in (("--address", address), ("--backend", backend)):
            words += [] if value is None else [option, value]
        words += [word for file in code for word in ("--import", file)]
        words += ["--take-over"] * take_over + ["--trust-code"] * trust_code
        _background.start(words, tracking_uri=tracking_uri, notify=notify)
        return load_launch(opened.storage.uri)
    uri = store_of(opened, tracking_uri, backend)
    session = Session(uri, log, take_over=take_over, notify=notify)
    return concluded(resume_launch(opened, session, address=address, backend=backend), uri)


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
    session = dataclasses.replace(options.session(config), on_begin=None)
    return concluded(run(session), session.tracking_uri)
