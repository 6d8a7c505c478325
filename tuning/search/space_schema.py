"""The section `search.space` as JSON Schema."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from tuning.search.distributions import FIELDS, KWARG, CategoricalEntry, FloatEntry, IntEntry

_ENTRIES = (FloatEntry, IntEntry, CategoricalEntry)


def space_schema(generator: type[GenerateJsonSchema]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of a search space, and the definitions that it refers to.

    Every key takes a value or a distribution. The range of a distribution is not checked, nor
    whether a model has an argument: a search does that before it trains.
    """
    definitions: dict[str, Any] = {}
    for entry in _ENTRIES:
        schema = TypeAdapter(entry).json_schema(schema_generator=generator)
        definitions |= {**schema.pop("$defs", {}), entry.__name__: schema}
    distribution = [{"$ref": f"#/$defs/{entry.__name__}"} for entry in _ENTRIES]
    fields = {
        name: {"anyOf": [field.json_schema(schema_generator=generator), *distribution]}
        for name, field in FIELDS.items()
    }
    space = {
        "type": "object",
        "description": "A value or a distribution for each option of a training.",
        "minProperties": 1,
        "properties": {**fields, KWARG.rstrip("."): {"type": "object"}},
        "patternProperties": {f"^{KWARG.rstrip('.')}\\.\\w+$": {}},
        "additionalProperties": False,
    }
    return space, definitions
