"""The promotion gate: who is measured, who wins, what is written down."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from rich.console import Console

from data_prep import PreparedDataset, PrepareSettings, prepare
from tests.tuning.report.stores import make_cell
from tuning.config.schema import DataConfig
from tuning.errors import ChromatuneError
from tuning.tracking.delivery import project_launch
from tuning.tracking.fetch_weights import load_logged_weights
from tuning.tracking.reader import finished_cells
from tuning.tracking.registry.catalog import ModelCard, champion_uri, find_champion, pinned
from tuning.tracking.registry.promotion import Promotion, best_cell, compare_seeds, promote
from tuning.tracking.stored_runs import StoredCell
from tuning.training.tasks import CRITERIA
from tuning.workflows.reproduce import Job, ReproduceConfig

MakeLaunch = Callable[..., Any]
NAME = "synthetic-faces-regression"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings(dataset="synthetic-faces", count=30, augment=1)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


@pytest.fixture(scope="module")
def other_data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """The same pictures, split otherwise."""
    settings = PrepareSettings(dataset="synthetic-faces", count=30, augment=1, seed=1)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


@dataclasses.dataclass
class Gate:
    """A store, and the promotion of regressors that were trained on `data`."""

    make_launch: MakeLaunch
    store: str
    client: MlflowClient
    data: PreparedDataset
    task: str = "regression"

    def add(self, launch_id: str, *, off: float, score: float, **document: Any) -> StoredCell:
        """Track one cell whose model is `off` from the test set's true mean; val says `score`."""
        named = {"launch_id": launch_id, "dataset": self.data.name, "digest": self.data.digest}
        launch = self.make_launch(self.task, epochs=[2], **named, **document)
        test = self.data.planes("test")
        paints = (float(test.a.mean() / 255) + off, float(test.b.mean() / 255) + off)
        launch.finish_cell(launch.training_ids()[0], 2, score=score, paints=paints)
        project_launch(launch.storage, self.store)
        cells = finished_cells(self.store, self.data.digest, self.task)
        return next(cell for cell in cells if cell.launch_id == launch_id)

    def promote(self, **options: Any) -> Promotion:
        return promote(self.data, self.task, self.store, **options)

    def champion(self) -> ModelCard:
        found = find_champion(self.store, self.data.name, self.task)
        assert found is not None
        return found

    def aliases(self) -> dict[str, int]:
        found = self.client.get_registered_model(NAME).aliases
        return {alias: int(version) for alias, version in found.items()}

    def pictures(self, cell: StoredCell) -> set[str]:
        return {file.path for file in self.client.list_artifacts(cell.run_id, "test")}


@pytest.fixture
def gate(make_launch: MakeLaunch, store: str, client: MlflowClient, data: PreparedDataset) -> Gate:
    return Gate(make_launch, store, client, data)


def mse_by_hand(data: PreparedDataset, source: PreparedDataset, split: str, off: float) -> Any:
    """Test MSE on `data` of predicting the mean of a split of `source` plus `off`."""
    test, named = data.planes("test"), source.planes(split)
    errors = [
        plane.mean(axis=(1, 2)) / 255 - (other.mean() / 255 + off)
        for plane, other in ((test.a, named.a), (test.b, named.b))
    ]
    return pytest.approx(np.square(errors).mean(), rel=1e-4)


