"""What a node answers before anything is trained there, and what is made of it.

That nodes are really asked is tested on real ones, in tests/cluster.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import ray

from tuning.backend import node_checks
from tuning.backend.node_checks import (
    check_here,
    check_nodes,
    inventory,
    look_around,
    storage_problem,
    version_problem,
)
from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage

FOLDER = ".preflight-1"


@pytest.fixture
def storage(tmp_path: Path) -> LaunchStorage:
    """A launch folder with the driver's word in it."""
    made = LaunchStorage(tmp_path / "launch")
    made.write_json(f"{FOLDER}/driver.json", "word")
    return made


def answered(storage: LaunchStorage, seen_as: str | Path) -> str:
    """The problem of a node to which the storage path is `seen_as`."""
    seen = look_around(str(seen_as), FOLDER, "n1")
    return storage_problem(storage, FOLDER, "word", "n1", seen)


def test_a_shared_folder_is_no_problem(storage: LaunchStorage) -> None:
    assert answered(storage, storage.uri) == ""
    assert storage.read_json(f"{FOLDER}/n1.json") == "word"


def test_a_folder_that_is_not_shared_is_reported_and_none_is_made(
    storage: LaunchStorage, tmp_path: Path
) -> None:
    problem = answered(storage, tmp_path / "elsewhere")
    assert problem == (
        f"it does not see what the driver writes to {storage.uri}: mount the same folder there on "
        f"every node, or give --storage-path s3://..."
    )
    assert not (tmp_path / "elsewhere").exists()


def test_the_same_path_with_another_folder_behind_it_is_reported(
    storage: LaunchStorage, tmp_path: Path
) -> None:
    other = tmp_path / "other" / FOLDER
    other.mkdir(parents=True)
    (other / "driver.json").write_text(json.dumps("another launch's word"))
    problem = answered(storage, other.parent)
    assert "does not see what the driver writes" in problem
    shutil.copy(tmp_path / "launch" / FOLDER / "driver.json", other / "driver.json")
    problem = answered(storage, other.parent)  # as a nightly copy: it reads, but writes alone
    assert "the driver does not see what it writes" in problem


def test_a_folder_that_cannot_be_written_is_reported(storage: LaunchStorage) -> None:
    (Path(storage.uri) / FOLDER / "n1.json").mkdir()  # in the way of the answer
    problem = answered(storage, storage.uri)
    assert problem.startswith(f"it cannot write to {storage.uri} (")


def test_other_versions_are_reported_with_both_numbers() -> None:
    here = inventory()
    there = {name: version for name, version in here.items() if name != "optuna"}
    there["torch"] = "1.0"
    assert version_problem(there, here) == (
        f"other versions: torch 1.0 (here {here['torch']}), optuna is missing "
        f"(here {here['optuna']}): run `make install` there again"
    )
    assert version_problem(dict(here), here) == ""


def test_one_changed_line_is_another_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = inventory()
    root = Path(node_checks.__file__).parents[2]
    for package in ("chromatune", "data_prep", "models", "tuning"):
        shutil.copytree(root / package, tmp_path / package)
    copied = tmp_path / "tuning" / "backend" / "node_checks.py"
    monkeypatch.setattr(node_checks, "__file__", str(copied))
    assert inventory() == here  # wherever it lies
    with (tmp_path / "models" / "heads.py").open("a") as source:
        source.write("\n")
    assert version_problem(inventory(), here).startswith(
        "its copy of Chromatune is not the driver's"
    )


def test_a_trial_checks_its_own_node_which_may_have_joined_late(storage: LaunchStorage) -> None:
    with pytest.raises(ChromatuneError, match=r"it does not see the launch in .*: mount the same"):
        check_here(storage, inventory())
    storage.write_json("launch.json", {})
    check_here(storage, inventory())
    with pytest.raises(ChromatuneError, match=r"other versions: torch .* \(here 1\.0\): run"):
        check_here(storage, {**inventory(), "torch": "1.0"})
    check_here(storage, {})  # on a local Ray


def test_every_problem_is_a_line_and_the_last_one_the_error(
    storage: LaunchStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = {"NodeManagerAddress": "127.0.0.1", "Alive": True}
    monkeypatch.setattr(ray, "nodes", lambda: [{**node, "NodeID": name} for name in "ab"])
    monkeypatch.setattr(node_checks, "_ask", lambda *_: ["first", "second"])
    logged: list[str] = []
    with pytest.raises(ChromatuneError, match=r"^second$"):
        check_nodes(storage, logged.append)
    assert logged == ["first"]
    assert storage.list_dir() == [FOLDER]


def test_a_single_node_is_not_asked(
    storage: LaunchStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = {"NodeID": "a", "NodeManagerAddress": "127.0.0.1", "Alive": True}
    monkeypatch.setattr(ray, "nodes", lambda: [alive, {**alive, "NodeID": "b", "Alive": False}])
    check_nodes(storage, pytest.fail)
    assert storage.list_dir() == [FOLDER]
