"""Reads runs back from MLflow: finished cells for a decision, a whole store for a report."""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tuning.tracking.registry.catalog import find_champion
from tuning.tracking.runs import FINISHED, TAG
from tuning.tracking.store import (
    experiment_ids,
    is_server,
    make_client,
    open_store,
    search_all_runs,
    translated,
)
from tuning.tracking.stored_runs import Archive, Store, StoredCell, StoredLaunch, StoredSpeedup

_LOCAL_UI = "http://127.0.0.1:5000"  # where `chromatune ui` serves a database
_UNREADABLE = "cannot read the runs in MLflow"
_REQUIRED = ("launch_id", "kind", "task", "dataset", "dataset_digest")


def finished_cells(
    tracking_uri: str, dataset_digest: str, task: str, kind: str | None = None
) -> list[StoredCell]:
    """List the finished cells of all launches on this dataset, the oldest first.

    A cell counts if its run is FINISHED, has its model, and all its validation metrics are finite.
    Raises ChromatuneError if the store cannot be read.
    """
    wanted = {"outcome": "finished", "dataset_digest": dataset_digest, "task": task}
    if kind is not None:
        wanted["kind"] = kind
    terms = [f"attributes.status = '{FINISHED}'"]
    terms += [f"tags.`{TAG}{key}` = '{value}'" for key, value in wanted.items()]
    client = make_client(tracking_uri)
    with translated(_UNREADABLE):
        ids = experiment_ids(client, f"tags.`{TAG}task` = '{task}'")
        runs = list(search_all_runs(client, ids, " AND ".join(terms)))
    return [_cell(run) for run in runs if _is_readable(run) and _is_whole(run)]


def read_store(tracking_uri: str, ui: str | None = None) -> tuple[Store, Archive]:
    """Read every run of the store; also return an archive that fetches histories and files.

    `ui` is the address of the tracking UI, by default the server's own or that of `chromatune ui`;
    empty for none. Raises ChromatuneError if the store cannot be read.
    """
    open_store(tracking_uri)
    client = make_client(tracking_uri)
    archive = _MlflowArchive(client)
    with translated(_UNREADABLE):
        runs = list(search_all_runs(client, experiment_ids(client), ""))
        ours = [run for run in runs if any(key.startswith(TAG) for key in run.data.tags)]
        readable = [run for run in ours if _is_readable(run)]
        launches = _launches([run for run in readable if not _is_speedup(run)], archive)
        keys = {(launch.dataset, launch.task) for launch in launches}
        champions = {key: card for key in keys if (card := find_champion(tracking_uri, *key))}
        store = Store(
            uri=tracking_uri,
            launches=tuple(launches),
            speedups=tuple(_speedup(run) for run in readable if _is_speedup(run)),
            champions=champions,
            foreign_runs=len(runs) - len(ours),
            broken_runs=tuple(str(run.info.run_name) for run in ours if not _is_readable(run)),
            ui=ui_address(tracking_uri) if ui is None else ui.rstrip("/"),
        )
    return store, archive


