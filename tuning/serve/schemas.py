"""The JSON that the API answers with."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tuning.serve.model_cache import ModelCache
from tuning.tracking.registry.catalog import ModelCard
from tuning.tracking.registry.colorizers import how_to_make_champions, mode_label


class Problem(BaseModel):
    """Why a request was refused, in one line."""

    detail: str


class Health(BaseModel):
    """That the server answers, and how many pictures it holds."""

    status: str = "ok"
    device: str
    held: int = Field(description="Pictures that are being received, waiting or colorized.")


class Version(BaseModel):
    """A registered colorizer."""

    name: str
    version: int
    uri: str = Field(description="Value of the parameter `model` that chooses it.")
    dataset: str
    aliases: list[str]
    scores: dict[str, float] = Field(description="Measured on the test set; `val_…` chose it.")


class Mode(BaseModel):
    """A dataset with a champion."""

    mode: str = Field(description="Value of the parameter `mode` that chooses it.")
    label: str
    champion: Version


class Models(BaseModel):
    """What there is to choose from."""

    modes: list[Mode]
    versions: list[Version]
    missing: list[str] = Field(description="Labels of known modes without a champion.")
    advice: str = Field(description="How the missing champions are made.")


def models_on(cache: ModelCache, known: list[str]) -> Models:
    """List what `cache` offers; `known` are the modes that a user may look for."""
    cards = cache.versions()
    modes = cache.modes()
    return Models(
        modes=[
            Mode(mode=name, label=mode_label(name), champion=_version(card))
            for name, card in modes.items()
        ],
        versions=[_version(card) for card in cards],
        missing=[mode_label(name) for name in known if name not in modes],
        advice=how_to_make_champions(of_photographs=bool(modes)),
    )


def _version(card: ModelCard) -> Version:
    assert card.version is not None, "what is listed is registered"
    return Version(
        name=card.name,
        version=card.version,
        uri=card.uri,
        dataset=card.dataset,
        aliases=list(card.aliases),
        scores=dict(card.scores),
    )
