"""What a search leaves to look at: pictures, the top ten, its best, its study."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tuning.launch.folder import SEARCH, Launch
from tuning.launch.trainings import Training
from tuning.search.plan import SearchPlan
from tuning.search.plots import draw_study
from tuning.search.study import JOURNAL, quiet
from tuning.search.summary import TrialSummary, ranked
from tuning.search.table import SearchTable
from tuning.search.trial_settings import train_file


def write_report(launch: Launch, plan: SearchPlan, study: optuna.Study, table: SearchTable) -> None:
    """Write everything into the launch's folder `search`; what is there already is replaced."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        name = f"Search {launch.document['dataset']} {launch.task}"
        draw_study(study, plan.objectives, folder, name)
        (folder / "top10.json").write_text(json.dumps(table.to_json(), indent=1))
        (folder / "top10.md").write_text(table.markdown())
        best = best_trial(table)
        if best is not None and best.training is not None:
            (folder / "best.yaml").write_text(train_file(launch, best, best.training))
            _fetch_model(launch, best.training, folder / "best.safetensors")
        _copy_study(study, folder / JOURNAL)
        for file in sorted(folder.iterdir()):
            launch.storage.upload_file(file, f"{SEARCH}/{file.name}")


def best_trial(table: SearchTable) -> TrialSummary | None:
    """The best trial of this very search, whoever else shares its study; None if it has none."""
    own = [trial for trial in table.trials if trial.training is not None]
    return next(iter(ranked(own, table.objectives[0])), None)


def _fetch_model(launch: Launch, training: Training, path: Path) -> None:
    """Take the best model along: MLflow has none of a training that may yet be gone on with."""
    cell = f"{training.training_id}/cells/{training.cells[0].cell_id}"
    launch.storage.download(f"{cell}/model.safetensors", path)


def _copy_study(study: optuna.Study, path: Path) -> None:
    """Write the study alone into a journal file, wherever it lies."""
    with quiet():
        optuna.copy_study(
            from_study_name=study.study_name,
            from_storage=study._storage,
            to_storage=JournalStorage(JournalFileBackend(str(path))),
        )
