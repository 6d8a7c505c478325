"""What a report says in words, every one of them from the figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tuning.display.formatting import (
    format_count,
    higher_is_better,
    metric_title,
    with_unit,
)
from tuning.display.result_tables import beats, better
from tuning.report._places import Place, ranked


def who_wins(places: Iterable[Place], metric: str) -> list[str]:
    """Say which place has the best figure, by how much, and whether the seeds bear that out."""
    order = ranked(places, metric)
    if not order:
        return []
    first, title = order[0], title_of(metric)
    figure = with_unit(metric, first.mean(metric))
    if len(order) == 1:
        return [f"Only {first.name} has been measured: {title} {figure}."]
    second = order[1]
    if better(metric, first.mean(metric), second.mean(metric)) is None:
        return [f"{' and '.join(names_beside(first, second))} tie at a {title} of {figure}."]
    gap = difference(metric, first.mean(metric), second.mean(metric))
    beside = with_unit(metric, second.mean(metric))
    winner, other = names_beside(first, second)
    wins = f"{winner} wins with a {title} of {figure}, {gap} {other} ({beside})."
    return [wins, over_seeds(first, second, metric)]


def names_beside(first: Place, second: Place) -> tuple[str, str]:
    """Name two places so that a reader can tell one from the other."""
    if first.tuned == second.tuned or first.settings != second.settings:
        return first.name, second.name
    names = [one.name if one.tuned else f"{one.name}, from scratch" for one in (first, second)]
    return names[0], names[1]


def over_seeds(first: Place, second: Place, metric: str) -> str:
    """Say whether the gap between two places exceeds the spread of either over its seeds."""
    counts = [len(place.values(metric)) for place in (first, second)]
    spreads = [s for place in (first, second) if math.isfinite(s := place.spread(metric))]
    if not spreads:
        return (
            "Each of the two was trained with one seed, so nothing tells whether this gap is "
            "larger than the spread over seeds."
        )
    gap, spread = abs(first.mean(metric) - second.mean(metric)), max(spreads)
    verdict = "exceeds" if gap > spread else "does not exceed"
    seeds = (
        f"{counts[0]} seeds each"
        if counts[0] == counts[1]
        else f"{counts[0]} and {counts[1]} seeds"
    )
    return (
        f"Over {seeds}, the gap of {with_unit(metric, gap)} {verdict} the spread "
        f"(standard deviation {with_unit(metric, spread)})."
    )


def beside_constant(places: Iterable[Place], metric: str, constant: float) -> str:
    """Say how many places beat the constant predictor."""
    measured = ranked(places, metric)
    beaten = [place for place in measured if beats(metric, place.mean(metric), constant)]
    if len(measured) == 1:
        verdict = "is beaten" if beaten else "is not beaten"
        return f"The constant predictor has {with_unit(metric, constant)} and {verdict}."
    return (
        f"The constant predictor has {with_unit(metric, constant)}: {len(beaten)} of "
        f"{format_count(len(measured), 'measured cell')} beat it."
    )


def beside_published(metric: str, pairs: Sequence[tuple[float, float]], how: str = "") -> str:
    """Say how many measured figures are better than the published ones of the same cells."""
    verdicts = [better(metric, own, theirs) for own, theirs in pairs]
    up, down = verdicts.count(True), verdicts.count(False)
    equal = f", {verdicts.count(None)} equal" if None in verdicts else ""
    return (
        f"{how or 'Beside the published values'}, {up} of {format_count(len(pairs), 'cell')} are "
        f"better and {down} worse{equal}."
    )


def tuned_and_scratch(places: Sequence[Place], metric: str) -> list[str]:
    """Say for each model what starting from trained weights has gained over training anew."""
    sentences = []
    for tuned in (place for place in places if place.tuned and place.values(metric)):
        for other in places:
            twin = (other.model, other.head, other.lr, other.epochs)
            alike = twin == (tuned.model, tuned.head, tuned.lr, tuned.epochs)
            if other.tuned or not alike or not other.values(metric):
                continue
            own, theirs = tuned.mean(metric), other.mean(metric)
            verdict = better(metric, own, theirs)
            figures = f"{with_unit(metric, own)} against {with_unit(metric, theirs)}"
            outcome = {
                True: f"helps: {figures}, {difference(metric, own, theirs)} training from scratch",
                False: f"hurts: {figures}, {difference(metric, own, theirs)} training from scratch",
                None: f"changes nothing: both have {with_unit(metric, own)}",
            }[verdict]
            sentences.append(f"For {tuned.settings}, starting from the faces' weights {outcome}.")
    return sentences


def difference(metric: str, own: float, other: float) -> str:
    """Write how far `own` lies from `other`: `0.35 dB above`, `7.2 % below`, `3.1 times`."""
    side = "above" if own > other else "below"
    if higher_is_better(metric):
        return f"{with_unit(metric, abs(own - other))} {side}"
    if other <= 0 or own / other > 2:
        return f"{own / other:.3g} times" if other > 0 else side
    return f"{percent(abs(own / other - 1))} {side}"


def title_of(metric: str) -> str:
    """Name a metric in a sentence, where its unit stands with the figure."""
    return metric_title(metric).replace(", dB", "")


def percent(share: float) -> str:
    """Write `0.4 %`, `7.2 %`, `38 %`."""
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"
