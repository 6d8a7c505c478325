"""Promotion: the best cell by val is measured once on test and passes the gate, or does not."""

from __future__ import annotations

import dataclasses
import math
import statistics
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from data_prep import PreparedDataset
from models import ModelError
from tuning.display.seeds import over_seeds
from tuning.errors import ChromatuneError
from tuning.launch.open_dataset import data_words
from tuning.tracking.address import store_command
from tuning.tracking.evaluation import (
    constant_on_test,
    log_showcase,
    log_test_metrics,
    measure_model,
    metrics_on_test,
)
from tuning.tracking.fetch_weights import load_registered
from tuning.tracking.reader import finished_cells
from tuning.tracking.registry.catalog import (
    CHAMPION,
    PREVIOUS,
    Measured,
    ModelCard,
    find_champion,
    registered_name,
    versions_of,
)
from tuning.tracking.registry.gate import decide, passing_cell
from tuning.tracking.runs import TAG
from tuning.tracking.store import RETRY_OR_RESUME, make_client, open_store, translated
from tuning.tracking.stored_runs import StoredCell
from tuning.training.tasks import CRITERIA, Criterion

_ABOUT = (
    "Models for {name}, each measured once on its test set. The alias `champion` marks the best, "
    "`previous` the one before it: `mlflow.pyfunc.load_model('models:/{name}@champion')`."
)
# A refusal measures this many other cells at most.
_TRIED = 30


@dataclasses.dataclass(frozen=True)
class Promotion:
    """What was compared and decided; `measured` holds the figures.

    `version` is None if a dry run found a cell that is not registered. `champion` had the alias
    before. `advice` says what to do where the cell is worse than the constant predictor, `seeds`
    how its validation score compares with the next best configuration's over seeds.
    """

    name: str
    cell: StoredCell
    champion: ModelCard | None
    measured: Measured
    moved: bool
    version: int | None = None
    advice: str = ""
    seeds: str = ""

    @property
    def is_champion(self) -> bool:
        """Whether the cell was champion already."""
        return self.champion is not None and self.champion.run_id == self.cell.run_id

    @property
    def passed(self) -> bool:
        """Whether the cell is champion now, or was before."""
        return self.moved or self.is_champion

    @property
    def sentence(self) -> str:
        """The decision with its subject, for people."""
        version = f" version {self.version}" if self.version is not None else ""
        decision = "; ".join(filter(None, (self.measured.decision, self.advice)))
        said = f"{self.name}{version} ({self.cell.name}) {decision}"
        return f"{said}. {self.seeds}" if self.seeds else said

    def record(self) -> dict[str, Any]:
        """JSON-able form of what was compared and decided."""
        return {
            "name": self.name,
            "version": self.version,
            "run_id": self.cell.run_id,
            "cell_id": self.cell.cell_id,
            "launch_id": self.cell.launch_id,
            "test_metrics": dict(self.measured.test_metrics),
            "champion": self.champion.uri if self.champion else None,
            "champion_metrics": dict(self.measured.rival_metrics),
            "constant_metrics": dict(self.measured.constant_metrics),
            "decision": self.measured.decision,
            "advice": self.advice,
            "seeds": self.seeds,
            "moved": self.moved,
        }


