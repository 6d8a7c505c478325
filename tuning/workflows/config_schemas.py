"""JSON Schemas of the configuration files, by which editors complete and check them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from models import list_models
from tuning.config.schema import (
    FinalsLaunchConfig,
    FinetuneLaunchConfig,
    GridLaunchConfig,
    LaunchConfig,
    TrainLaunchConfig,
)
from tuning.config.search import SearchLaunchConfig
from tuning.search.space_schema import space_schema
from tuning.workflows.reproduce import ReproduceConfig

# Where a model is named, as (definition, key): the known ones are completed, others allowed.
_MODEL_KEYS = (("GridConfig", "models"), ("TrainConfig", "model"))

KINDS: Mapping[str, type[LaunchConfig]] = {
    "grid": GridLaunchConfig,
    "finals": FinalsLaunchConfig,
    "search": SearchLaunchConfig,
    "train": TrainLaunchConfig,
    "finetune": FinetuneLaunchConfig,
    "reproduce": ReproduceConfig,
}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False  # it would only repeat the key


def config_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of the files that `chromatune KIND -c FILE` takes.

    No key is required, as options may give what a file lacks.
    """
    schema = KINDS[kind].model_json_schema(schema_generator=_Generator)
    _each_object(schema, lambda part: part.pop("required", None))
    files = schema["properties"].pop("imports")
    schema["properties"]["import"] = {"anyOf": [{"type": "string"}, files]}
    definitions = schema["$defs"]
    if "SearchConfig" in definitions:
        space, entries = space_schema(_Generator)
        definitions["SearchConfig"]["properties"]["space"] = space
        definitions.update(entries)
        space["properties"]["model"]["anyOf"].insert(0, {"enum": list_models()})
    for name, key in _MODEL_KEYS:
        if name in definitions:
            field = definitions[name]["properties"][key]
            (field["items"] if key == "models" else field)["anyOf"] = [
                {"enum": list_models()},
                {"type": "string"},
            ]
    return schema


def write_schemas(folder: Path, kinds: list[str]) -> list[Path]:
    """Write the schema of each kind into `folder`; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind in kinds:
        file = folder / f"{kind}.json"
        file.write_text(json_text(kind), encoding="utf-8")
        files.append(file)
    return files


def json_text(kind: str) -> str:
    """The schema as it is written into a file."""
    return json.dumps(config_schema(kind), indent=1) + "\n"


def _each_object(part: Any, change: Callable[[dict[str, Any]], Any]) -> None:
    """Apply `change` to a schema and to everything in it."""
    if isinstance(part, dict):
        if "properties" in part:
            change(part)
        for inner in part.values():
            _each_object(inner, change)
    elif isinstance(part, list):
        for inner in part:
            _each_object(inner, change)
