"""What a search leaves to look at: pictures, the top ten, its best, its study."""

from __future__ import annotations

import json
import math
import tempfile
import warnings
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tuning.backend.schedulers import rungs
from tuning.display.formatting import metric_title
from tuning.display.plots import (
    PlottedParameter,
    PlottedTrial,
    search_curves,
    search_history,
    search_importances,
    search_parallel,
    search_pareto,
    search_slices,
)
from tuning.launch.folder import Launch
from tuning.launch.trainings import Training
from tuning.search.distributions import decoded
from tuning.search.objectives import Objective
from tuning.search.plan import SearchPlan
from tuning.search.space import Parameter
from tuning.search.study import JOURNAL, quiet
from tuning.search.summary import TrialSummary, ranked
from tuning.search.table import SearchTable
from tuning.search.trial_settings import train_file
from tuning.tracking.search import FOLDER

_LEAST_TO_COMPARE = 4


def write_report(launch: Launch, plan: SearchPlan, study: optuna.Study, table: SearchTable) -> None:
    """Write everything into the launch's folder `search`; what is there already is replaced."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _draw(launch, plan, study, table, folder)
        (folder / "top10.json").write_text(json.dumps(table.to_json(), indent=1))
        (folder / "top10.md").write_text(table.markdown())
        best = best_trial(table)
        if best is not None and best.training is not None:
            (folder / "best.yaml").write_text(train_file(launch, best, best.training))
            _fetch_model(launch, best.training, folder / "best.safetensors")
        _copy_study(study, folder / JOURNAL)
        for file in sorted(folder.iterdir()):
            launch.storage.upload_file(file, f"{FOLDER}/{file.name}")


def best_trial(table: SearchTable) -> TrialSummary | None:
    """The best trial of this very search, whoever else shares its study; None if it has none."""
    own = [trial for trial in table.trials if trial.training is not None]
    return next(iter(ranked(own, table.objectives[0])), None)


def importances(study: optuna.Study, objective: Objective) -> dict[str, float]:
    """Each parameter's share of what makes a trial good by its first objective.

    {} of too few finished trials.
    """
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(complete) < _LEAST_TO_COMPARE:
        return {}
    # Optuna asks what makes a target low, whatever the study's direction.
    sign = -1 if objective.maximize else 1
    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*to achieve low `target` values")
        warnings.filterwarnings("ignore", message="Some regimes for parameter")  # few trials
        found = optuna.importance.get_param_importances(
            study, target=lambda trial: sign * float(trial.values[0])
        )
    return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def _fetch_model(launch: Launch, training: Training, path: Path) -> None:
    """Take the best model along: MLflow has none of a training that may yet be gone on with."""
    cell = f"{training.training_id}/cells/{training.cells[0].cell_id}"
    launch.storage.download(f"{cell}/model.safetensors", path)


def _draw(
    launch: Launch, plan: SearchPlan, study: optuna.Study, table: SearchTable, folder: Path
) -> None:
    first, *others = plan.objectives
    name = f"{launch.document['dataset']} {launch.task}"
    trials = [_plotted(trial) for trial in table.trials]
    parameters = [_parameter(one) for one in plan.space.parameters]
    judged = (first.name, first.maximize)
    heading = f"Search {name}: {metric_title(first.name)}"
    search_history(heading, trials, *judged, folder / "optimization_history.png")
    search_importances(
        f"Search {name}: what the differences are due to",
        importances(study, first),
        folder / "param_importances.png",
    )
    search_parallel(heading, trials, parameters, *judged, folder / "parallel_coordinate.png")
    search_slices(heading, trials, parameters, *judged, folder / "slice.png")
    at = rungs(plan.search, plan.space.most_epochs)
    search_curves(
        f"Search {name}: learning curves", trials, *judged, folder / "learning_curves.png", at
    )
    if others:
        metrics = [(one.name, one.maximize) for one in plan.objectives]
        front = {trial.number for trial in table.front}
        search_pareto(f"Search {name}: Pareto set", trials, metrics, front, folder / "pareto.png")


def _plotted(trial: TrialSummary) -> PlottedTrial:
    return PlottedTrial(
        trial.number,
        trial.outcome,
        trial.values[0] if trial.values else math.nan,
        trial.params,
        trial.curve,
        trial.values[1:],
    )


def _parameter(one: Parameter) -> PlottedParameter:
    distribution = one.distribution
    if isinstance(distribution, CategoricalDistribution):
        return PlottedParameter(one.name, tuple(map(decoded, distribution.choices)))
    return PlottedParameter(
        one.name, (), distribution.low, distribution.high, bool(distribution.log)
    )


def _copy_study(study: optuna.Study, path: Path) -> None:
    """Write the study alone into a journal file, wherever it lies."""
    with quiet():
        optuna.copy_study(
            from_study_name=study.study_name,
            from_storage=study._storage,
            to_storage=JournalStorage(JournalFileBackend(str(path))),
        )
