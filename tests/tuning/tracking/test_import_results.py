"""Results of another machine become launches that every command knows, and are marked as such."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console

from data_prep import PreparedDataset, PrepareSettings, prepare
from models import create_model, save_model
from tuning.config.schema import DataConfig
from tuning.errors import ChromatuneError
from tuning.launch.exchange import (
    CellResult,
    DatasetResult,
    LaunchResult,
    ModelFile,
    Results,
    Run,
    Stage,
    TrainingResult,
    read_results,
    sealed,
    write_results,
)
from tuning.launch.folder import create_launch, list_launches
from tuning.launch.trainings import make_training
from tuning.tracking.cells import finished_cells
from tuning.tracking.registry.promotion import promote
from tuning.training.config import FitConfig
from tuning.workflows.doctor import examine
from tuning.workflows.grid_table import trials_table
from tuning.workflows.import_results import import_results
from tuning.workflows.resume import resume_launch

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

T0 = 1_700_000_000_000
LAUNCH = "grid-regression-synthetic-faces-20231114-221320-imported"
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings(dataset="synthetic-faces", count=30, augment=1)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


@pytest.fixture
def file(tmp_path: Path, data: PreparedDataset) -> Path:
    """A grid of a cell with weights and a better one without; a fine-tuning that has not ended."""
    path = tmp_path / "far" / "results.json"
    model = path.parent / "models" / "grid-regression-cnn1-relu-lr1e-3-e2.safetensors"
    model.parent.mkdir(parents=True)
    save_model(create_model("cnn1"), model)
    kept = ModelFile(model.name, hashlib.sha256(model.read_bytes()).hexdigest())
    training = make_training(FitConfig("cnn1", "relu", 1e-3, (2, 4)), published={2: 100, 4: 300})
    tuned = make_training(FitConfig("cnn1", "relu", 1e-3, (9,)), suffix="-scratch")
    history: list[dict[str, float | int]] = [
        {"epoch": e, "train_loss": 1 / e, "lr": 1e-3, "seconds": 0.5, "timestamp": T0 + 1000 * e}
        for e in range(1, 5)
    ]
    for epochs in (2, 4):
        history[epochs - 1]["val_mse"] = 0.1 / epochs
    cells = [
        CellResult(
            cell_id=f"cnn1-relu-lr1e-3-e{epochs}",
            metrics={"val_mse": 0.1 / epochs, "train_loss": 1 / epochs},
            test_metrics={"test_mse": 0.25} if epochs == 4 else {},
            parameters=1234,
            kept_epoch=epochs,
            seconds=epochs / 2,
            started=T0,
            ended=T0 + 1000 * epochs,
            model=kept if epochs == 2 else None,
        )
        for epochs in (2, 4)
    ]
    run = Run(
        *(T0, "python -m benchmarks.report_on_gpu --data D --out O", "c" * 40, "Some GPU", "far"),
        *({"gpus": "Some GPU"}, {"torch": "2.13.0"}, 0.01, 100, 0, "float32", "best"),
    )
    baseline = {"val_mse": 0.3}, {"test_mse": 0.3}, None
    grid = TrainingResult(training.to_dict(), "finished", "", history, cells)
    rest = TrainingResult(tuned.to_dict(), "unfinished", "", [], [])
    results = Results(
        run=run,
        complete=False,
        stages=[Stage(T0, 9.0)],
        datasets=[DatasetResult(data.name, data.digest, data.manifest.summary())],
        launches=[
            LaunchResult("grid", "regression", data.name, *baseline, [grid]),
            LaunchResult("finetune", "regression", data.name, *baseline, [rest]),
        ],
    )
    write_results(path, results)
    assert read_results(path) == results
    return path


def contents(client: MlflowClient) -> dict[str, Any]:
    """Every run by its id, with all that it holds."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(experiments)
    return {
        run.info.run_id: (run.info.status, run.data.tags, run.data.params, run.data.metrics)
        for run in runs
    }


