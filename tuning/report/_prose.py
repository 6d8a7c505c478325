"""What a report says in words, every one of them from the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tuning.display.comparison_table import beats, better, verdict
from tuning.display.formatting import format_count, higher_is_better, metric_title, with_unit
from tuning.display.seeds import over_seeds
from tuning.report._places import Place, ranked


def standings(places: Iterable[Place], metric: str, constant: float | None) -> list[str]:
    """Say which place is best, by how much, and how many beat the constant predictor."""
    order = ranked(places, metric)
    if not order or constant is None:
        return who_wins(order, metric)
    beaten = sum(beats(metric, place.mean(metric), constant) for place in order)
    return [
        *who_wins(order, metric),
        f"The constant predictor has {with_unit(metric, constant)}: {beaten} of "
        f"{format_count(len(order), 'measured cell')} beat it.",
    ]


def who_wins(order: Sequence[Place], metric: str) -> list[str]:
    """Say by how much the first of a ranking wins, and whether the seeds bear that out."""
    if not order:
        return []
    first, title = order[0], title_of(metric)
    own = first.mean(metric)
    figure = with_unit(metric, own)
    if len(order) == 1:
        return [f"Only {first.name} has been measured: {title} {figure}."]
    second = order[1]
    other = second.mean(metric)
    if better(metric, own, other) is None:
        return [f"{first.name} and {second.name} tie at a {title} of {figure}."]
    wins = (
        f"{first.name} wins with a {title} of {figure}, {difference(metric, own, other)} "
        f"{second.name} ({with_unit(metric, other)})."
    )
    return [wins, _over_seeds(first, second, metric)]


def _over_seeds(first: Place, second: Place, metric: str) -> str:
    return over_seeds(metric, first.values(metric), second.values(metric)) or (
        "Each of the two was trained with one seed, so nothing tells whether this gap is larger "
        "than the spread over seeds."
    )


def beside_published(how: str, values: Iterable[tuple[str, float, float]]) -> list[str]:
    """Say how many values (metric, own, published) are better than published; nothing if none."""
    verdicts = [verdict(*value) for value in values]
    if not verdicts:
        return []
    equal = f", {verdicts.count('equal')} equal" if "equal" in verdicts else ""
    return [
        f"{how}, {verdicts.count('better')} of {format_count(len(verdicts), 'value')} are better "
        f"and {verdicts.count('worse')} worse{equal}."
    ]


def tuned_and_scratch(places: Sequence[Place], metric: str) -> list[str]:
    """Say for each model what starting from trained weights has gained over training anew."""
    sentences = []
    measured = [place for place in places if place.values(metric)]
    for tuned in (place for place in measured if place.tuned):
        for other in measured:
            if other.tuned or other.settings != tuned.settings:
                continue
            own, theirs = tuned.mean(metric), other.mean(metric)
            is_better = better(metric, own, theirs)
            outcome = f"changes nothing: both have {with_unit(metric, own)}"
            if is_better is not None:
                outcome = (
                    f"{'helps' if is_better else 'hurts'}: {with_unit(metric, own)} against "
                    f"{with_unit(metric, theirs)}, {difference(metric, own, theirs)} training "
                    f"from scratch"
                )
            weights = _weights_of(tuned)
            sentences.append(f"For {tuned.settings}, starting from {weights} {outcome}.")
    return sentences


def _weights_of(tuned: Place) -> str:
    """Name the weights that a model was fine-tuned from by their dataset: `the faces' weights`."""
    parents = [cell.parent_model or "" for cell in tuned.cells]
    name = parents[0].removeprefix("models:/").partition("/")[0].rpartition("-")[0] or "faces"
    return f"the {name}' weights" if name.endswith("s") else f"the {name}'s weights"


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
