"""What starts a cluster: launcher and KubeRay take the files, and they keep their promises."""

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
from typer.testing import CliRunner

from tuning.cli import app
from tuning.config.schema import configs_folder

ROOT = configs_folder().parent
LAUNCHER_FILES = ("ray_cluster.yaml", "ray_cluster_onprem.yaml")
ALL_FILES = (*LAUNCHER_FILES, "kuberay_rayjob.yaml")


@pytest.fixture(params=LAUNCHER_FILES)
def launcher(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A file of Ray's cluster launcher, as Ray fills it out."""
    prepared: dict[str, Any] = prepare_config(yaml.safe_load((ROOT / request.param).read_text()))
    return prepared


def test_ray_takes_the_file(launcher: dict[str, Any]) -> None:
    validate_config(launcher)  # against Ray's schema, once its defaults are filled in


def test_a_misspelled_key_would_be_seen(launcher: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout"):
        validate_config({**launcher, "idle_timeout": 10})


def test_every_node_asks_for_the_token_and_none_shows_its_dashboard(
    launcher: dict[str, Any],
) -> None:
    commands = launcher["head_start_ray_commands"] + launcher["worker_start_ray_commands"]
    starts = [shlex.split(one) for one in commands if "ray start" in one]
    assert len(starts) == 2
    for words in starts:
        assert "RAY_AUTH_MODE=token" in words
        assert not any("0.0.0.0" in word for word in words)
    head = next(words for words in starts if "--head" in words)
    assert "--dashboard-host=127.0.0.1" in head
    # Both from where the launcher was started to where Ray looks for it.
    (there,) = [path for path, here in launcher["file_mounts"].items() if "auth_token" in here]
    assert there.endswith("/.ray/auth_token")


def test_every_node_gets_the_project_as_git_keeps_it(launcher: dict[str, Any]) -> None:
    (folder,) = [there for there, here in launcher["file_mounts"].items() if here == "."]
    assert launcher["rsync_filter"] == [".gitignore"]
    assert {".git", ".venv", "data", "mlruns"} <= set(launcher["rsync_exclude"])
    name = folder.rpartition("/")[2]
    for phase in ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        assert any(re.search(rf"\bcd \S*{name} &&", one) for one in launcher[phase]), phase


def test_cloud_workers_are_spot_gpus_that_come_and_go() -> None:
    config = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    types = dict(config["available_node_types"])
    assert types.pop(config["head_node_type"])["resources"]["CPU"] == 0  # it runs no trials
    assert types
    for worker in types.values():
        assert worker["resources"]["GPU"] >= 1
        assert worker["min_workers"] == 0
        assert worker["max_workers"] >= 1
        assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert config["idle_timeout_minutes"] <= 15


# The part of KubeRay's definition of a RayJob (ray.io/v1) that the manifest uses, and the part of
# Kubernetes' definition of a pod. Strict: a field that is not here is unknown or was not checked.
_NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
_COUNT = {"type": "integer", "minimum": 0}
_QUANTITY = {"type": "string", "pattern": r"^[0-9]+([KMGT]i|m)?$"}


def _strict(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def _list_of(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


_AMOUNTS = {"type": "object", "additionalProperties": _QUANTITY}
_CONTAINER = _strict(
    "name image resources",
    name=_NAME,
    image={"type": "string"},
    resources=_strict("requests limits", requests=_AMOUNTS, limits=_AMOUNTS),
    volumeMounts=_list_of(_strict("name mountPath", name=_NAME, mountPath={"type": "string"})),
)
_CLAIM = _strict("claimName", claimName=_NAME)
_POD = _strict(
    "containers",
    terminationGracePeriodSeconds=_COUNT,
    containers=_list_of(_CONTAINER),
    volumes=_list_of(_strict("name", name=_NAME, persistentVolumeClaim=_CLAIM)),
)
_GROUP = {
    # Values of `ray start` are strings, also those that look like numbers.
    "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
    "template": _strict("spec", spec=_POD),
}
_WORKERS = _strict(
    "groupName replicas minReplicas maxReplicas rayStartParams template",
    groupName=_NAME, replicas=_COUNT, minReplicas=_COUNT, maxReplicas=_COUNT, **_GROUP,
)  # fmt: skip
_CLUSTER = _strict(
    "rayVersion authOptions headGroupSpec workerGroupSpecs",
    rayVersion={"type": "string"},
    authOptions=_strict("mode", mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=_strict("idleTimeoutSeconds", idleTimeoutSeconds=_COUNT),
    headGroupSpec=_strict("rayStartParams template", **_GROUP),
    workerGroupSpecs=_list_of(_WORKERS),
)
_RAYJOB = _strict(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=_strict("name", name=_NAME),
    spec=_strict(
        "entrypoint rayClusterSpec",
        entrypoint={"type": "string"},
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=_COUNT,
        backoffLimit=_COUNT,
        rayClusterSpec=_CLUSTER,
    ),
)


def test_the_kubernetes_manifest_is_a_rayjob_of_this_ray_with_a_token_on_shared_storage() -> None:
    job = yaml.safe_load((ROOT / "kuberay_rayjob.yaml").read_text())
    jsonschema.validate(job, _RAYJOB)
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == importlib.metadata.version("ray")
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    shared = set()
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        claims = {one["name"]: one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"]}
        (container,) = pod["containers"]
        shared.add(
            tuple((one["mountPath"], claims[one["name"]]) for one in container["volumeMounts"])
        )
        assert container["resources"]["requests"] == container["resources"]["limits"]
    ((mounted,),) = shared  # the same on every pod
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[words.index("--storage-path") + 1].startswith(f"{mounted[0]}/")
    for workers in cluster["workerGroupSpecs"]:
        assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
        (container,) = workers["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def _commands(name: str) -> Iterator[list[str]]:
    """Every `chromatune` command that a file shows or runs."""
    text = (ROOT / name).read_text()
    text = re.sub(r"\\\n#\s*", "", text)  # a comment that goes on in the next line
    job = yaml.safe_load(text).get("spec", {}).get("entrypoint", "")
    for line in [*text.splitlines(), job]:
        match = re.search(r"\bchromatune ((?:grid|resume) [^'`]*)", line)
        if match:
            yield shlex.split(match[1], comments=True)


@pytest.mark.parametrize("name", ALL_FILES)
def test_the_commands_in_the_files_are_commands(name: str) -> None:
    commands = list(_commands(name))
    assert commands
    for words in commands:
        known = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
        options = {option for parameter in known.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words
        assert "--address" in words
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
