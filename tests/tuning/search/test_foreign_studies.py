"""Studies that a search finds under its name: what is not its own is rejected before training."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from tuning.config.schema import resolve
from tuning.config.search import SearchLaunchConfig
from tuning.errors import ChromatuneError
from tuning.search.study_checks import PREFIX
from tuning.workflows.run_launch import Session
from tuning.workflows.search import run_search

NAME = "mine"
SPACE = {
    "model": {"type": "categorical", "choices": ["cnn1", "cnn2"]},
    "head": "relu",
    "epochs": 1,
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
}
LR = FloatDistribution(1e-4, 1e-2, log=True)


class BegunError(Exception):
    """Ends a launch when nothing remains but to train."""


def _begun(_: Any) -> None:
    raise BegunError


Make = Callable[[BaseStorage], object]
Change = Callable[[Study], object]


def new(**options: Any) -> Callable[[BaseStorage], Study]:
    return lambda storage: optuna.create_study(storage=storage, study_name=NAME, **options)


def told(value: Any = 1.0, ask: Callable[[optuna.Trial], object] = lambda _: None) -> Change:
    def change(study: Study) -> None:
        trial = study.ask()
        ask(trial)
        study.tell(trial, value)

    return change


def having(change: Change, *, times: int = 1, **options: Any) -> Make:
    """A study with `options` that another program made, and changed so many times."""

    def make(storage: BaseStorage) -> None:
        study = new(**options)(storage)
        for _ in range(times):
            change(study)

    return make


def added(state: TrialState = TrialState.COMPLETE, **fields: Any) -> Change:
    """Add a trial as another program would."""
    value = 1.0 if state == TrialState.COMPLETE else None
    return lambda study: study.add_trial(create_trial(state=state, value=value, **fields))


def choice(name: str, *choices: Any) -> Change:
    return added(params={name: choices[0]}, distributions={name: CategoricalDistribution(choices)})


def of_ours(*choices: Any) -> Change:
    """Add a trial that carries the mark of a launch, of another space."""
    model = {"model": CategoricalDistribution(choices)}
    mark = {"launch_id": "search-1"}
    return added(params={"model": choices[0]}, distributions=model, user_attrs=mark)


def fact(key: str, value: Any) -> Change:
    return lambda study: study.set_user_attr(f"{PREFIX}{key}", value)


def marked(launch_id: str = "search-1") -> Change:
    params = {"model": "cnn1", "lr": 1e-3}
    among = {"model": CategoricalDistribution(["cnn1", "cnn2"]), "lr": LR}
    return added(params=params, distributions=among, user_attrs={"launch_id": launch_id})


def measures_loss(study: Study) -> None:
    with pytest.warns(ExperimentalWarning):
        study.set_metric_names(["loss"])


# Of another program: what makes it foreign, and a word of the refusal.
FOREIGN: dict[str, Make] = {
    "finished": having(told(), direction="minimize"),
    "many": having(told(), times=30, direction="minimize"),
    "maximized": having(told(), direction="maximize"),
    "other choices": having(choice("model", "resnet50", "vgg16")),
    "the same choices": having(choice("model", "cnn1", "cnn2")),
    "another type": having(choice("lr", "high", "low")),
    "a range": having(told(ask=lambda trial: trial.suggest_float("lr", 1, 2))),
    "more parameters": having(told(ask=lambda trial: trial.suggest_int("layers", 1, 9))),
    "two directions": having(told([1.0, 2.0]), directions=["minimize", "maximize"]),
    "running": having(lambda study: study.ask()),
    "waiting": having(lambda study: study.enqueue_trial({"lr": 1e-3})),
    "failed": having(lambda study: study.tell(study.ask(), state=TrialState.FAIL)),
    "pruned": having(added(TrialState.PRUNED)),
    "empty, maximized": new(direction="maximize"),
    "empty, two directions": new(directions=["minimize", "minimize"]),
    "empty, another metric": having(measures_loss),
    "empty, attributes": having(lambda study: study.set_user_attr("owner", "somebody")),
    "marks of ours": having(marked()),
}

# Of a search, and changed since.
CHANGED: dict[str, tuple[Change, str]] = {
    "another space": (fact("space", {"lr": 1}), "has another space"),
    "other objectives": (fact("objectives", ["val_mae:min"]), "has other objectives"),
    "another task": (fact("task", "colorizer"), "has another task"),
    "other data": (fact("dataset_digest", "0"), "has another dataset_digest"),
    "other training": (fact("training", {"seed": 1}), "has another training"),
    "facts of another type": (fact("space", 5), "has another space"),
    "finished": (told(), "has 1 trial of another program (0 complete)"),
    "running": (lambda study: study.ask(), "has 1 trial of another program (0 running)"),
    "failed": (lambda study: study.tell(study.ask(), state=TrialState.FAIL), "(0 fail)"),
    "an unknown point": (lambda study: study.enqueue_trial({"depth": 3}), "(0 waiting)"),
    "a point outside": (lambda study: study.enqueue_trial({"lr": 5.0}), "(0 waiting)"),
    "other choices": (of_ours("resnet50", "vgg16"), "has other values of model in trial 0"),
    "fewer choices": (of_ours("cnn1"), "has other values of model in trial 0"),
    "another metric": (measures_loss, "was changed"),
}

# What searches and those who plan them may leave.
OWN: dict[str, Change] = {
    "nothing": lambda _: None,
    "another launch": marked(),
    "a known result": added(user_attrs={"known": "grid-1/x", "outcome": "known"}),
    "a point": lambda study: study.enqueue_trial({"lr": 1e-3, "model": "cnn2"}),
}


@pytest.fixture(params=["journal", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], BaseStorage]]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/study.db"
        return url, lambda: RDBStorage(url)
    path = str(tmp_path / "study.journal")
    return path, lambda: JournalStorage(JournalFileBackend(path))


@pytest.fixture
def search(place: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Start a search up to its training."""
    root = tmp_path_factory.getbasetemp() / "foreign-studies"
    data = {"dataset": "synthetic-faces", "count": 12, "size": 32, "augment": 1, "root": str(root)}

    def start() -> None:
        config = resolve(
            SearchLaunchConfig,
            defaults={
                "data": data,
                "storage_path": str(tmp_path / "launches"),
                "resources": {"backend": "serial"},
                "search": {"space": SPACE, "study_storage": place[0], "study_name": NAME},
            },
        )
        run_search("regression", config, Session(None, on_begin=_begun))

    return start


