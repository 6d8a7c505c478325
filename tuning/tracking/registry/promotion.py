"""The promotion gate: the best cell by val, measured once on test, against the champion."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from data_prep import PreparedDataset
from models import ModelError
from tuning.display.formatting import format_value
from tuning.errors import ChromatuneError
from tuning.tracking.evaluation import (
    constant_on_test,
    log_showcase,
    log_test_metrics,
    measure_model,
    metrics_on_test,
)
from tuning.tracking.reader import finished_cells
from tuning.tracking.records import StoredCell
from tuning.tracking.registry.catalog import Measured, ModelCard, find_champion, registered_name
from tuning.tracking.registry.versions import crown, describe_model, register, version_of_run
from tuning.tracking.store import first_line, make_client, open_store
from tuning.tracking.weights import load_registered
from tuning.training.tasks import CRITERIA, Criterion


@dataclasses.dataclass(frozen=True)
class Promotion:
    """What was compared and decided.

    `version` is None if a dry run found a cell that is not registered. `champion` had the alias
    before; its metrics are empty if there was none or it cannot be measured on this dataset.
    """

    name: str
    cell: StoredCell
    version: int | None
    metric: str
    test_metrics: Mapping[str, float]
    champion: ModelCard | None
    champion_metrics: Mapping[str, float]
    constant_metrics: Mapping[str, float]
    decision: str
    moved: bool

    @property
    def passed(self) -> bool:
        """Whether the cell is champion now, or was before."""
        return self.moved or (
            self.champion is not None and self.champion.run_id == self.cell.run_id
        )

    @property
    def sentence(self) -> str:
        """The decision with its subject, for people."""
        version = f" version {self.version}" if self.version is not None else ""
        return f"{self.name}{version} ({self.cell.name}) {self.decision}"

    def record(self) -> dict[str, Any]:
        """JSON-able form of what was compared and decided."""
        return {
            "name": self.name,
            "version": self.version,
            "run_id": self.cell.run_id,
            "cell_id": self.cell.cell_id,
            "launch_id": self.cell.launch_id,
            "test_metrics": dict(self.test_metrics),
            "champion": self.champion.uri if self.champion else None,
            "champion_metrics": dict(self.champion_metrics),
            "constant_metrics": dict(self.constant_metrics),
            "decision": self.decision,
            "moved": self.moved,
        }


def best_cell(
    tracking_uri: str, dataset_digest: str, task: str, kind: str | None = None
) -> StoredCell | None:
    """The finished cell with the best val figure, of equal ones the oldest; None if none is."""
    return _best(finished_cells(tracking_uri, dataset_digest, task, kind), CRITERIA[task])


def promote(
    dataset: PreparedDataset,
    task: str,
    tracking_uri: str,
    *,
    run_id: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    device: str = "cpu",
) -> Promotion:
    """Register the best cell on `dataset`, or that of `run_id`, and make it champion if it wins.

    It wins if it beats the champion on the same test set, or with `force`. With `dry_run` nothing
    is written anywhere. Raises ChromatuneError if there is nothing to promote or MLflow fails.
    """
    open_store(tracking_uri)
    client = make_client(tracking_uri)
    cell = _candidate(dataset, task, tracking_uri, run_id)
    champion = find_champion(tracking_uri, dataset.name, task)
    test_metrics = metrics_on_test(cell, dataset, task, tracking_uri, device)
    champion_metrics, obstacle = _champion_metrics(champion, dataset, task, tracking_uri, device)
    moved, decision = _decide(
        cell, test_metrics, champion, champion_metrics, obstacle, force, CRITERIA[task]
    )
    constant_metrics = constant_on_test(dataset, task)
    decision += _beside_constant(test_metrics, constant_metrics, CRITERIA[task])
    promotion = Promotion(
        name=registered_name(dataset.name, task),
        cell=cell,
        version=None,
        metric=f"test_{CRITERIA[task].name}",
        test_metrics=test_metrics,
        champion=champion,
        champion_metrics=champion_metrics,
        constant_metrics=constant_metrics,
        decision=decision,
        moved=moved,
    )
    try:
        if dry_run:
            present = version_of_run(client, promotion.name, cell.run_id)
            version = int(present.version) if present else None
            decision = f"dry run: {decision}"
            return dataclasses.replace(promotion, version=version, moved=False, decision=decision)
        log_showcase(client, cell, dataset, tracking_uri, device)
        version = _carry_out(client, promotion, dataset.digest)
        return dataclasses.replace(promotion, version=version)
    except MlflowException as error:
        raise ChromatuneError(
            f"the promotion was not completed: {first_line(error)}; run the same command again"
        ) from None


def _champion_metrics(
    champion: ModelCard | None, dataset: PreparedDataset, task: str, uri: str, device: str
) -> tuple[dict[str, float], str]:
    """The champion's metrics on this test set, and a note about how they were measured."""
    if champion is None:
        return {}, ""
    measured = champion.measured
    if measured.dataset_digest == dataset.digest and measured.test_metrics:
        return dict(measured.test_metrics), ""
    note = f"champion version {champion.version} was measured on another dataset"
    try:
        model = load_registered(champion.uri, uri, device)
        return measure_model(model, dataset, task, device), f"{note} and is measured again"
    except (ChromatuneError, ModelError) as error:
        return {}, f"{note} and cannot be measured on this one: {error}"


