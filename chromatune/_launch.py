"""Launches that exist: where they stand, and what they have come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from chromatune._keywords import Files, as_files
from chromatune._process import unchanged
from tuning.cli.console import log, log_line, print_line
from tuning.cli.options import resolve_storage
from tuning.config.imports import allow_code
from tuning.errors import ChromatuneError
from tuning.launch.find import find_document, list_documents
from tuning.launch.folder import open_launch
from tuning.launch.outcomes import LaunchOutcome, cell_outcomes
from tuning.launch.overview import LaunchState, read_state
from tuning.launch.records import read_cell
from tuning.launch.trial_state import metric_of

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Cell:
    """A row of a launch's results: a training after some number of epochs.

    `outcome` is finished, pruned, diverged, failed or stopped, in a launch that runs also running,
    waiting or paused. `params` are the training's settings, `metrics` those on the validation set,
    empty if the cell was not reached; `seconds` is the time of training.
    """

    cell_id: str
    outcome: str
    epochs: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    seconds: float


class Launch:
    """One run of a command that trains, read from its folder whenever something is asked of it.

    Made by `grid`, `search`, … and by `load_launch`.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @property
    def folder(self) -> str:
        """The folder of its results, or its URI."""
        return self._folder

    @property
    def id(self) -> str:
        return self._folder.rpartition("/")[2]

    @property
    def document(self) -> Mapping[str, Any]:
        """What `launch.json` says: kind, task, dataset, configuration, versions."""
        return find_document(self._folder, "")[1]

    @property
    def status(self) -> Literal["running", "stopped", "finished", "failed"]:
        return self._state().state

    @property
    def cells(self) -> list[Cell]:
        """All cells that are known; a search writes each down as it comes to it."""
        with unchanged():
            states = {trial.training_id: trial.status for trial in self._state().trials}
            found = []
            for cell in cell_outcomes(open_launch(self._folder, "")):
                now = states.get(cell.training.training_id, cell.outcome)
                is_open = cell.outcome == "stopped" and now in ("running", "waiting", "paused")
                found.append(
                    Cell(
                        cell.cell_id,
                        now if is_open else cell.outcome,
                        cell.epochs,
                        cell.training.to_dict()["params"],
                        dict(cell.metrics),
                        cell.seconds,
                    )
                )
            return found

    @property
    def best(self) -> Cell | None:
        """The finished cell with the best validation score; None if there is none."""
        best = self._state().best
        return next((cell for cell in self.cells if best and cell.cell_id == best.cell_id), None)

    @property
    def errors(self) -> list[str]:
        """A line for each trial that failed: its error, and the file with the traceback."""
        from tuning.workflows.status import StatusTable

        return StatusTable(self._state()).errors

    @property
    def study(self) -> optuna.Study:
        """The Optuna study of a search, for its `trials_dataframe()`, plots and importances.

        Raises ChromatuneError if the launch is no search, or if its study is missing.
        """
        from tuning.workflows.search_study import config_of, plan_of, study_of

        with unchanged():
            launch = open_launch(self._folder, "")
            if launch.document["kind"] != "search":
                raise ChromatuneError(f"{self.id} is no search: it has no study")
            return study_of(launch, plan_of(launch, config_of(launch)), is_over=True)

    def to_frame(self) -> pd.DataFrame:
        """The cells as a table: id, outcome, epochs, seconds, settings that vary, metrics."""
        import pandas as pd

        cells = self.cells
        settings = [_flat(cell.params) for cell in cells]
        names = dict.fromkeys(name for each in settings for name in each)
        always = ("model", "head", "lr")
        varied = [
            name
            for name in names
            if name in always or len({str(each.get(name)) for each in settings}) > 1
        ]
        rows = [
            {
                **{"cell": cell.cell_id, "outcome": cell.outcome},
                **{name: each.get(name) for name in varied},
                **{"epochs": cell.epochs, "seconds": cell.seconds},
                **cell.metrics,
            }
            for cell, each in zip(cells, settings, strict=True)
        ]
        return pd.DataFrame(rows)

    @unchanged()
    def wait(self) -> Launch:
        """Show the progress of a launch that runs in the background until it has ended.

        Ctrl-C ends the waiting, not the launch: see `stop`.
        """
        from tuning.workflows.status import follow_launch

        follow_launch(self._folder, "", log)
        return self

    @unchanged()
    def stop(self, timeout_s: float = 300.0) -> Launch:
        """Stop a launch that another process runs, as Ctrl-C would, and wait until it has.

        Raises ChromatuneError if it is not running, or has not stopped in time.
        """
        from tuning.workflows.stop import stop_launch

        stopped = stop_launch(self._folder, "", log_line, timeout_s=timeout_s)
        if not stopped.has_ended:
            raise ChromatuneError(stopped.message)
        return self

    def resume(self, **keywords: Any) -> Launch:
        """Continue what is not finished: `chromatune.resume`, with its keywords."""
        from chromatune._commands import resume

        return resume(self, **keywords)

    @unchanged()
    def plot(self) -> Figure:
        """Draw the validation score of each training over its epochs, the best one in color.

        Raises ChromatuneError if no cell was reached yet.
        """
        from tuning.display.plots import learning_curves

        launch = open_launch(self._folder, "")
        metric, maximize = metric_of(launch.document)
        curves = {}
        for training in launch.trainings:
            ids = [cell.cell_id for cell in training.cells]
            cells = [read_cell(launch.storage, training.training_id, name) for name in ids]
            reached = [cell for cell in cells if cell is not None]
            records = max((cell.history for cell in reached), key=len, default=[])
            points = [
                (int(each["epoch"]), float(each[metric])) for each in records if metric in each
            ]
            if points:
                curves[training.training_id] = points
        if not curves:
            raise ChromatuneError(f"{self.id} has no cell with {metric} yet")
        figure: Figure = learning_curves(curves, self.id, metric, maximize=maximize)
        return figure

    def __repr__(self) -> str:
        state = self._state()
        return f"<Launch {self.id}: {state.state}, {state.done} of {state.cells} cells>"

    def _repr_html_(self) -> str:
        from tuning.display.table import html
        from tuning.workflows.launch_trials import folder_table

        return html(folder_table(self._state(), 10).tables())

    def _state(self) -> LaunchState:
        return read_state(*find_document(self._folder, ""))