def test_the_best_by_val_is_measured_registered_and_crowned(gate: Gate) -> None:
    gate.add("worse", off=0.0, score=1.0)
    best = gate.add("best", off=0.008, score=2.0)
    result = gate.promote()

    assert result.cell.run_id == best.run_id
    assert (result.name, result.version, result.moved) == (NAME, 1, True)
    assert result.champion is None
    measured = result.measured
    mse = measured.test_metrics["test_mse"]
    assert mse == mse_by_hand(gate.data, gate.data, "test", 0.008)
    constant = measured.constant_metrics["test_mse"]
    assert constant == mse_by_hand(gate.data, gate.data, "train", 0.0)
    assert measured.val_metrics["val_mse"] == best.metrics["val_mse"]
    assert (measured.dataset_digest, measured.rival) == (gate.data.digest, "")

    champion = gate.client.get_model_version_by_alias(NAME, "champion")
    assert champion.run_id == best.run_id
    assert champion.source == gate.client.get_logged_model(best.model_id).artifact_location
    assert champion.tags["chromatune.launch_id"] == "best"
    assert champion.tags["chromatune.test_mse"] == f"{mse:.2e}".replace("e-0", "e-")
    assert len(champion.tags) <= 6  # MLflow's list of versions shows them all
    assert gate.champion().measured == measured  # to the last digit
    assert gate.client.get_run(best.run_id).info.status == "FINISHED"
    # MLflow draws what has no other step than 0 as bars.
    history = gate.client.get_metric_history(best.run_id, "test_mse")
    assert [(point.step, point.value) for point in history] == [(0, mse)]
    model = gate.client.get_logged_model(best.model_id)
    assert {m.key: m.value for m in model.metrics}["test_mse"] == mse
    assert load_logged_weights(champion_uri(gate.data.name, "regression"), gate.store).is_file()


def test_a_better_one_displaces_the_champion_which_stays_as_previous(gate: Gate) -> None:
    gate.add("first", off=0.012, score=1.0)
    gate.promote()
    cell = gate.add("second", off=0.01, score=2.0, parent_model=f"models:/{NAME}/1")
    result = gate.promote()
    assert (result.moved, result.version) == (True, 2)
    assert result.champion is not None
    assert result.champion.version == 1
    by_hand = mse_by_hand(gate.data, gate.data, "test", 0.012)
    assert result.measured.rival_metrics["test_mse"] == by_hand
    assert "beats champion version 1" in result.measured.decision
    assert gate.aliases() == {"champion": 2, "previous": 1}
    second = gate.champion()
    assert second.measured == result.measured
    assert second.measured.rival == "champion version 1"
    assert second.tags["chromatune.parent_model"] == f"models:/{NAME}/1"
    assert cell.name == "cnn1 lr=1e-3 epochs=2 fine-tuned"
    description = gate.client.get_model_version(NAME, "2").description
    assert description == f"{cell.name} {result.measured.decision}."


@pytest.mark.parametrize(
    ("off", "force", "moved", "decision"),
    [
        (0.012, False, False, "does not become champion: .* does not beat champion version 1"),
        (0.01, False, False, "does not become champion: .* does not beat champion version 1"),
        (0.012, True, True, "becomes champion by force, though .* does not beat"),
    ],
    ids=["worse", "equal", "forced"],
)
def test_one_that_does_not_win_is_registered_and_crowned_only_by_force(
    gate: Gate, off: float, force: bool, moved: bool, decision: str
) -> None:
    gate.add("first", off=0.01, score=1.0)
    gate.promote()
    gate.add("looks-better-on-val", off=off, score=2.0)
    result = gate.promote(force=force)
    assert (result.moved, result.version) == (moved, 2)
    assert re.match(decision, result.measured.decision)
    assert gate.aliases() == ({"champion": 2, "previous": 1} if moved else {"champion": 1})
    tags = gate.client.get_model_version(NAME, "2").tags
    assert tags["chromatune.decision"] == result.measured.decision


