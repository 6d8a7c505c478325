"""The schemas of configuration files: editors accept what the program accepts, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.commands import refusal, run
from tuning.config.packaged import packaged_configs, schema_of
from tuning.config.schema import configs_folder
from tuning.workflows.config_schemas import KINDS, config_schema, json_text

SEARCH = (configs_folder() / "search_colorizer.yaml").read_text()


def errors(kind: str, content: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(config_schema(kind))
    return [error.message for error in validator.iter_errors(content)]


@pytest.mark.parametrize("file", packaged_configs().values(), ids=lambda file: file.stem)
def test_every_packaged_file_names_its_schema_and_fulfils_it(file: Path) -> None:
    schema = schema_of(file)
    assert schema is not None
    kind = {"champion": "train"}.get(file.stem.partition("_")[0], file.stem.partition("_")[0])
    assert schema.name == f"{kind}.json"
    jsonschema.validate(yaml.safe_load(file.read_text()), json.loads(schema.read_text()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_packaged_schemas_are_those_of_the_program(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(config_schema(kind))
    written = (configs_folder() / "schemas" / f"{kind}.json").read_text()
    assert written == json_text(kind), "run `chromatune schema --out configs/schemas`"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("grid", "grid: {lr: [0.1]}"),
        ("grid", "grid: {lrs: 0.1}"),
        ("grid", "grid: {heads: [softmax]}"),
        ("grid", "training: {batch_size: 0}"),
        ("grid", "search: {num_samples: 3}"),
        ("train", "train: {schedule: linear}"),
        ("finals", "finals: {epochs: many}"),
        ("reproduce", "target: {dataset: [ncd]}"),
        ("search", "search: {sampler: magic}"),
        ("search", "search: {space: {learning_rate: 0.1}}"),
        ("search", "search: {space: {lr: {type: float, low: 0.1, hihg: 1}}}"),
        ("search", "search: {space: {epochs: {type: categorical, choices: []}}}"),
    ],
)
def test_what_the_program_rejects_is_marked(kind: str, text: str) -> None:
    assert errors(kind, yaml.safe_load(text))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("grid", "grid: {models: [cnn1, my_own_net], epochs: [5]}"),
        ("grid", "resources: {gpus_per_trial: {cnn1: 0.5}, time_budget_s: 60}"),
        ("train", "train: {model: my_own_net, lr: 0.1}\nnotify: https://example.org/hook"),
        ("search", "search: {space: {model_kwargs.width: {type: int, low: 8, high: 64}}}"),
        ("search", "search: {space: {model_kwargs: {width: 8}, weight_decay: 0}}"),
        ("search", SEARCH),
        ("search", "search: {sampler: 'optuna.samplers:NSGAIISampler'}"),
    ],
)
def test_a_part_of_a_configuration_is_enough(kind: str, text: str) -> None:
    assert errors(kind, yaml.safe_load(text)) == []


def test_known_models_and_every_key_are_completed() -> None:
    grid = config_schema("grid")
    models = grid["$defs"]["GridConfig"]["properties"]["models"]["items"]["anyOf"][0]["enum"]
    assert {"cnn1", "autoencoder", "unet"} <= set(models)
    space = config_schema("search")["$defs"]["SearchConfig"]["properties"]["space"]
    assert {"lr", "schedule", "batch_size", "epochs", "model_kwargs"} <= set(space["properties"])


def test_schemas_are_written_or_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("schema").out.splitlines() == [f"schemas/{kind}.json" for kind in KINDS]
    assert (tmp_path / "schemas/search.json").read_text() == json_text("search")
    assert json.loads(run("schema", "grid", "--out", "-").out) == config_schema("grid")
    assert run("schema", "grid", "--out", "here").out == "here/grid.json\n"
    assert "name it" in refusal("schema", "--out", "-")