@unchanged()
def load_launch(
    launch: str = "last",
    *,
    storage_path: str | Path | None = None,
    import_: Files = (),
    trust_code: bool = False,
) -> Launch:
    """Find a launch by its id, its folder, or `last` for the newest under `storage_path`.

    The cells of one that brings code are readable with the same files in `import_`, or with
    `trust_code`. Raises ChromatuneError if there is no such launch.
    """
    allow_code(as_files(import_), trust=trust_code)
    storage, _ = find_document(launch, _storage(storage_path))
    return Launch(storage.uri)


@unchanged()
def launches(*, storage_path: str | Path | None = None) -> list[Launch]:
    """The launches under `storage_path`, the newest first; damaged ones are left out."""
    found = list_documents(_storage(storage_path))
    return [Launch(storage.uri) for storage, _ in reversed(found)]


def concluded(outcome: LaunchOutcome, tracking_uri: str | None) -> Launch:
    """Evaluate what was trained, as the command does, and print what is to be done.

    Raises KeyboardInterrupt if the launch was stopped by Ctrl-C.
    """
    from tuning.workflows.resume import conclude

    conclusion = conclude(outcome, tracking_uri)
    if conclusion.promotion is not None:
        log_line(conclusion.promotion.sentence)
    for line in conclusion.advice:
        print_line(line, log)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return Launch(outcome.launch.storage.uri)


def _storage(path: str | Path | None) -> str:
    return resolve_storage(None if path is None else str(path))


def _flat(params: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, those of the model as `model_kwargs.NAME`."""
    found = {name: value for name, value in params.items() if name != "model_kwargs"}
    arguments = params.get("model_kwargs") or {}
    return {**found, **{f"model_kwargs.{name}": value for name, value in arguments.items()}}
