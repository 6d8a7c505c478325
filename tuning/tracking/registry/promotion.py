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
from tuning.tracking.cells import TrackedCell, finished_cells
from tuning.tracking.evaluation import (
    constant_on_test,
    log_test_metrics,
    measure_model,
    metrics_on_test,
)
from tuning.tracking.registry.descriptions import Measured
from tuning.tracking.registry.versions import (
    RegisteredVersion,
    champion_uri,
    crown,
    describe_model,
    find_champion,
    find_version,
    register,
    registered_name,
)
from tuning.tracking.samples import log_showcase
from tuning.tracking.store import first_line, make_client, open_store
from tuning.tracking.weights import load_registered
from tuning.training.tasks import CRITERIA, Criterion

__all__ = ["Promotion", "best_cell", "champion_uri", "find_champion", "promote"]


@dataclasses.dataclass(frozen=True)
class Promotion:
    """What was compared, and what came of it.

    `version` is None if a dry run found a cell that is not registered. `champion` is who held the
    alias before; its metrics are empty if there was none or it cannot be measured on this data.
    """

    name: str
    cell: TrackedCell
    version: int | None
    metric: str
    test_metrics: Mapping[str, float]
    champion: RegisteredVersion | None
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
        """The decision with its subject, for a person to read."""
        version = f" version {self.version}" if self.version is not None else ""
        return f"{self.name}{version} ({self.cell.run_name}) {self.decision}"

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
) -> TrackedCell | None:
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

    It wins if it beats the champion on this very test set, or with `force`. With `dry_run` nothing
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
            present = find_version(client, promotion.name, cell.run_id)
            version = present.version if present else None
            decision = f"dry run: {decision}"
            return dataclasses.replace(promotion, version=version, moved=False, decision=decision)
        log_showcase(client, cell, dataset, tracking_uri, device)
        version = _carry_out(client, promotion, dataset.digest, task)
        return dataclasses.replace(promotion, version=version)
    except MlflowException as error:
        raise ChromatuneError(
            f"the promotion was not completed: {first_line(error)}; run the same command again"
        ) from None


def _champion_metrics(
    champion: RegisteredVersion | None, dataset: PreparedDataset, task: str, uri: str, device: str
) -> tuple[dict[str, float], str]:
    """The champion's metrics on this test set, and what is to be said about them."""
    if champion is None:
        return {}, ""
    measured = champion.measured
    if measured.dataset_digest == dataset.digest and measured.test_metrics:
        return dict(measured.test_metrics), ""
    note = f"champion version {champion.version} was measured on other data"
    try:
        model = load_registered(champion.uri, uri, device)
        return measure_model(model, dataset, task, device), f"{note} and is measured anew"
    except (ChromatuneError, ModelError) as error:
        return {}, f"{note} and cannot be measured on this: {error}"


def _candidate(
    dataset: PreparedDataset, task: str, tracking_uri: str, run_id: str | None
) -> TrackedCell:
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


def _best(cells: list[TrackedCell], criterion: Criterion) -> TrackedCell | None:
    best: TrackedCell | None = None
    for cell in cells:
        present = criterion.value(best.metrics, "val_") if best else math.nan
        if criterion.better(criterion.value(cell.metrics, "val_"), present):
            best = cell
    return best


def _decide(
    cell: TrackedCell,
    test_metrics: Mapping[str, float],
    champion: RegisteredVersion | None,
    champion_metrics: Mapping[str, float],
    note: str,
    force: bool,
    criterion: Criterion,
) -> tuple[bool, str]:
    """Say whether the cell becomes champion, and why in one sentence."""
    metric = f"test_{criterion.name}"
    own = criterion.value(test_metrics, "test_")
    figure = f"{metric} {format_value(metric, own)}"
    if champion is None:
        return True, f"becomes the first champion with {figure}"
    if champion.run_id == cell.run_id:
        return False, f"is the champion already, as version {champion.version}, with {figure}"
    theirs = criterion.value(champion_metrics, "test_")
    against = f"champion version {champion.version} with {format_value(metric, theirs)}"
    suffix = f" ({note})" if note else ""
    if not champion_metrics:
        if force:
            return True, f"becomes champion by force with {figure}{suffix}"
        return False, f"does not become champion, there is nothing to compare {figure} with{suffix}"
    if criterion.better(own, theirs):
        return True, f"becomes champion: {figure} beats {against}{suffix}"
    if force:
        return True, f"becomes champion by force, though {figure} does not beat {against}{suffix}"
    return False, f"does not become champion: {figure} does not beat {against}{suffix}"


def _beside_constant(
    test_metrics: Mapping[str, float], constant_metrics: Mapping[str, float], criterion: Criterion
) -> str:
    """Say so if a model is no better than always predicting the training set's mean colour."""
    constant = criterion.value(constant_metrics, "test_")
    if criterion.better(criterion.value(test_metrics, "test_"), constant):
        return ""
    return f"; the constant predictor has {format_value(f'test_{criterion.name}', constant)}"


def _carry_out(client: MlflowClient, promotion: Promotion, digest: str, task: str) -> int:
    """Write what was measured and decided; repeatable after a crash at any point."""
    cell, champion = promotion.cell, promotion.champion
    log_test_metrics(client, cell, promotion.test_metrics)
    if champion is not None and champion.run_id == cell.run_id:
        # It tells how it became champion; a second look does not change that.
        return champion.version
    version = register(client, promotion.name, cell, task, _measured(promotion, digest))
    if promotion.moved:
        crown(client, version, champion)
    describe_model(client, promotion.name)
    return version.version


def _measured(promotion: Promotion, digest: str) -> Measured:
    champion = promotion.champion
    return Measured(
        dataset_digest=digest,
        decision=promotion.decision,
        metric=promotion.metric,
        test_metrics=promotion.test_metrics,
        val_metrics={
            name: value for name, value in promotion.cell.metrics.items() if name.startswith("val_")
        },
        constant_metrics=promotion.constant_metrics,
        rival=f"champion version {champion.version}" if champion else "",
        rival_metrics=promotion.champion_metrics,
    )
