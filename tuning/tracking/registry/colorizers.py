"""Which models colorize: the champions of a dataset, or any version that is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from data_prep import DATASETS
from models import ModelError
from tuning.display.formatting import format_value, metric_title
from tuning.errors import ChromatuneError, nearest
from tuning.inference.colorizer import Colorizer
from tuning.tracking.registry.catalog import (
    ModelCard,
    champion_card,
    find_model,
    has_finished_cell,
    list_models,
)
from tuning.tracking.weights import load_registered
from tuning.training.tasks import CRITERIA

_LABELS = {"ncd": "NCD"}


@dataclasses.dataclass(frozen=True)
class Choice:
    """The models that were chosen; `regressor` is the champion for the mean of the same dataset."""

    colorizer: ModelCard
    regressor: ModelCard | None


def champions(cards: Sequence[ModelCard]) -> dict[str, ModelCard]:
    """Modes and their champions: those of the real datasets first, then by name."""
    found = {card.dataset: card for card in cards if card.is_champion}
    known = [name for name in DATASETS if name in found]
    return {name: found[name] for name in (*known, *sorted(set(found) - set(known)))}


def mode_label(dataset: str) -> str:
    """Write a mode for people: `Faces`, `NCD`, `Synthetic faces`."""
    return _LABELS.get(dataset, dataset.replace("-", " ").capitalize())


def score_text(card: ModelCard) -> str:
    """The figure that decides over a champion: ` (test PSNR 36.07 dB)`; empty if unmeasured."""
    metric = f"test_{CRITERIA[card.task].name}"
    if metric not in card.scores:
        return ""
    name, _, unit = metric_title(metric).partition(", ")
    return f" ({name} {format_value(metric, card.scores[metric])} {unit}".rstrip() + ")"


def choose_mode(mode: str, tracking_uri: str) -> Choice:
    """The champions of a dataset; ChromatuneError that says how to make one if it has none."""
    colorizer = champion_card(tracking_uri, mode, "colorizer")
    if colorizer is None:
        found = champions(list_models(tracking_uri, "colorizer"))
        raise ChromatuneError(_no_champion(mode, list(found), tracking_uri))
    return Choice(colorizer, champion_card(tracking_uri, mode, "regression"))


def choose_model(model_uri: str, tracking_uri: str) -> Choice:
    """The model `model_uri` names; ChromatuneError if it is not there or no colorizer."""
    card = find_model(model_uri, tracking_uri)
    if card.task != "colorizer":
        known = [other.uri for other in list_models(tracking_uri, "colorizer")]
        instead = f": use a colorizer, such as {known[0]}" if known else ""
        raise ChromatuneError(
            f"'{model_uri}' predicts no colours of pixels, its task is "
            f"{card.task or 'unknown'}{instead}"
        )
    return Choice(card, champion_card(tracking_uri, card.dataset, "regression"))


def how_to_make_champions(*, of_photographs: bool = False) -> str:
    """The command that makes champions where there are none, or none `of_photographs`."""
    real = "`chromatune reproduce --data DIR` makes those of DIR/gt_faces and DIR/ncd"
    if of_photographs:
        return real
    return f"`chromatune reproduce` makes champions of drawn pictures in minutes, {real}"


def load_colorizer(choice: Choice, tracking_uri: str, device: str) -> tuple[Colorizer, str]:
    """Load the chosen networks; also return what is to be said of a regressor that is unusable.

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
    there_are = f"champions there are for {', '.join(found)}" if found else ""
    if mode not in DATASETS:
        known = list(dict.fromkeys((*found, *DATASETS)))
        then = there_are or f"there is no champion at all yet: {how_to_make_champions()}"
        return f"unknown mode '{mode}'{nearest(mode, known)}; {then}"
    promote = f"`chromatune promote colorizer --dataset {mode}`"
    if has_finished_cell(tracking_uri, mode, "colorizer"):
        how = f"{promote} makes one of its finished runs"
    elif found or not DATASETS[mode].synthetic:
        how = f"`chromatune grid colorizer --dataset {mode}` and then {promote} make one"
    else:
        how = how_to_make_champions()
    return f"no champion for the mode '{mode}' yet: {how}" + (f"; {there_are}" if there_are else "")