def best_cell(
    tracking_uri: str,
    dataset_digest: str,
    task: str,
    kind: str | None = None,
    network: tuple[str, str] | None = None,
) -> StoredCell | None:
    """The finished cell with the best val figure, of equal ones the oldest; None if none is.

    With `network`, model and head, only its cells count.
    """
    cells = finished_cells(tracking_uri, dataset_digest, task, kind)
    if network is not None:
        cells = [cell for cell in cells if (cell.model, cell.head) == network]
    return _best(cells, CRITERIA[task])


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

    It wins if it beats the constant predictor and the champion on the same test set, or with
    `force`. With `dry_run` nothing is written anywhere. Raises ChromatuneError if there is
    nothing to promote or MLflow fails.
    """
    open_store(tracking_uri)
    client = make_client(tracking_uri)
    cells = finished_cells(tracking_uri, dataset.digest, task)
    cell = _candidate(cells, dataset, task, tracking_uri, run_id)
    # Also where its metrics are known: what is gone, or may not run, does not become champion.
    load_registered(cell.model_uri, tracking_uri)
    champion = find_champion(tracking_uri, dataset.name, task)
    rival_metrics, note = _champion_metrics(champion, dataset, task, tracking_uri, device)
    measured = Measured(
        dataset_digest=dataset.digest,
        metric=f"test_{CRITERIA[task].name}",
        test_metrics=metrics_on_test(cell, dataset, task, tracking_uri, device),
        val_metrics={key: value for key, value in cell.metrics.items() if key.startswith("val_")},
        constant_metrics=constant_on_test(dataset, task),
        rival=f"champion version {champion.version}" if champion else "",
        rival_metrics=rival_metrics,
    )
    decision = decide(cell, champion, measured, note, force, CRITERIA[task])
    measured = dataclasses.replace(measured, decision=decision.text)
    name = registered_name(dataset.name, task)
    seeds = compare_seeds(cell, cells, CRITERIA[task])
    promotion = Promotion(name, cell, champion, measured, decision.moved, seeds=seeds)
    if decision.is_useless:
        advice = _advice(promotion, dataset, task, tracking_uri, device, dry_run)
        promotion = dataclasses.replace(promotion, advice=advice)
    with translated("the promotion was not completed", RETRY_OR_RESUME):
        if dry_run:
            measured = dataclasses.replace(measured, decision=f"dry run: {decision.text}")
            present = _version_of_run(client, name, cell.run_id)
            version = int(present.version) if present else None
            return dataclasses.replace(promotion, measured=measured, moved=False, version=version)
        log_showcase(client, cell, dataset, tracking_uri, device)
        return dataclasses.replace(promotion, version=_carry_out(client, promotion))


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
    cells: list[StoredCell],
    dataset: PreparedDataset,
    task: str,
    tracking_uri: str,
    run_id: str | None,
) -> StoredCell:
    """The cell to promote: that of `run_id`, or the best by validation score."""
    if run_id is not None:
        named = next((cell for cell in cells if cell.run_id == run_id), None)
        if named is None:
            raise ChromatuneError(
                f"run '{run_id}' cannot be promoted: it is not one of the {len(cells)} finished "
                f"{task} cells on this {dataset.name} data: "
                f"{store_command(tracking_uri, 'trials', task, *data_words(dataset))} lists them"
            )
        return named
    best = _best(cells, CRITERIA[task])
    if best is None:
        raise ChromatuneError(
            f"nothing to promote: no finished {task} cell on this {dataset.name} data; "
            f"make one with {store_command(tracking_uri, 'grid', task, *data_words(dataset))}"
        )
    return best


def _best(cells: list[StoredCell], criterion: Criterion) -> StoredCell | None:
    return next(iter(_ranked(cells, criterion)), None)


def _ranked(cells: list[StoredCell], criterion: Criterion) -> list[StoredCell]:
    """The cells that have the deciding validation score, the best first."""
    values = {cell.run_id: criterion.value(cell.metrics, "val_") for cell in cells}
    scored = [cell for cell in cells if math.isfinite(values[cell.run_id])]
    return sorted(scored, key=lambda cell: criterion.sort_key(values[cell.run_id]))


def compare_seeds(cell: StoredCell, cells: list[StoredCell], criterion: Criterion) -> str:
    """Say whether the configuration of a cell is better than the next by more than chance.

    Of both, the seeds of all finished `cells` count, of a repeated seed the newest. Returns "" if
    both were trained with one seed, or if there is no other.
    """
    metric = f"val_{criterion.name}"
    found: dict[object, dict[str, float]] = {}
    for each in sorted(cells, key=lambda each: each.started):
        if math.isfinite(value := each.value(metric)):
            found.setdefault(each.recipe, {})[each.seed] = value
    own = found.pop(cell.recipe, {})
    if not (own and found):
        return ""
    rival = min(found.values(), key=lambda v: criterion.sort_key(statistics.fmean(v.values())))
    said = over_seeds(metric, list(own.values()), list(rival.values()))
    return f"Against the next configuration by val: {said}" if said else ""


def _advice(
    promotion: Promotion, dataset: PreparedDataset, task: str, uri: str, device: str, dry_run: bool
) -> str:
    """Say how there can be a champion where the constant predictor is better than the cell.

    Other finished cells are measured, the best by validation score first, until one would pass.
    """
    client, criterion, measured = make_client(uri), CRITERIA[task], promotion.measured
    cells = finished_cells(uri, dataset.digest, task)
    others = [cell for cell in _ranked(cells, criterion) if cell.run_id != promotion.cell.run_id]
    rivals = [measured.constant_metrics]
    if promotion.champion is not None:
        rivals.append(measured.rival_metrics)

    def measure(cell: StoredCell) -> dict[str, float]:
        metrics = metrics_on_test(cell, dataset, task, uri, device)
        if not dry_run:
            log_test_metrics(client, cell, metrics)
        return metrics

    # Nothing displaces a champion that cannot be measured.
    can_win = promotion.champion is None or bool(measured.rival_metrics)
    passing = passing_cell(others[:_TRIED], measure, rivals, criterion) if can_win else None
    if passing is not None:
        command = promote_command(dataset, task, uri, passing.run_id)
        return f"{passing.name} would pass: {command}"
    command = promote_command(dataset, task, uri, promotion.cell.run_id, "--force")
    which = f"the {len(cells)} finished cells"
    if can_win and len(others) > _TRIED:
        which = f"the {_TRIED} others with the best validation scores"
    return f"none of {which} would pass; {command} promotes this one nevertheless"


def promote_command(
    dataset: PreparedDataset, task: str, uri: str, run_id: str, *options: str
) -> str:
    """The command that promotes a run on this very dataset."""
    return store_command(uri, "promote", task, *data_words(dataset), "--run-id", run_id, *options)


def _carry_out(client: MlflowClient, promotion: Promotion) -> int:
    """Write what was measured and decided; repeatable after a crash at any point."""
    log_test_metrics(client, promotion.cell, promotion.measured.test_metrics)
    displaced = promotion.champion.version if promotion.champion else None
    if promotion.is_champion and displaced is not None:
        # Its description says how it became champion; a second measurement does not change that.
        return displaced
    version = _register(client, promotion.name, promotion.cell, promotion.measured)
    if promotion.moved:
        _crown(client, promotion.name, version, displaced)
    return version


def _version_of_run(client: MlflowClient, name: str, run_id: str) -> ModelVersion | None:
    """The version that was registered from a run; None if it has none."""
    return next((v for v in versions_of(client, name) if v.run_id == run_id), None)


def _register(client: MlflowClient, name: str, cell: StoredCell, measured: Measured) -> int:
    """Register a cell's model under `name` with what was measured of it; return its version.

    A cell that is registered already gets no second version; what differs of it is written.
    """
    description, tags = f"{cell.name} {measured.decision}.", measured.tags()
    present = _version_of_run(client, name, cell.run_id)
    if present is not None:
        if Measured.of(present.tags) != measured:
            client.update_model_version(name, str(present.version), description)
            for key, text in tags.items():
                client.set_model_version_tag(name, str(present.version), key, text)
        return int(present.version)
    try:
        client.create_registered_model(name, description=_ABOUT.format(name=name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    origin = {"launch_id": cell.launch_id, "cell_id": cell.cell_id}
    if cell.parent_model:
        origin["parent_model"] = cell.parent_model
    version = client.create_model_version(
        name,
        # The location itself: a database store would look a models:/ URI up in the global store.
        source=client.get_logged_model(cell.model_id).artifact_location,
        run_id=cell.run_id,
        model_id=cell.model_id,
        tags={**{f"{TAG}{key}": text for key, text in origin.items()}, **tags},
        description=description,
    )
    return int(version.version)


def _crown(client: MlflowClient, name: str, version: int, displaced: int | None) -> None:
    """Make `version` the champion; the version `displaced` keeps the alias `previous`.

    The old champion is marked first and the alias then moved in one call, so that there is a
    champion at every moment.
    """
    if displaced is not None:
        client.set_registered_model_alias(name, PREVIOUS, str(displaced))
    client.set_registered_model_alias(name, CHAMPION, str(version))