def test_what_is_imported_serves_every_command_and_only_once(
    file: Path, data: PreparedDataset, store: str, client: MlflowClient, tmp_path: Path
) -> None:
    where = {"storage_path": str(tmp_path / "launches"), "tracking_uri": store}
    grid, finetune = import_results(file, **where)
    assert grid.sentence.startswith(f"{LAUNCH}: imported, 2 cells; the weights of 1 were not kept")
    assert finetune.sentence == "finetune-regression: left out, its trainings have not ended"
    before = contents(client)
    assert [status for status, *_ in before.values()] == ["FINISHED"] * 3
    assert {tags["chromatune.imported"] for _, tags, *_ in before.values()} == {"true"}
    (note,) = (
        tags["mlflow.note.content"]
        for _, tags, *_ in before.values()
        if "chromatune.cell_id" not in tags
    )
    assert "Imported from results.json: trained on Some GPU (far) with `python -m bench" in note
    again, _ = import_results(file, **where)
    assert "was imported before, 2 cells" in again.sentence
    assert contents(client) == before

    with_weights, without = sorted(
        finished_cells(store, data.digest, "regression"), key=lambda cell: cell.metrics["val_mse"]
    )[::-1]
    assert (with_weights.has_weights, without.has_weights) == (True, False)
    assert without.metrics["test_mse"] == 0.25
    assert without.published_epochs == 300
    config = DataConfig(dataset=data.name, root=data.folder.parent, count=30, augment=1)
    assert len(trials_table("regression", config, store).cells) == 2
    with pytest.raises(ChromatuneError, match="cannot be promoted: it was imported without its"):
        promote(data, "regression", store, run_id=without.run_id)
    promotion = promote(data, "regression", store)
    assert promotion.cell.run_id == with_weights.run_id
    assert f"; {without.run_name} is better on val, but its weights were not kept" in (
        promotion.decision
    )

    (launch,) = list_launches(where["storage_path"])
    with pytest.raises(ChromatuneError, match="was trained elsewhere and imported"):
        resume_launch(launch, address=None, tracking_uri=store, console=Console())
    assert [one for one in examine(where["storage_path"], store) if one.where == LAUNCH] == []
    # It lacks nothing that a launch of this machine has.
    own = create_launch(
        *("grid", "regression", launch.config, data, launch.trainings),
        tracking_uri=store,
        baseline={},
    )
    assert launch.document.keys() == own.document.keys() | {"imported"}


def spoiled(**changes: Any) -> Change:
    return lambda document: document.update(changes)


def in_training(**changes: Any) -> Change:
    return lambda document: document["launches"][0]["trainings"][0].update(changes)


def in_cell(**changes: Any) -> Change:
    return lambda document: document["launches"][0]["trainings"][0]["cells"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (spoiled(complete=1), "complete must be bool, but is 1"),
        (spoiled(datasets=[]), "it does not say what 'synthetic-faces' is"),
        (in_training(history=[]), "has no cell 'cnn1-relu-lr1e-3-e2'"),
        (in_training(history=[{"epoch": 1}] * 4), "scored otherwise"),
        (in_training(training={}), "damaged training"),
        (in_cell(metrics={"val_mse": 0.01}), "cnn1-relu-lr1e-3-e2 scored otherwise"),
        (in_cell(cell_id="../../escape"), "has no cell '../../escape'"),
        (in_cell(model={"name": "../x.safetensors", "sha256": ""}), "names no file of weights"),
        (lambda document: document["launches"][0].update(trainings=[]), "has no trainings"),
        (
            lambda document: document["datasets"][0]["manifest"].update(settings={"size": -1}),
            "size",
        ),
    ],
)
def test_what_no_run_can_have_written_is_refused_in_a_line(
    file: Path, tmp_path: Path, store: str, change: Change, problem: str
) -> None:
    document = json.loads(file.read_text())
    del document["format"], document["sha256"]
    change(document)
    file.write_text(json.dumps(sealed(document)))
    with pytest.raises(ChromatuneError) as caught:
        list(import_results(file, storage_path=str(tmp_path / "launches"), tracking_uri=store))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "launches").exists()


def test_a_damaged_file_or_weights_are_told(file: Path, tmp_path: Path, store: str) -> None:
    whole = file.read_text()
    for text, problem in (
        ("", "holds no JSON"),
        (whole[: len(whole) // 2], "holds no JSON"),
        (whole.replace("0.025", "NaN"), "holds no JSON"),
        ("[]", "is no results file of the format"),
        (whole.replace("0.025", "0.024"), "is damaged: it is not what was written"),
    ):
        file.write_text(text)
        with pytest.raises(ChromatuneError, match=problem):
            list(import_results(file, storage_path=str(tmp_path / "l"), tracking_uri=store))
    file.write_text(whole)
    (model,) = (file.parent / "models").iterdir()
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(ChromatuneError, match=r"e2.safetensors is damaged"):
        list(import_results(file, storage_path=str(tmp_path / "l"), tracking_uri=store))
    with pytest.raises(ChromatuneError, match="cannot read"):
        list(import_results(tmp_path, storage_path=str(tmp_path / "l"), tracking_uri=store))
