"""The study of a search: kept, recognized, and usable by Optuna's own tools."""

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

PSNR = (Objective("val_psnr", maximize=True),)
FACTS = {"task": "colorizer", "space": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2}}}


@pytest.mark.parametrize("form", ["{}/study.journal", "sqlite:///{}/study.db"])
def test_a_study_is_found_again(form: str, tmp_path: Path) -> None:
    storage = form.format(tmp_path)
    study = open_study(storage, "colors", PSNR, FACTS)
    study.tell(study.ask(), 30.0)
    again = open_study(storage, "colors", PSNR, FACTS)
    assert [trial.value for trial in again.trials] == [30.0]
    assert again.direction == optuna.study.StudyDirection.MAXIMIZE
    assert again.metric_names == ["val_psnr"]


def test_optuna_opens_the_journal_by_itself(tmp_path: Path) -> None:
    study = open_study(str(tmp_path / "study.journal"), "colors", PSNR, FACTS)
    study.tell(study.ask(), 30.0)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    assert optuna.load_study(study_name="colors", storage=storage).best_value == 30.0


@pytest.mark.parametrize("glued", [True, False])
def test_what_a_full_disk_cut_off_in_the_journal_is_taken_out(glued: bool, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study = open_study(str(path), "colors", PSNR, FACTS)
    study.tell(study.ask(), 30.0)
    whole = path.read_bytes()
    study.tell(study.ask(), 31.0)
    later = path.read_bytes()[len(whole) :]
    # Of an entry that nobody was told of; where there was room again the next went right behind it.
    half = later[: later.index(b"\n") // 2]
    path.write_bytes(whole + half + (later if glued else b""))
    again = open_study(str(path), "colors", PSNR, FACTS)
    assert [trial.value for trial in again.trials] == ([30.0, 31.0] if glued else [30.0])
    assert path.read_bytes().startswith(whole + (later if glued else b""))
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_a_study_of_something_else_is_refused(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.journal")
    open_study(storage, "colors", PSNR, FACTS)
    with pytest.raises(ChromatuneError, match="searches with another task"):
        open_study(storage, "colors", PSNR, {**FACTS, "task": "regression"})
    with pytest.raises(ChromatuneError, match="searches with another space"):
        open_study(storage, "colors", PSNR, {**FACTS, "space": {}})
    other = (Objective("val_mse", maximize=False),)
    with pytest.raises(ChromatuneError, match="another objectives"):
        open_study(storage, "colors", other, FACTS)
    open_study(storage, "other", other, {**FACTS, "space": {}})


@pytest.mark.parametrize(
    "storage",
    ["nowhere://user:secret@host/x", "/proc/no/study.journal", "postgresql://u:secret@h/d"],
)
def test_a_storage_that_cannot_be_used_is_one_line_without_secrets(storage: str) -> None:
    with pytest.raises(ChromatuneError) as refusal:
        open_study(storage, "colors", PSNR, FACTS)
    assert "cannot use the study storage" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes")
    with pytest.raises(ChromatuneError, match="is no journal of Optuna's"):
        open_study(str(file), "colors", PSNR, FACTS)
    assert file.read_text() == "my notes"


def test_the_study_lies_in_the_launchs_folder_unless_told_otherwise() -> None:
    assert study_location(None, "/launches/search-1") == "/launches/search-1/study.journal"
    assert study_location("sqlite:////x.db", "/launches/1") == "sqlite:////x.db"
    assert Path(study_location("studies/mine", "/launches/1")).is_absolute()
    with pytest.raises(ChromatuneError, match="cannot lie in s3://bucket"):
        study_location(None, "s3://bucket/search-1")
