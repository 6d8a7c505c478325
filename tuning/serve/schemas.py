"""The JSON that the API answers with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tuning.serve.model_cache import ModelCache
from tuning.tracking.registry.model_choice import how_to_make_champions, mode_label


class Problem(BaseModel):
    """One line that says what is wrong."""

    detail: str


class Health(BaseModel):
    """Reports that the server answers, and how full its queue is."""

    status: str = "ok"
    device: str
    held: int = Field(description="Images that are being received, waiting or colorized.")


class Version(BaseModel):
    """A registered colorizer."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    version: int
    uri: str = Field(description="Value of the parameter `model` that chooses it.")
    dataset: str
    aliases: list[str]
    scores: dict[str, float] = Field(description="On the test set; `val_…` on the validation set.")


class Mode(BaseModel):
    """A dataset with a champion."""

    mode: str = Field(description="Value of the parameter `mode` that chooses it.")
    label: str
    champion: Version


class Models(BaseModel):
    """The models that `/colorize` can use."""

    modes: list[Mode]
    versions: list[Version]
    missing: list[str] = Field(description="Labels of known modes without a champion.")
    advice: str = Field(description="How to make the missing champions.")


def list_models(cache: ModelCache, known: list[str]) -> Models:
    """List the models of `cache`; `known` are the modes that a user may look for."""
    cards = cache.versions()
    modes = cache.modes()
    return Models(
        modes=[
            Mode(mode=name, label=mode_label(name), champion=Version.model_validate(card))
            for name, card in modes.items()
        ],
        versions=[Version.model_validate(card) for card in cards],
        missing=[mode_label(name) for name in known if name not in modes],
        advice=how_to_make_champions(of_photographs=bool(modes)),
    )