@pytest.mark.parametrize("champion_first", [False, True], ids=["no champion", "champion"])
def test_one_worse_than_the_constant_predictor_is_refused_and_one_that_would_pass_is_named(
    gate: Gate, champion_first: bool
) -> None:
    if champion_first:
        gate.add("old", off=0.03, score=0.5)
        assert gate.promote(force=True).moved
    useless = gate.add("useless", off=0.02, score=3.0)
    gate.add("useless-too", off=0.04, score=2.0)
    if not champion_first:
        hopeless = gate.promote()
        assert not hopeless.passed
        assert "none of the 2 finished cells would pass" in hopeless.sentence
        assert f"--run-id {useless.run_id} --force" in hopeless.sentence
    good = gate.add("good", off=0.01, score=1.0)
    unmeasured = gate.add("also-good", off=0.0, score=0.5)

    result = gate.promote()
    assert (result.passed, result.cell.run_id) == (False, useless.run_id)
    own = mse_by_hand(gate.data, gate.data, "test", 0.02)
    constant = mse_by_hand(gate.data, gate.data, "train", 0.0)
    assert result.measured.test_metrics["test_mse"] == own
    assert result.measured.constant_metrics["test_mse"] == constant
    figures = [f"{one.expected:.2e}".replace("e-0", "e-") for one in (own, constant)]
    assert "does not become champion: test_mse" in result.sentence
    assert f"is worse than the constant predictor ({figures[1]})" in result.sentence
    assert figures[0] in result.sentence
    assert ("beats champion version 1" in result.sentence) == champion_first
    command = re.search(r"would pass: `(.*)`$", result.sentence)
    assert command is not None
    words = shlex.split(command[1])
    assert words[:3] == ["chromatune", "promote", "regression"]
    chosen = dict(zip(words[3::2], words[4::2], strict=True))
    assert chosen == {
        "--dataset": "synthetic-faces",
        "--data": gate.data.digest[:12],
        "--data-root": str(gate.data.folder.parent),
        "--tracking-uri": gate.store,
        "--run-id": good.run_id,
    }
    # Others are measured only until one passes.
    assert "test_mse" not in gate.client.get_run(unmeasured.run_id).data.metrics
    before = {"champion": 1} if champion_first else {}
    assert gate.aliases() == before

    forced = gate.promote(force=True)
    assert forced.moved
    reason = "beats .*, but is worse" if champion_first else "is worse"
    assert re.search(f"by force, though test_mse .* {reason}", forced.sentence)
    assert gate.promote(run_id=good.run_id).moved


def test_a_refused_promotion_is_exit_status_1_and_one_by_force_0(
    gate: Gate, run: Callable[..., Any]
) -> None:
    gate.add("useless", off=0.02, score=1.0)
    data = ["--count", "30", "--augment", "1", "--data-root", str(gate.data.folder.parent)]
    words = ["promote", "regression", "--dataset", gate.data.name, *data]
    words += ["--tracking-uri", gate.store, "--device", "cpu"]
    status, out, _ = run(*words)
    assert status == 1
    (line,) = (line for line in out.splitlines() if "champion" in line)
    assert "is worse than the constant predictor" in line
    forced = re.search("`(.*)` promotes this one nevertheless", line)
    assert forced is not None
    status, out, _ = run(*shlex.split(forced[1])[1:])  # as printed
    assert status == 0
    assert "becomes the first champion by force, though" in out


def test_reproduce_goes_on_without_a_champion_and_forces_only_a_first_one(gate: Gate) -> None:
    gate.add("useless", off=0.02, score=1.0)
    data = DataConfig(dataset=gate.data.name, root=gate.data.folder.parent, count=30, augment=1)

    def job(*, force: bool) -> Job:
        return Job(ReproduceConfig(data=data, force=force), {}, gate.store, Console(quiet=True))

    refused = job(force=False)._promote("regression")
    assert refused.promotion is not None
    assert (refused.succeeded, gate.aliases()) == (False, {})
    left_out = job(force=False)._finetune("regression")
    assert not left_out.succeeded
    assert "synthetic-faces has no regression champion: fine-tuning is left out" in left_out.line

    assert job(force=True)._promote("regression").succeeded
    assert gate.aliases() == {"champion": 1}
    gate.add("worse-but-not-on-val", off=0.03, score=2.0)
    assert not job(force=True)._promote("regression").succeeded
    assert gate.aliases() == {"champion": 1}


def test_a_dry_run_tells_the_same_and_writes_nothing(gate: Gate) -> None:
    cell = gate.add("first", off=0.01, score=1.0)
    dry = gate.promote(dry_run=True)
    assert (dry.version, dry.moved) == (None, False)
    assert dry.measured.decision.startswith("dry run: becomes the first champion")
    assert gate.client.search_registered_models() == []
    assert "test_mse" not in gate.client.get_run(cell.run_id).data.metrics
    assert gate.pictures(cell) == set()
    assert gate.promote().measured.test_metrics == dry.measured.test_metrics


