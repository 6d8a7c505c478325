"""The files that start a cluster: Ray accepts them, and they require a token."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from typer.main import get_command

from tuning.cli import app
from tuning.config.schema import configs_folder

ROOT = configs_folder().parent
LAUNCHER_FILES = ("ray_cluster.yaml", "ray_cluster_onprem.yaml")


@pytest.fixture(params=LAUNCHER_FILES)
def launcher(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A file of Ray's cluster launcher, with Ray's defaults filled in."""
    prepared: dict[str, Any] = prepare_config(yaml.safe_load((ROOT / request.param).read_text()))
    return prepared


def test_the_file_matches_rays_schema(launcher: dict[str, Any]) -> None:
    validate_config(launcher)
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout"):
        validate_config({**launcher, "idle_timeout": 10})


def test_every_node_requires_the_token_and_exposes_no_dashboard(launcher: dict[str, Any]) -> None:
    commands = launcher["head_start_ray_commands"] + launcher["worker_start_ray_commands"]
    starts = [shlex.split(command) for command in commands if "ray start" in command]
    assert len(starts) == 2
    for words in starts:
        assert "RAY_AUTH_MODE=token" in words
        assert not any("0.0.0.0" in word for word in words)
    head = next(words for words in starts if "--head" in words)
    assert "--dashboard-host=127.0.0.1" in head
    # The token is copied to where Ray looks for it.
    (target,) = [path for path, source in launcher["file_mounts"].items() if "auth_token" in source]
    assert target.endswith("/.ray/auth_token")


def test_every_node_gets_the_project_without_ignored_files(launcher: dict[str, Any]) -> None:
    (folder,) = [target for target, source in launcher["file_mounts"].items() if source == "."]
    assert launcher["rsync_filter"] == [".gitignore"]
    assert {".git", ".venv", "data", "mlruns"} <= set(launcher["rsync_exclude"])
    name = folder.rpartition("/")[2]
    for phase in ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        commands = launcher[phase]
        assert any(re.search(rf"\bcd \S*{name} &&", command) for command in commands), phase


def test_cloud_workers_are_spot_gpus_started_on_demand() -> None:
    config = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    types = dict(config["available_node_types"])
    assert types.pop(config["head_node_type"])["resources"]["CPU"] == 0  # it runs no trials
    assert types
    for worker in types.values():
        assert worker["resources"]["GPU"] >= 1
        assert worker["min_workers"] == 0
        assert worker["max_workers"] >= 1
        assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"


def test_the_kubernetes_manifest_requires_a_token_and_mounts_shared_storage() -> None:
    job = yaml.safe_load((ROOT / "kuberay_rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == importlib.metadata.version("ray")
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    shared = set()
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        (mount,) = container["volumeMounts"]
        (volume,) = pod["volumes"]
        assert mount["name"] == volume["name"]
        shared.add((mount["mountPath"], volume["persistentVolumeClaim"]["claimName"]))
        assert container["resources"]["requests"] == container["resources"]["limits"]
    ((path, _),) = shared  # the same on every pod
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[words.index("--storage-path") + 1].startswith(f"{path}/")
    for workers in cluster["workerGroupSpecs"]:
        assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]


def _commands(name: str) -> Iterator[list[str]]:
    """Every `chromatune` command that a file shows or runs."""
    text = re.sub(r"\\\n#\s*", "", (ROOT / name).read_text())  # comments of several lines
    job = yaml.safe_load(text).get("spec", {}).get("entrypoint", "")
    for line in [*text.splitlines(), job]:
        if match := re.search(r"\bchromatune ((?:grid|resume) [^'`]*)", line):
            yield shlex.split(match[1], comments=True)


@pytest.mark.parametrize("name", [*LAUNCHER_FILES, "kuberay_rayjob.yaml"])
def test_the_commands_in_the_files_exist(name: str) -> None:
    commands = list(_commands(name))
    assert commands
    for words in commands:
        known = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
        options = {option for parameter in known.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words
        assert "--address" in words
