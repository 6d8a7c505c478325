"""What would fail an hour later on a cluster of several nodes, found before anything is trained."""

from __future__ import annotations

import functools
import hashlib
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from chromatune import PACKAGES
from tuning.backend.base import Log
from tuning.errors import ChromatuneError
from tuning.launch.launch_json import DOCUMENT
from tuning.launch.storage import LaunchStorage
from tuning.utils import provenance

_ANSWER_WITHIN_S = 60
_FOLDER = ".preflight"
_CODE = ("chromatune", *PACKAGES)
_CODE_KEY = "chromatune's code"
_SHARE = "mount the same folder there on every node, or give --storage-path s3://..."


def check_nodes(storage: LaunchStorage, log: Log) -> None:
    """Raise ChromatuneError if a node is not ready; of several problems, log a line each first.

    Each must read a file that the driver has written to `storage`, write one that the driver can
    read, and run the driver's versions and code. A single node is the driver's own. The tracking
    store is not checked: only the driver writes to it.
    """
    nodes = {
        node["NodeID"]: str(node["NodeManagerAddress"]) for node in ray.nodes() if node["Alive"]
    }
    if len(nodes) < 2:
        return
    folder = f"{_FOLDER}-{uuid.uuid4().hex}"
    word = uuid.uuid4().hex
    try:
        storage.write_json(f"{folder}/driver.json", word)
        problems = _ask(storage, folder, word, nodes)
    finally:
        storage.delete(folder)
    for line in problems[:-1]:
        log(line)
    if problems:
        raise ChromatuneError(problems[-1])


def check_here(storage: LaunchStorage, driver: Mapping[str, str]) -> None:
    """Raise ChromatuneError in a trial whose node, which may have joined late, is not ready.

    `driver` is the driver's inventory; without one nothing is checked.
    """
    if not driver:
        return
    problem = version_problem(_own_inventory(), driver)
    if not problem and not storage.exists(DOCUMENT):
        problem = f"it does not see the launch in {storage.uri}: {_SHARE}"
    if problem:
        raise ChromatuneError(f"node {platform.node()}: {problem}")


def inventory() -> dict[str, str]:
    """What must be the same on all nodes for their results to be the same."""
    return {**provenance.versions(), _CODE_KEY: _code_digest()}


def version_problem(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Compare the inventory of a node with the driver's; "" if they are the same."""
    differing = [
        f"{name} {there.get(name, 'is missing')} (here {here[name]})"
        for name in here
        if there.get(name) != here[name] and name != _CODE_KEY
    ]
    if differing:
        return f"other versions: {', '.join(differing)}: run `make install` there again"
    if there.get(_CODE_KEY) != here[_CODE_KEY]:
        return (
            "its copy of Chromatune is not the driver's: bring the same files to every node "
            "(`ray rsync-up`, or `git pull`)"
        )
    return ""


@functools.cache
def _own_inventory() -> dict[str, str]:
    """That of this process, taken once: its code is loaded."""
    return inventory()


def _ask(storage: LaunchStorage, folder: str, word: str, nodes: Mapping[str, str]) -> list[str]:
    # No CPU is asked for, so that nodes answer which are busy or run no trials.
    question = ray.remote(num_cpus=0, max_retries=0)(look_around)
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
            problem = (
                f"it has not answered within {_ANSWER_WITHIN_S} s: look at it with `ray status`, "
                f"or take it out of the cluster"
            )
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            problem = (
                f"it cannot run Chromatune ({reason}): run `make install` there, or "
                f"`ray job submit` from here"
            )
        else:
            problem = storage_problem(storage, folder, word, node, seen)
            problem = problem or version_problem(seen["inventory"], here)
        if problem:
            found.append(f"node {nodes[node]}: {problem}")
    return found


def look_around(uri: str, folder: str, node: str) -> dict[str, Any]:
    """Run on a node: read the driver's word and write it back."""
    seen: dict[str, Any] = {"inventory": inventory()}
    storage = LaunchStorage(uri)
    try:
        seen["word"] = storage.read_json(f"{folder}/driver.json")
    except (ChromatuneError, OSError):
        # Nothing is written there: a folder made here would only hide that it is not shared.
        return seen
    try:
        storage.write_json(f"{folder}/{node}.json", seen["word"])
    except OSError as error:
        seen["unwritable"] = str(error)
    return seen


def storage_problem(
    storage: LaunchStorage, folder: str, word: str, node: str, seen: Mapping[str, Any]
) -> str:
    """Judge by a node's answer whether it shares the driver's storage; "" if it does."""
    where = storage.uri
    if seen.get("word") != word:
        return f"it does not see what the driver writes to {where}: {_SHARE}"
    if "unwritable" in seen:
        return f"it cannot write to {where} ({seen['unwritable']}): let its user write there"
    if not storage.exists(f"{folder}/{node}.json"):
        return f"the driver does not see what it writes to {where}: {_SHARE}"
    return ""


def _code_digest() -> str:
    """One digest of all source files, wherever they are installed."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in _CODE:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
