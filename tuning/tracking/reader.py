"""Reads a tracking store for a report: any store, however little of this project is in it."""

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

from tuning.errors import ChromatuneError
from tuning.tracking.records import (
    Archive,
    Store,
    StoredCell,
    StoredChampion,
    StoredLaunch,
    StoredSpeedup,
)
from tuning.tracking.registry.versions import find_champion
from tuning.tracking.runs import TAG
from tuning.tracking.speedup import KIND as SPEEDUP
from tuning.tracking.store import (
    first_line,
    is_server,
    make_client,
    open_store,
    search_all_experiments,
    search_all_runs,
)

_LOCAL_UI = "http://127.0.0.1:5000"  # where `chromatune ui` serves a database
_REQUIRED = ("launch_id", "kind", "task", "dataset", "dataset_digest")


def read_store(tracking_uri: str, ui: str | None = None) -> tuple[Store, Archive]:
    """Read every run of the store, and return what fetches the rest of it on demand.

    `ui` is the address of the tracking UI that runs are looked at in, by default the server's own
    or that of `chromatune ui`; empty for none. Raises ChromatuneError if the store cannot be read.
    """
    open_store(tracking_uri)
    client = make_client(tracking_uri)
    archive = _MlflowArchive(client)
    try:
        ids = [str(one.experiment_id) for one in search_all_experiments(client)]
        runs = list(search_all_runs(client, ids, ""))
        ours = [run for run in runs if any(key.startswith(TAG) for key in run.data.tags)]
        readable = [run for run in ours if _is_readable(run)]
        launches = _launches([r for r in readable if r.data.tags[f"{TAG}kind"] != SPEEDUP], archive)
        store = Store(
            uri=tracking_uri,
            launches=tuple(launches),
            speedups=tuple(_speedup(r) for r in readable if r.data.tags[f"{TAG}kind"] == SPEEDUP),
            champions=_champions(tracking_uri, launches),
            foreign_runs=len(runs) - len(ours),
            broken_runs=tuple(str(run.info.run_name) for run in ours if not _is_readable(run)),
            ui=_ui_of(tracking_uri) if ui is None else ui.rstrip("/"),
        )
    except MlflowException as error:
        raise ChromatuneError(f"cannot read the tracking store: {first_line(error)}") from None
    return store, archive


class _MlflowArchive:
    """Histories and artifacts of runs, each asked for once."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._names: dict[tuple[str, str], list[str]] = {}

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        values = self._client.get_metric_history(run_id, metric)
        # An epoch that was logged twice keeps its later value.
        by_step = {one.step: one.value for one in sorted(values, key=lambda one: one.timestamp)}
        return sorted(by_step.items())

    def file(self, run_id: str, path: str) -> bytes | None:
        folder = path.rpartition("/")[0]
        if path not in self.names(run_id, folder):
            return None
        return _download(self._client, run_id, path)

    def names(self, run_id: str, folder: str) -> list[str]:
        key = (run_id, folder)
        if key not in self._names:
            self._names[key] = _list(self._client, run_id, folder)
        return self._names[key]


def _list(client: MlflowClient, run_id: str, folder: str) -> list[str]:
    try:
        found = client.list_artifacts(run_id, folder or None)
    except (MlflowException, OSError):
        return []  # the store's artifacts have been deleted or lie on another machine
    return sorted(str(file.path) for file in found if not file.is_dir)


def _download(client: MlflowClient, run_id: str, path: str) -> bytes | None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return Path(client.download_artifacts(run_id, path, scratch)).read_bytes()
        except (MlflowException, OSError):
            return None


def _is_readable(run: Run) -> bool:
    """Whether it tells what it is; a process that died at once may have left a run that does not.

    Its tags come with a run, a cell's parameters in a second call.
    """
    tags, params = run.data.tags, run.data.params
    if any(f"{TAG}{key}" not in tags for key in _REQUIRED):
        return False
    if f"{TAG}cell_id" not in tags:
        return True
    return (
        "model" in params and _is_number(params.get("lr")) and params.get("epochs", "").isdecimal()
    )


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False


def _launches(runs: Iterable[Run], archive: Archive) -> list[StoredLaunch]:
    parents: dict[str, Run] = {}
    cells: dict[str, list[StoredCell]] = defaultdict(list)
    for run in runs:
        launch_id = run.data.tags[f"{TAG}launch_id"]
        if f"{TAG}cell_id" in run.data.tags:
            cells[launch_id].append(_cell(run))
        else:
            parents.setdefault(launch_id, run)
    launches = [
        _launch(launch_id, parents.get(launch_id), cells[launch_id], archive)
        for launch_id in {**parents, **cells}
    ]
    return sorted(launches, key=lambda launch: (launch.created, launch.launch_id))


def _launch(
    launch_id: str, parent: Run | None, cells: list[StoredCell], archive: Archive
) -> StoredLaunch:
    document = _document(parent, archive) if parent else {}
    tags = parent.data.tags if parent else {}
    first = cells[0] if cells else None

    def said(key: str) -> str:
        return str(tags.get(f"{TAG}{key}") or getattr(first, key, ""))

    started = [cell.started for cell in cells] + ([parent.info.start_time] if parent else [])
    return StoredLaunch(
        launch_id=launch_id,
        kind=said("kind"),
        task=said("task"),
        dataset=said("dataset"),
        dataset_digest=said("dataset_digest"),
        created=min(started, default=0),
        status=parent.info.status if parent else "",
        run_id=parent.info.run_id if parent else None,
        experiment_id=parent.info.experiment_id if parent else "",
        document=document,
        cells=tuple(cells),
    )


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
    return StoredCell(
        run_id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        name=str(run.info.run_name),
        cell_id=tags[f"{TAG}cell_id"],
        launch_id=tags[f"{TAG}launch_id"],
        training_id=tags.get(f"{TAG}training_id", ""),
        kind=tags[f"{TAG}kind"],
        task=tags[f"{TAG}task"],
        dataset=tags[f"{TAG}dataset"],
        dataset_digest=tags[f"{TAG}dataset_digest"],
        outcome=tags.get(f"{TAG}outcome", run.info.status.lower()),
        started=int(run.info.start_time or 0),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        published_epochs=int(published) if published.isdecimal() else None,
        parent_model=tags.get(f"{TAG}parent_model"),
        device=tags.get(f"{TAG}device", ""),
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


def _champions(
    tracking_uri: str, launches: Iterable[StoredLaunch]
) -> dict[tuple[str, str], StoredChampion]:
    found = {}
    for key in {(launch.dataset, launch.task) for launch in launches}:
        champion = find_champion(tracking_uri, *key)
        if champion is not None:
            found[key] = StoredChampion(
                champion.name,
                champion.version,
                champion.run_id,
                champion.tags.get(f"{TAG}decision", ""),
            )
    return found


def _ui_of(tracking_uri: str) -> str:
    """Where runs of this store are looked at, without any password of the address."""
    if not is_server(tracking_uri):
        return _LOCAL_UI
    if tracking_uri == "databricks" or tracking_uri.startswith("databricks"):
        return ""
    scheme, _, rest = tracking_uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}".rstrip("/")