def content(study: Study) -> list[Any]:
    attrs = study.user_attrs, study.directions, study.metric_names
    return [*attrs, *study.get_trials()]


def refused(search: Any, place: Any, tmp_path: Path) -> str:
    """Start a search that is rejected: nothing is changed, and no launch is left."""
    before = content(optuna.load_study(study_name=NAME, storage=place[1]()))
    with pytest.raises(ChromatuneError) as refusal:
        search()
    assert content(optuna.load_study(study_name=NAME, storage=place[1]())) == before
    assert not list((tmp_path / "launches").glob("*"))
    line = str(refusal.value)
    assert line.startswith(f"the study 'mine' in {place[0]} ")
    assert "choose another --study-name" in line
    assert "\n" not in line
    return line


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_study_of_another_program_is_rejected(
    kind: str, place: Any, search: Any, tmp_path: Path
) -> None:
    FOREIGN[kind](place[1]())
    assert "was made by another program (" in refused(search, place, tmp_path)


@pytest.mark.parametrize("kind", CHANGED)
def test_a_search_s_study_that_was_changed_is_rejected(
    kind: str, place: Any, search: Any, tmp_path: Path
) -> None:
    with pytest.raises(BegunError):
        search()
    change, words = CHANGED[kind]
    change(optuna.load_study(study_name=NAME, storage=place[1]()))
    assert words in refused(search, place, tmp_path)


@pytest.mark.parametrize("kind", OWN)
def test_a_search_shares_the_study_of_another_launch(kind: str, place: Any, search: Any) -> None:
    new(direction="minimize")(place[1]())  # as `optuna create-study` does
    with pytest.raises(BegunError):
        search()
    OWN[kind](optuna.load_study(study_name=NAME, storage=place[1]()))
    with pytest.raises(BegunError):
        search()


def test_an_older_version_s_study_is_not_guessed_at(
    place: Any, search: Any, tmp_path: Path
) -> None:
    study = new(direction="minimize")(place[1]())
    fact("task", "regression")(study)
    marked("search-7")(study)
    line = refused(search, place, tmp_path)
    assert "was made by an older version, which did not store its objectives" in line
    assert "; search-7 used it: " in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda script: script.study.ask(), "has 1 trial of another program (1 running)"),
        (lambda script: told()(script.study), "has 1 trial of another program (1 complete)"),
        (lambda script: (script.folder / "study.journal").unlink(), "is missing: restore it"),
        (lambda script: _emptied(script), "has no trial of search-1: restore it"),
    ],
    ids=["running", "finished", "missing", "emptied"],
)
def test_a_search_is_resumed_only_with_its_own_study(
    change: Callable[[Any], object], words: str, script: Any
) -> None:
    made = script()
    made.end([30.0])
    change(made)
    with pytest.raises(ChromatuneError, match=re.escape(words)):
        made.open()


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "asha-stop", "median"])
def test_what_another_program_adds_to_a_running_search_is_not_tried(
    scheduler: str, script: Any
) -> None:
    made = script(total=3, scheduler=scheduler, grace_period=1)
    made.run(made.next(), [30.0, 31.0])
    reporting = made.study.ask()
    reporting.report(99.0, 1)
    points: list[dict[str, Any]] = [{"lr": 5.0}, {"model": "resnet50"}, {"depth": 3}]
    for point in points:
        made.study.enqueue_trial(point)
    for number in (5, 6):
        assignment = made.next()
        assert assignment.training_id.startswith(f"{number:04}")
        assert made.ledger.observe(assignment.training_id, 1, 32.0) != "stop"
    assert [trial.state for trial in made.study.get_trials()[2:5]] == [TrialState.FAIL] * 3


def _emptied(script: Any) -> None:
    storage = JournalStorage(JournalFileBackend(str(script.folder / "study.journal")))
    optuna.delete_study(study_name="search-1", storage=storage)
    optuna.create_study(study_name="search-1", storage=storage, direction="maximize")


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_database_of_another_version_of_optuna_is_one_line(tmp_path: Path, search: Any) -> None:
    new()(RDBStorage(f"sqlite:///{tmp_path}/study.db"))
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(ChromatuneError, match="cannot use the study storage") as refusal:
        search()
    assert "\n" not in str(refusal.value)