class _MlflowArchive:
    """Histories and artifacts of runs; the names of artifacts are listed once."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._names: dict[tuple[str, str], list[str]] = {}

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        values = self._client.get_metric_history(run_id, metric)
        # An epoch that was logged twice keeps its later value.
        by_step = {point.step: point.value for point in sorted(values, key=lambda p: p.timestamp)}
        return sorted(by_step.items())

    def file(self, run_id: str, path: str) -> bytes | None:
        if path not in self.names(run_id, path.rpartition("/")[0]):
            return None
        with tempfile.TemporaryDirectory() as scratch:
            try:
                return Path(self._client.download_artifacts(run_id, path, scratch)).read_bytes()
            except (MlflowException, OSError):
                return None

    def names(self, run_id: str, folder: str) -> list[str]:
        key = (run_id, folder)
        if key not in self._names:
            try:
                found = self._client.list_artifacts(run_id, folder or None)
            except (MlflowException, OSError):
                found = []  # the store's artifacts were deleted or are on another machine
            self._names[key] = sorted(str(file.path) for file in found if not file.is_dir)
        return self._names[key]


def _is_readable(run: Run) -> bool:
    """Whether the run has the tags and parameters it needs.

    A process that died at once may have left one without: the tags are created with a run, a
    cell's parameters are a second call.
    """
    tags, params = run.data.tags, run.data.params
    if any(f"{TAG}{key}" not in tags for key in _REQUIRED):
        return False
    if f"{TAG}cell_id" not in tags:
        return True
    try:
        numbers = float(params["lr"]), int(params["epochs"])
        return "model" in params and all(map(math.isfinite, numbers))
    except (KeyError, ValueError):
        return False


def _is_whole(run: Run) -> bool:
    figures = [value for key, value in run.data.metrics.items() if key.startswith("val_")]
    is_cell = f"{TAG}cell_id" in run.data.tags and bool(run.outputs.model_outputs)
    return is_cell and bool(figures) and all(math.isfinite(value) for value in figures)


def _is_speedup(run: Run) -> bool:
    """Whether the run is one training measured on two devices: it has a model, but is no cell."""
    return f"{TAG}cell_id" not in run.data.tags and "model" in run.data.params


def _launches(runs: Iterable[Run], archive: Archive) -> list[StoredLaunch]:
    by_launch: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_launch[run.data.tags[f"{TAG}launch_id"]].append(run)
    launches = [_launch(same, archive) for same in by_launch.values()]
    return sorted(launches, key=lambda launch: (launch.created, launch.launch_id))


def _launch(runs: list[Run], archive: Archive) -> StoredLaunch:
    cells = [run for run in runs if f"{TAG}cell_id" in run.data.tags]
    parent = next((run for run in runs if f"{TAG}cell_id" not in run.data.tags), None)
    return StoredLaunch(
        **_about(parent or cells[0]),
        created=min(int(run.info.start_time or 0) for run in runs),
        status=parent.info.status if parent else "",
        run_id=parent.info.run_id if parent else None,
        experiment_id=parent.info.experiment_id if parent else "",
        document=_document(parent, archive) if parent else {},
        cells=tuple(map(_cell, cells)),
    )


def _about(run: Run) -> dict[str, Any]:
    return {key: run.data.tags[f"{TAG}{key}"] for key in _REQUIRED}


def _document(parent: Run, archive: Archive) -> Mapping[str, Any]:
    content = archive.file(parent.info.run_id, "launch.json")
    try:
        document = json.loads(content) if content else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _cell(run: Run) -> StoredCell:
    tags = run.data.tags
    published = tags.get(f"{TAG}published_epochs", "")
    models = run.outputs.model_outputs
    return StoredCell(
        run_id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        name=str(run.info.run_name),
        cell_id=tags[f"{TAG}cell_id"],
        **_about(run),
        training_id=tags.get(f"{TAG}training_id", ""),
        outcome=tags.get(f"{TAG}outcome", run.info.status.lower()),
        started=int(run.info.start_time or 0),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        published_epochs=int(published) if published.isdecimal() else None,
        parent_model=tags.get(f"{TAG}parent_model"),
        device=tags.get(f"{TAG}device", ""),
        model_id=models[0].model_id if models else "",
    )


def _speedup(run: Run) -> StoredSpeedup:
    tags, metrics = run.data.tags, run.data.metrics
    return StoredSpeedup(
        run_id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        created=int(run.info.start_time or 0),
        dataset=tags[f"{TAG}dataset"],
        params=dict(run.data.params),
        cpu_seconds=metrics.get("cpu_seconds", math.nan),
        gpu_seconds=metrics.get("gpu_seconds", math.nan),
        cpu=tags.get(f"{TAG}cpu", ""),
        gpu=tags.get(f"{TAG}gpu", ""),
    )


def ui_address(tracking_uri: str) -> str:
    """Address of the UI that shows the runs of a store, without a password."""
    if not is_server(tracking_uri):
        return _LOCAL_UI
    if tracking_uri.startswith("databricks"):
        return ""
    scheme, _, rest = tracking_uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}".rstrip("/")