def _candidate(
    dataset: PreparedDataset, task: str, tracking_uri: str, run_id: str | None
) -> StoredCell:
    """The cell to promote: that of `run_id`, or the best by validation score."""
    cells = finished_cells(tracking_uri, dataset.digest, task)
    if run_id is not None:
        named = next((cell for cell in cells if cell.run_id == run_id), None)
        if named is None:
            raise ChromatuneError(
                f"run '{run_id}' cannot be promoted: it is not one of the {len(cells)} finished "
                f"{task} cells on this {dataset.name} data (see `chromatune trials`)"
            )
        return named
    best = _best(cells, CRITERIA[task])
    if best is None:
        raise ChromatuneError(
            f"nothing to promote: no finished {task} cell on this {dataset.name} data; "
            f"make one with `chromatune grid {task} --dataset {dataset.name}`"
        )
    return best


def _best(cells: list[StoredCell], criterion: Criterion) -> StoredCell | None:
    values = {cell.run_id: criterion.value(cell.metrics, "val_") for cell in cells}
    scored = [cell for cell in cells if math.isfinite(values[cell.run_id])]
    return min(scored, key=lambda cell: criterion.sort_key(values[cell.run_id]), default=None)


def _decide(
    cell: StoredCell,
    test_metrics: Mapping[str, float],
    champion: ModelCard | None,
    champion_metrics: Mapping[str, float],
    note: str,
    force: bool,
    criterion: Criterion,
) -> tuple[bool, str]:
    """Return whether the cell becomes champion, and why in one sentence."""
    metric = f"test_{criterion.name}"
    own = criterion.value(test_metrics, "test_")
    theirs = criterion.value(champion_metrics, "test_")
    figure = f"{metric} {format_value(metric, own)}"
    if champion is None:
        return True, f"becomes the first champion with {figure}"
    if champion.run_id == cell.run_id:
        return False, f"is already champion ({figure})"
    against = f"champion version {champion.version} with {format_value(metric, theirs)}"
    wins = bool(champion_metrics) and criterion.better(own, theirs)
    if wins:
        reason = f": {figure} beats {against}"
    elif champion_metrics:
        reason = f"{' by force, though' if force else ':'} {figure} does not beat {against}"
    else:
        reason = f"{' by force' if force else ': there is nothing to compare'} with {figure}"
    becomes = "becomes champion" if wins or force else "does not become champion"
    return wins or force, f"{becomes}{reason}" + (f" ({note})" if note else "")


def _beside_constant(
    test_metrics: Mapping[str, float], constant_metrics: Mapping[str, float], criterion: Criterion
) -> str:
    """Warn about a model that is no better than the training set's mean colour everywhere."""
    constant = criterion.value(constant_metrics, "test_")
    if criterion.better(criterion.value(test_metrics, "test_"), constant):
        return ""
    value = format_value(f"test_{criterion.name}", constant)
    return f", but WORSE than the constant baseline ({value})"


def _carry_out(client: MlflowClient, promotion: Promotion, digest: str) -> int:
    """Write what was measured and decided; repeatable after a crash at any point."""
    cell, champion = promotion.cell, promotion.champion
    log_test_metrics(client, cell, promotion.test_metrics)
    if champion is not None and champion.version is not None and champion.run_id == cell.run_id:
        # Its description says how it became champion; a second measurement does not change that.
        return champion.version
    measured = Measured(
        dataset_digest=digest,
        decision=promotion.decision,
        metric=promotion.metric,
        test_metrics=promotion.test_metrics,
        val_metrics={key: value for key, value in cell.metrics.items() if key.startswith("val_")},
        constant_metrics=promotion.constant_metrics,
        rival=f"champion version {champion.version}" if champion else "",
        rival_metrics=promotion.champion_metrics,
    )
    version = register(client, promotion.name, cell, measured)
    if promotion.moved:
        crown(client, promotion.name, version, champion.version if champion else None)
    describe_model(client, promotion.name)
    return version