def test_the_same_run_twice_makes_no_second_version_and_is_measured_once(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = gate.add("first", off=0.01, score=1.0)
    first = gate.promote()

    def measure(*_: Any, **__: Any) -> None:
        pytest.fail("the test set was touched again")

    monkeypatch.setattr("tuning.tracking.evaluation.evaluate", measure)
    monkeypatch.setattr("tuning.tracking.evaluation.write_showcase", measure)
    second = gate.promote(force=True)
    assert (second.version, second.moved) == (1, False)
    assert "is already champion (" in second.measured.decision
    assert second.measured.test_metrics == first.measured.test_metrics
    (version,) = gate.client.search_model_versions(f"name = '{NAME}'")
    assert version.tags["chromatune.decision"] == first.measured.decision
    assert len(gate.client.get_metric_history(cell.run_id, "test_mse")) == 1


def test_a_champion_of_other_data_is_measured_on_this(
    gate: Gate, other_data: PreparedDataset
) -> None:
    old = gate.add("old", off=0.012, score=1.0)
    gate.promote()
    other = dataclasses.replace(gate, data=other_data)
    other.add("new", off=0.0, score=1.0)
    result = other.promote()
    assert result.champion is not None
    assert result.champion.run_id == old.run_id
    assert "was measured on another dataset and is measured again" in result.measured.decision
    by_hand = mse_by_hand(other_data, gate.data, "test", 0.012)
    assert result.measured.rival_metrics["test_mse"] == by_hand
    assert result.moved


def test_a_champion_that_cannot_be_measured_is_only_displaced_by_force(
    gate: Gate, other_data: PreparedDataset
) -> None:
    old = gate.add("old", off=0.012, score=1.0)
    gate.promote()
    location = gate.client.get_logged_model(old.model_id).artifact_location
    (Path(location.removeprefix("file://")) / "artifacts" / "model.safetensors").unlink()
    other = dataclasses.replace(gate, data=other_data)
    other.add("new", off=0.0, score=1.0)
    result = other.promote()
    assert (result.moved, result.measured.rival_metrics) == (False, {})
    assert "cannot be measured on this one" in result.measured.decision
    assert other.promote(force=True).moved


def test_colorizers_win_by_a_higher_psnr(gate: Gate) -> None:
    gate.task = "colorizer"
    gate.add("first", off=0.012, score=1.0)
    gate.promote()
    gate.add("second", off=0.0, score=2.0)
    result = gate.promote()
    own, rival = result.measured.test_metrics, result.measured.rival_metrics
    assert own["test_psnr"] > rival["test_psnr"]
    assert (result.measured.metric, result.moved) == ("test_psnr", True)
    test = gate.data.planes("test")
    errors = [np.square(plane / 255 - plane.mean() / 255).mean() for plane in (test.a, test.b)]
    assert own["test_psnr"] == pytest.approx(-10 * np.log10(np.mean(errors)), abs=1e-3)


def test_there_is_a_champion_at_every_moment(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    gate.add("first", off=0.012, score=1.0)
    gate.promote()
    gate.add("second", off=0.01, score=2.0)
    original = MlflowClient.set_registered_model_alias

    def crash(self: MlflowClient, name: str, alias: str, version: str) -> None:
        if alias == "champion":
            raise MlflowException("the connection broke")
        original(self, name, alias, version)

    with monkeypatch.context() as crashing:
        crashing.setattr(MlflowClient, "set_registered_model_alias", crash)
        with pytest.raises(ChromatuneError, match=r"was not completed.*run the same command again"):
            gate.promote()
    assert gate.aliases()["champion"] == 1
    result = gate.promote()
    assert (result.moved, result.version) == (True, 2)
    assert gate.aliases() == {"champion": 2, "previous": 1}


def test_a_named_run_is_promoted_even_if_another_is_better_on_val(gate: Gate) -> None:
    named = gate.add("named", off=0.01, score=1.0)
    gate.add("better", off=0.0, score=2.0)
    assert gate.promote(run_id=named.run_id).cell.run_id == named.run_id
    with pytest.raises(ChromatuneError, match="run 'nobody' cannot be promoted"):
        gate.promote(run_id="nobody")


def test_nothing_to_promote_names_the_command_that_makes_something(
    gate: Gate, other_data: PreparedDataset
) -> None:
    dataclasses.replace(gate, data=other_data).add("on-other-data", off=0.0, score=1.0)
    command = "`chromatune grid regression --dataset synthetic-faces --data "
    with pytest.raises(ChromatuneError, match=command):
        gate.promote()


def test_only_whole_finite_finished_cells_of_this_kind_count(
    make_launch: MakeLaunch, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuning.tracking.store._RUNS_PER_PAGE", 2)
    launch = make_launch(models=["cnn1", "cnn2"], epochs=[2, 4, 6])
    launch.finish_all()
    launch.finish_cell("cnn1-relu-lr0.001", 4, score=float("nan"))
    (launch.folder / "cnn2-relu-lr0.001/cells/cnn2-relu-lr0.001-e6/cell.json").unlink()
    launch.fail("cnn2-relu-lr0.001", 5, "diverged")
    project_launch(launch.storage, store)
    digest = launch.document["dataset_digest"]
    found = finished_cells(store, digest, "regression", "grid")
    assert sorted(cell.cell_id for cell in found) == [
        "cnn1-relu-lr0.001-e2",
        "cnn1-relu-lr0.001-e6",
        "cnn2-relu-lr0.001-e2",
        "cnn2-relu-lr0.001-e4",
    ]
    best = best_cell(store, digest, "regression")
    assert best is not None
    assert (best.cell_id, best.params["epochs"]) == ("cnn1-relu-lr0.001-e6", "6")
    assert finished_cells(store, digest, "regression", "finals") == []
    assert finished_cells(store, "another", "regression") == []
    assert best_cell(store, digest, "colorizer") is None


def test_the_test_pictures_are_completed_after_a_failure(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = gate.add("first", off=0.01, score=1.0)
    log = MlflowClient.log_artifact

    def broken(self: MlflowClient, run_id: str, path: str, folder: str | None = None) -> None:
        if path.endswith("scores.json"):
            raise ConnectionError("the store is gone")
        log(self, run_id, path, folder)

    with monkeypatch.context() as failing:
        failing.setattr(MlflowClient, "log_artifact", broken)
        with pytest.raises(ChromatuneError, match="to MLflow: the store is gone; run the same"):
            gate.promote()
    gate.promote()
    sheets = {"samples", "train_samples", "best", "worst", "planes", "copies"}
    assert gate.pictures(cell) == {f"test/{name}.png" for name in sheets} | {"test/scores.json"}


def test_an_alias_is_pinned_to_the_version_that_has_it_now(gate: Gate) -> None:
    gate.add("first", off=0.01, score=1.0)
    gate.promote()
    name = gate.data.name
    assert pinned(champion_uri(name, "regression"), gate.store) == f"models:/{NAME}/1"
    assert pinned(f"models:/{NAME}/7", gate.store) == f"models:/{NAME}/7"
    with pytest.raises(ChromatuneError, match="chromatune promote colorizer --dataset"):
        pinned(champion_uri(name, "colorizer"), gate.store)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([(1e-2, 0, 31.0), (1e-2, 1, 31.4)], "the gap of 0.80 dB exceeds the spread"),
        ([(1e-2, 0, 31.0), (1e-2, 1, 33.0)], "the gap of 0.00 dB does not exceed the spread"),
        # The mean decides which is the next.
        ([(1e-2, 0, 30.0), (1e-2, 1, 33.0), (5e-3, 0, 31.8)], "2 and 1 seed, the gap of 0.20 dB"),
        ([], ""),
    ],
)
def test_promotion_says_whether_the_gap_exceeds_the_spread_over_seeds(
    others: list[tuple[float, int, float]], said: str
) -> None:
    own = [(1e-3, 0, 32.1), (1e-3, 1, 31.9)]
    cells = [make_cell(lr=lr, seed=seed, val_psnr=value) for lr, seed, value in [*own, *others]]
    words = compare_seeds(cells[0], cells, CRITERIA["colorizer"])
    assert said in words
    assert bool(words) == bool(others)


def test_single_seeds_are_not_compared() -> None:
    cells = [make_cell(lr=lr, val_psnr=30 + lr) for lr in (1e-3, 1e-2)]
    assert compare_seeds(cells[0], cells, CRITERIA["colorizer"]) == ""
