"""Malicious configurations, manifests and launches: rejected in one line, nothing executed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep import DataError, open_dataset
from tests.commands import refusal
from tests.security.conftest import Canary
from tuning.config.schema import read_yaml
from tuning.config.search import read_points
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch, list_launches, open_launch
from tuning.launch.storage import LaunchStorage
from tuning.tracking.expected_runs import LaunchPlan
from tuning.workflows.address_checks import cluster_of, store_of

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML: dict[str, tuple[str | None, str]] = {
    "a device": (None, "over 200 kB"),
    "an object": (
        "a: !!python/object/apply:os.mkdir [CANARY]",
        "the tag 'tag:yaml.org,2002:python",
    ),
    "a billion laughs": (LAUGHS, "the alias '*a' is not supported on line 2"),
    "deep nesting": ("a: " + "[" * 3000, "nested more than 40 levels deep"),
    "far too much": ("- x\n" * 100_000, "over 200 kB"),
    "a number of ten thousand digits": ("a: " + "9" * 10_000, "is not valid YAML"),
}


@pytest.mark.parametrize("name", YAML)
def test_yaml_that_means_harm(name: str, tmp_path: Path, canary: Canary) -> None:
    text, expected = YAML[name]
    path = Path("/dev/zero")
    if text is not None:
        path = tmp_path / "c.yaml"
        path.write_text(text.replace("CANARY", f"'{canary.path}'"))
    said = refusal("grid", "regression", "--config", str(path))
    assert expected in said
    assert len(said) < 400
    with pytest.raises(ChromatuneError):
        read_points(path)
    with pytest.raises(ChromatuneError):
        read_yaml(path)
    assert canary.lives


@pytest.mark.parametrize(
    "word",
    [
        "grid.lrs=!!python/object/apply:os.mkdir [CANARY]",
        "training=&a [*a]",
        "data.seed=" + "9" * 5000,
        "grid.epochs=2020-99-99",
        ".".join("a" * 500) + "=1",
        "\x1b[2J=1",
    ],
)
def test_overrides_that_mean_harm(word: str, canary: Canary) -> None:
    said = refusal("grid", "regression", "--set", word.replace("CANARY", f"'{canary.path}'"))
    assert said.isprintable()
    assert canary.lives


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("dataset", "../../up"), ("dataset", "/etc"), ("dataset", "")),
        *(("format", 2), ("digest", "0"), ("files", [{"name": "../../up"}])),
    ],
)
def test_a_manifest_that_leads_elsewhere(key: str, value: Any, dataset_copy: Path) -> None:
    manifest = json.loads((dataset_copy / "manifest.json").read_text())
    (dataset_copy / "manifest.json").write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(DataError, match=r"is damaged: .*; run `chromatune prepare"):
        open_dataset(dataset_copy)


def test_arrays_are_no_pickles(dataset_copy: Path, canary: Canary) -> None:
    head = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (2, 64, 64), }"
    for data in (canary.bomb, head.ljust(127) + b"\n" + canary.bomb):
        (dataset_copy / "val" / "L.npy").write_bytes(data)
        with pytest.raises(DataError, match=r"val/L.npy cannot be read"):
            open_dataset(dataset_copy)
    assert canary.lives


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["launch_id"], "../../up"),
        (["kind"], "shell"),
        (["task"], "../x"),
        (["created"], "now"),
        (["trainings", 0, "training_id"], "../../../up"),
        (["trainings", 0, "cells", 0, "cell_id"], "/etc/up"),
        (["trainings", 0, "initial_weights"], "../../../etc/passwd"),
        (["trainings", 0, "params", "model"], "os.system"),
        (["trainings", 0, "params", "lr"], "much"),
        (["config", "resources"], {"cpus_per_trial": -1}),
        (["baseline"], {"val_mse": "low"}),
    ],
)
def test_a_launch_that_leads_elsewhere(path: list[Any], value: Any, launch: Launch) -> None:
    document = json.loads(json.dumps(launch.document))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file = Path(launch.storage.uri) / "launch.json"
    file.write_text(json.dumps(document))
    before = set(file.parents[2].rglob("*"))
    said = refusal("resume", str(file.parent), "--storage-path", str(file.parents[1]))
    assert re.search(r"launch\.json (is damaged|has a damaged training|.*: unknown model)", said)
    with pytest.raises(ChromatuneError):
        LaunchPlan(LaunchStorage(file.parent))
    assert list_launches(str(file.parents[1])) == []
    assert set(file.parents[2].rglob("*")) == before


@pytest.mark.parametrize("uri", ["ftp://host/x", "s3://", "file://host/x"])
def test_a_storage_that_is_none(uri: str) -> None:
    refusal("resume", "last", "--storage-path", uri)


def test_a_handed_launch_names_no_cluster_to_join(
    begin: Callable[..., Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    launch = begin(tmp_path)
    document = json.loads(json.dumps(launch.document))
    for address in ("10.0.0.1:6379", "ray://evil.example:10001", "evil.example:6379"):
        document["config"]["address"] = address
        Path(launch.storage.uri, "launch.json").write_text(json.dumps(document))
        said = refusal("resume", launch.storage.uri)
        assert f"ran on the Ray cluster at {address}: name it with --address" in said
        assert cluster_of(open_launch(launch.storage.uri, ""), address) == address
    for address in ("auto", "127.0.0.1:6379", "[::1]:6379", None):
        document["config"]["address"] = address
        Path(launch.storage.uri, "launch.json").write_text(json.dumps(document))
        assert cluster_of(open_launch(launch.storage.uri, ""), None) == address


def test_a_handed_launch_names_no_server_to_send_passwords_to(
    begin: Callable[..., Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    launch = begin(tmp_path, tracking_uri="http://evil.example:5000")
    assert store_of(launch, None) == "http://evil.example:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "correct-horse-battery")
    with pytest.raises(ChromatuneError, match="would receive MLFLOW_TRACKING_TOKEN"):
        store_of(launch, None)
    assert store_of(launch, "http://evil.example:5000") == "http://evil.example:5000"
