"""The study of a search: kept, recognized, and readable by Optuna's own tools."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tuning.errors import ChromatuneError
from tuning.search.objectives import Objective
from tuning.search.study import open_study, study_location
from tuning.tracking.store import prepare_store

PSNR = (Objective("val_psnr", maximize=True),)
FACTS = {"task": "colorizer", "space": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2}}}


@pytest.mark.parametrize("form", ["{}/study.journal", "sqlite:///{}/study.db"])
def test_a_study_is_found_again_also_by_optuna_itself(form: str, tmp_path: Path) -> None:
    storage = form.format(tmp_path)
    study = open_study(storage, "colors", PSNR, FACTS, launch_id="search-1")
    study.tell(study.ask(), 30.0)
    opened = storage if "://" in storage else JournalStorage(JournalFileBackend(storage))
    for again in (
        open_study(storage, "colors", PSNR, FACTS, launch_id="search-1"),
        optuna.load_study(study_name="colors", storage=opened),
    ):
        assert [trial.value for trial in again.trials] == [30.0]
        assert again.direction == optuna.study.StudyDirection.MAXIMIZE
        assert again.metric_names == ["val_psnr"]


@pytest.mark.parametrize("glued", [True, False])
def test_unfinished_entries_of_the_journal_are_removed(glued: bool, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study = open_study(str(path), "colors", PSNR, FACTS, launch_id="search-1")
    study.tell(study.ask(), 30.0)
    whole = path.read_bytes()
    study.tell(study.ask(), 31.0)
    later = path.read_bytes()[len(whole) :]
    # Half an entry; if the disk has room again, the next one is appended to it.
    half = later[: later.index(b"\n") // 2]
    path.write_bytes(whole + half + (later if glued else b""))
    again = open_study(str(path), "colors", PSNR, FACTS, launch_id="search-1")
    assert [trial.value for trial in again.trials] == ([30.0, 31.0] if glued else [30.0])
    assert path.read_bytes().startswith(whole + (later if glued else b""))
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_a_study_of_another_search_is_rejected(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.journal")
    open_study(storage, "colors", PSNR, FACTS, launch_id="search-1")
    with pytest.raises(ChromatuneError, match="has another task"):
        open_study(storage, "colors", PSNR, {**FACTS, "task": "regression"}, launch_id="search-1")
    with pytest.raises(ChromatuneError, match="has another space"):
        open_study(storage, "colors", PSNR, {**FACTS, "space": {}}, launch_id="search-1")
    other = (Objective("val_mse", maximize=False),)
    with pytest.raises(ChromatuneError, match="has other objectives"):
        open_study(storage, "colors", other, FACTS, launch_id="search-1")
    open_study(storage, "other", other, {**FACTS, "space": {}}, launch_id="search-1")


@pytest.mark.parametrize(
    ("storage", "says"),
    [
        ("nowhere://user:secret@host/x", "names a driver that cannot be used"),
        ("/proc/no/study.journal", "cannot use the study storage"),
        ("mssql://u:secret@h/d", "needs the driver pyodbc"),
    ],
)
def test_an_unusable_storage_is_one_line_without_secrets(storage: str, says: str) -> None:
    with pytest.raises(ChromatuneError) as refusal:
        open_study(storage, "colors", PSNR, FACTS, launch_id="search-1")
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("text", ["my notes", '{"mine": 1}', '{\n  "mine": 1\n}'])
def test_a_file_that_is_not_a_journal_is_left_alone(text: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(text)
    with pytest.raises(ChromatuneError, match="is not a journal of Optuna's"):
        open_study(str(file), "colors", PSNR, FACTS, launch_id="search-1")
    assert file.read_text() == text


def test_optuna_and_mlflow_reject_each_other_s_database(tmp_path: Path) -> None:
    ours, theirs = f"sqlite:///{tmp_path}/study.db", f"sqlite:///{tmp_path}/mlflow.db"
    open_study(ours, "colors", PSNR, FACTS, launch_id="search-1")
    prepare_store(theirs)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.db")}
    with pytest.raises(ChromatuneError, match="is a database of MLflow: give --study-storage"):
        open_study(theirs, "colors", PSNR, FACTS, launch_id="search-1")
    with pytest.raises(ChromatuneError, match="is a database of Optuna: choose another with"):
        prepare_store(ours)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.db")} == before


def test_the_study_is_in_the_launch_folder_by_default() -> None:
    assert study_location(None, "/launches/search-1") == "/launches/search-1/study.journal"
    assert study_location("sqlite:////x.db", "/launches/1") == "sqlite:////x.db"
    assert Path(study_location("studies/mine", "/launches/1")).is_absolute()
    with pytest.raises(ChromatuneError, match="cannot be in s3://bucket"):
        study_location(None, "s3://bucket/search-1")
