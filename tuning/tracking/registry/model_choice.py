"""Chooses the models that colorize: the champions of a dataset, or any named version."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from data_prep import DATASETS
from models import ModelError
from tuning.display.formatting import format_value, metric_title
from tuning.errors import ChromatuneError, nearest
from tuning.inference.predict import Colorizer
from tuning.tracking.address import store_command
from tuning.tracking.fetch_weights import load_registered
from tuning.tracking.registry.catalog import (
    CHAMPION,
    ModelCard,
    find_champion,
    find_model,
    list_models,
    no_alias,
    registered_name,
)
from tuning.training.tasks import CRITERIA

_LABELS = {"ncd": "NCD"}


@dataclasses.dataclass(frozen=True)
class Choice:
    """The chosen models; `regressor` is the regression champion of the same dataset."""

    colorizer: ModelCard
    regressor: ModelCard | None


def champions(cards: Sequence[ModelCard]) -> dict[str, ModelCard]:
    """Modes and their champions: those of the real datasets first, then by name."""
    found = {card.dataset: card for card in cards if card.is_champion}
    known = [name for name in DATASETS if name in found]
    return {name: found[name] for name in (*known, *sorted(set(found) - set(known)))}


def mode_label(dataset: str) -> str:
    """A mode's name for people: `Faces`, `NCD`, `Synthetic faces`."""
    return _LABELS.get(dataset, dataset.replace("-", " ").capitalize())


def score_text(card: ModelCard) -> str:
    """The deciding figure: ` (test PSNR 36.07 dB)`; empty if it was not measured."""
    metric = f"test_{CRITERIA[card.task].name}"
    if metric not in card.scores:
        return ""
    name, _, unit = metric_title(metric).partition(", ")
    return f" ({name} {format_value(metric, card.scores[metric])} {unit}".rstrip() + ")"


def choose_mode(mode: str, tracking_uri: str) -> Choice:
    """The champions of a dataset; ChromatuneError, with the command that makes one, if none."""
    colorizer = find_champion(tracking_uri, mode, "colorizer")
    if colorizer is None:
        cards = list_models(tracking_uri, "colorizer")
        if any(card.dataset == mode for card in cards):
            name = registered_name(mode, "colorizer")
            raise ChromatuneError(no_alias(name, CHAMPION, tracking_uri))
        raise ChromatuneError(_no_champion(mode, list(champions(cards)), tracking_uri))
    return Choice(colorizer, find_champion(tracking_uri, mode, "regression"))


def choose_model(model_uri: str, tracking_uri: str) -> Choice:
    """The named model; ChromatuneError if it does not exist or is not a colorizer."""
    card = find_model(model_uri, tracking_uri)
    if card.task != "colorizer":
        known = [other.uri for other in list_models(tracking_uri, "colorizer")]
        instead = f": use a colorizer, such as {known[0]}" if known else ""
        raise ChromatuneError(
            f"'{model_uri}' is not a colorizer, its task is {card.task or 'unknown'}{instead}"
        )
    return Choice(card, find_champion(tracking_uri, card.dataset, "regression"))


def why_no_champion(tracking_uri: str) -> str:
    """Say that no colorizer has the alias `champion`, and what to do about it."""
    cards = list_models(tracking_uri, "colorizer")
    if cards:
        return no_alias(cards[0].name, CHAMPION, tracking_uri)
    return f"there is no champion yet: {how_to_make_champions()}"


def how_to_make_champions(*, of_photographs: bool = False) -> str:
    """The command that makes champions, or champions `of_photographs`."""
    real = "`chromatune reproduce --data DIR` trains on the photographs in DIR/gt_faces and DIR/ncd"
    if of_photographs:
        return real
    return f"`chromatune reproduce` trains champions on synthetic pictures in minutes, {real}"


def load_colorizer(choice: Choice, tracking_uri: str, device: str) -> tuple[Colorizer, str]:
    """Load the chosen networks; also return a warning about a regressor that cannot be used.

    Raises ChromatuneError or ModelError if the colorizer cannot be loaded.
    """
    network = load_registered(choice.colorizer.uri, tracking_uri, device)
    if choice.regressor is None:
        return Colorizer(network, None, device), ""
    try:
        regressor = load_registered(choice.regressor.uri, tracking_uri, device)
        return Colorizer(network, regressor, device), ""
    except (ChromatuneError, ModelError) as error:
        return Colorizer(network, None, device), (
            f"the means are the colorizer's own, {choice.regressor.label} cannot be used: {error}"
        )


def _no_champion(mode: str, found: Sequence[str], tracking_uri: str) -> str:
    available = f"; champions exist for {', '.join(found)}" if found else ""
    known = list(dict.fromkeys((*found, *DATASETS)))
    if mode not in known and (hint := nearest(mode, known)):
        return f"unknown mode '{mode}'{hint}{available}"
    # Whatever it is called, it may be a dataset of the user's own.
    words = ["colorizer", "--dataset", mode]
    grid, promote = (store_command(tracking_uri, name, *words) for name in ("grid", "promote"))
    how = f"train with {grid}, then {promote}"
    return f"no champion for the mode '{mode}' yet: {how}{available}"
