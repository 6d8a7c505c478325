"""What would fail an hour later on a cluster of several nodes, found before anything is trained."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import platform
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuning.backend.base import Log
from tuning.errors import ChromatuneError
from tuning.launch.document import DOCUMENT
from tuning.launch.storage import LaunchStorage
from tuning.utils import provenance

_ANSWER_WITHIN_S = 60
_FOLDER = ".preflight"
_CODE = ("data_prep", "models", "tuning")


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """What is amiss on one node, and what to do about it."""

    node: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"node {self.node}: {self.what}: {self.remedy}"


def check_nodes(storage: LaunchStorage, log: Log) -> None:
    """Raise ChromatuneError if a node is not ready; of several obstacles, log a line each first.

    The tracking store is not asked for: only the driver writes to it, which asks it itself.
    """
    found = obstacles(storage)
    if not found:
        return
    *others, last = map(str, found)
    for line in others:
        log(line)
    raise ChromatuneError(last)


def obstacles(storage: LaunchStorage) -> list[Obstacle]:
    """Ask every node, all at once, whether it sees what the driver sees.

    Each must read a file that the driver has written to `storage`, write one that the driver can
    read, and run the driver's versions and code. Of a single node, which is the driver's, nothing
    is asked.
    """
    nodes = {
        node["NodeID"]: str(node["NodeManagerAddress"]) for node in ray.nodes() if node["Alive"]
    }
    if len(nodes) < 2:
        return []
    folder = f"{_FOLDER}-{uuid.uuid4().hex}"
    word = uuid.uuid4().hex
    try:
        storage.write_json(f"{folder}/driver.json", word)
        return _ask(storage, folder, word, nodes)
    finally:
        storage.delete(folder)


def check_here(storage: LaunchStorage, driver: Mapping[str, str]) -> None:
    """Raise ChromatuneError in a trial whose node, which may have joined late, is not ready.

    `driver` is the driver's inventory; without one nothing is asked.
    """
    if not driver:
        return
    address = platform.node()
    found = _version_obstacles(address, _own_inventory(), driver)
    if not storage.exists(DOCUMENT):
        what = f"it does not see the launch in {storage.uri}"
        remedy = "mount the same folder there on every node, or give --storage-path s3://..."
        found.append(Obstacle(address, what, remedy))
    if found:
        raise ChromatuneError(str(found[0]))


def inventory() -> dict[str, str]:
    """What must be the same on all nodes for their results to be the same."""
    return {**provenance.versions(), "chromatune's code": _code_digest()}


@functools.cache
def _own_inventory() -> dict[str, str]:
    """That of this process, taken once: its code is loaded."""
    return inventory()


def _ask(
    storage: LaunchStorage, folder: str, word: str, nodes: Mapping[str, str]
) -> list[Obstacle]:
    # No CPU is asked for, so that nodes answer which are at work or run no trials.
    question = ray.remote(num_cpus=0, max_retries=0)(_look_around)
    answers = {
        node: question.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote(storage.uri, folder, node)
        for node in nodes
    }
    ray.wait(list(answers.values()), num_returns=len(answers), timeout=_ANSWER_WITHIN_S)
    here = inventory()
    found = []
    for node, answer in answers.items():
        try:
            seen = ray.get(answer, timeout=0)
        except ray.exceptions.GetTimeoutError:
            ray.cancel(answer, force=True)
            found.append(_silent(nodes[node]))
        except ray.exceptions.RayError as error:
            found.append(_broken(nodes[node], error))
        else:
            found += _storage_obstacles(storage, folder, word, node, nodes[node], seen)
            found += _version_obstacles(nodes[node], seen["inventory"], here)
    return found


def _look_around(uri: str, folder: str, node: str) -> dict[str, Any]:
    """Run on a node: read the driver's word, leave one's own, tell one's versions."""
    seen: dict[str, Any] = {"inventory": inventory(), "host": platform.node()}
    storage = LaunchStorage(uri)
    try:
        seen["word"] = storage.read_json(f"{folder}/driver.json")
    except (ChromatuneError, OSError) as error:
        # Nothing is written there: a folder made here would only hide that it is not shared.
        return {**seen, "unreadable": str(error)}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / "answer.json"
            local.write_text(json.dumps(seen["word"]))
            storage.upload_file(local, f"{folder}/{node}.json")
    except OSError as error:
        seen["unwritable"] = str(error)
    return seen


def _storage_obstacles(
    storage: LaunchStorage, folder: str, word: str, node: str, address: str, seen: dict[str, Any]
) -> list[Obstacle]:
    where = storage.uri
    if "unreadable" in seen or seen.get("word") != word:
        what = f"it does not see what the driver writes to {where}"
        remedy = "mount the same folder there on every node, or give --storage-path s3://..."
        return [Obstacle(address, what, remedy)]
    if "unwritable" in seen:
        what = f"it cannot write to {where} ({seen['unwritable']})"
        return [Obstacle(address, what, "give its user the right to write there")]
    if not storage.exists(f"{folder}/{node}.json"):
        what = f"the driver does not see what it writes to {where}"
        return [Obstacle(address, what, "mount the same folder there on every node")]
    return []


def _version_obstacles(
    address: str, there: Mapping[str, str], here: Mapping[str, str]
) -> list[Obstacle]:
    differing = [name for name in here if there.get(name) != here[name]]
    if not differing:
        return []
    if differing == ["chromatune's code"]:
        what = "its copy of Chromatune is not the driver's"
        remedy = "bring the same files to every node (`ray rsync-up`, or `git pull`)"
        return [Obstacle(address, what, remedy)]
    told = ", ".join(
        f"{name} {there.get(name, 'is missing')} (here {here[name]})"
        for name in differing
        if name != "chromatune's code"
    )
    return [Obstacle(address, f"other versions: {told}", "run `make install` there again")]


def _silent(address: str) -> Obstacle:
    what = f"it has not answered within {_ANSWER_WITHIN_S} s"
    return Obstacle(address, what, "look at it with `ray status`, or take it out of the cluster")


def _broken(address: str, error: Exception) -> Obstacle:
    reason = str(error).strip().splitlines()[-1]
    if "ModuleNotFoundError" in str(error) or "No module named" in str(error):
        what = f"it cannot import Chromatune ({reason})"
        return Obstacle(address, what, "run `make install` there, or `ray job submit` from here")
    return Obstacle(address, f"it cannot run a task ({reason})", "look at it with `ray status`")


def _code_digest() -> str:
    """One digest of all source files, wherever they are installed."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in _CODE:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
