"""What a node answers before anything is trained there, and what is made of it.

That nodes are really asked is tested on real ones, in tests/cluster.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import ray
from rich.console import Console

from tuning.backend import node_checks as preflight
from tuning.backend.node_checks import Obstacle, check_here, check_nodes, inventory, obstacles
from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage

FOLDER = ".preflight-1"


@pytest.fixture
def storage(tmp_path: Path) -> LaunchStorage:
    """A launch folder with the driver's word in it."""
    made = LaunchStorage(tmp_path / "launch")
    made.write_json(f"{FOLDER}/driver.json", "word")
    return made


def answered(storage: LaunchStorage, seen_as: str | Path) -> list[Obstacle]:
    """What is amiss with a node to which the storage path is `seen_as`."""
    seen = preflight._look_around(str(seen_as), FOLDER, "n1")
    return preflight._storage_obstacles(storage, FOLDER, "word", "n1", "10.0.0.2", seen)


def test_a_shared_folder_is_no_obstacle(storage: LaunchStorage) -> None:
    assert answered(storage, storage.uri) == []
    assert storage.read_json(f"{FOLDER}/n1.json") == "word"


def test_a_folder_that_is_not_shared_is_told_and_none_is_made(
    storage: LaunchStorage, tmp_path: Path
) -> None:
    (told,) = answered(storage, tmp_path / "elsewhere")
    assert str(told) == (
        f"node 10.0.0.2: it does not see what the driver writes to {storage.uri}: mount the same "
        f"folder there on every node, or give --storage-path s3://..."
    )
    assert not (tmp_path / "elsewhere").exists()


def test_the_same_path_with_another_folder_behind_it_is_told(
    storage: LaunchStorage, tmp_path: Path
) -> None:
    other = tmp_path / "other" / FOLDER
    other.mkdir(parents=True)
    (other / "driver.json").write_text(json.dumps("another launch's word"))
    (told,) = answered(storage, other.parent)
    assert "does not see what the driver writes" in told.what
    shutil.copy(tmp_path / "launch" / FOLDER / "driver.json", other / "driver.json")
    (told,) = answered(storage, other.parent)  # as a copy made by night: it reads, but alone
    assert "the driver does not see what it writes" in told.what


def test_a_folder_that_cannot_be_written_is_told(storage: LaunchStorage) -> None:
    (Path(storage.uri) / FOLDER / "n1.json").mkdir()  # in the way of the answer
    (told,) = answered(storage, storage.uri)
    assert told.what.startswith(f"it cannot write to {storage.uri} (")
    assert told.remedy == "give its user the right to write there"


def test_other_versions_are_told_with_both_numbers() -> None:
    here = inventory()
    there = {name: version for name, version in here.items() if name != "optuna"}
    there["torch"] = "1.0"
    (told,) = preflight._version_obstacles("10.0.0.2", there, here)
    assert told.what == (
        f"other versions: torch 1.0 (here {here['torch']}), optuna is missing "
        f"(here {here['optuna']})"
    )
    assert preflight._version_obstacles("10.0.0.2", dict(here), here) == []


def test_one_changed_line_is_another_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = inventory()
    root = Path(preflight.__file__).parents[2]
    for package in ("data_prep", "models", "tuning"):
        shutil.copytree(root / package, tmp_path / package)
    monkeypatch.setattr(
        preflight, "__file__", str(tmp_path / "tuning" / "backend" / "node_checks.py")
    )
    assert inventory() == here  # wherever it lies
    with (tmp_path / "models" / "heads.py").open("a") as source:
        source.write("\n")
    (told,) = preflight._version_obstacles("10.0.0.2", inventory(), here)
    assert told.what == "its copy of Chromatune is not the driver's"


def test_a_trial_asks_its_own_node_which_may_have_joined_late(storage: LaunchStorage) -> None:
    with pytest.raises(ChromatuneError, match=r"it does not see the launch in .*: mount the same"):
        check_here(storage, inventory())
    storage.write_json("launch.json", {})
    check_here(storage, inventory())
    with pytest.raises(ChromatuneError, match=r"other versions: torch .* \(here 1\.0\): run"):
        check_here(storage, {**inventory(), "torch": "1.0"})
    check_here(storage, {})  # on a Ray of our own


def test_every_obstacle_is_a_line_and_the_last_one_the_error(
    storage: LaunchStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Obstacle(f"10.0.0.{number}", "it is odd", "mend it") for number in (2, 3)]
    monkeypatch.setattr(preflight, "obstacles", lambda _: found)
    console = Console(record=True, file=io.StringIO())
    with pytest.raises(ChromatuneError, match=r"^node 10\.0\.0\.3: it is odd: mend it$"):
        check_nodes(storage, console)
    assert console.export_text() == "node 10.0.0.2: it is odd: mend it\n"


def test_a_single_node_is_not_asked(
    storage: LaunchStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = {"NodeID": "a", "NodeManagerAddress": "127.0.0.1", "Alive": True}
    monkeypatch.setattr(ray, "nodes", lambda: [alive, {**alive, "NodeID": "b", "Alive": False}])
    assert obstacles(storage) == []
    check_nodes(storage, Console())
    assert storage.list_dir() == [FOLDER]
