"""Whether a study is a search's own: what it says of itself, and whose its trials are."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial, TrialState

from tuning.display.formatting import format_count
from tuning.errors import ChromatuneError
from tuning.search.distributions import decoded
from tuning.search.objectives import Objective
from tuning.search.space import Space
from tuning.utils.redaction import redact

# Of a study's user attributes.
PREFIX = "chromatune."
# User attributes of trials: the launch whose trial it is, or whose result it is known from.
MARK = "launch_id"
KNOWN = "known"
_ANOTHER = "choose another --study-name"
_NAMED = 3


def describe_place(storage: str, name: str) -> str:
    """Name a study in a message, without passwords."""
    return f"study '{name}' in {redact(storage)}"


def check_study(
    study: optuna.Study,
    where: str,
    objectives: Sequence[Objective],
    facts: Mapping[str, Any],
    launch_id: str,
    *,
    is_resumed: bool,
) -> dict[str, Any]:
    """Return the facts that a study holds, if a search of `launch_id` may add its trials.

    Raises ChromatuneError, which begins with `where`, if another program made the study, or a
    search with other objectives or facts; or if none of a resumed launch's trials are in it.
    """
    trials = study.get_trials(deepcopy=False)
    launches = {trial.user_attrs.get(MARK) for trial in trials}
    if is_resumed and launch_id not in launches:
        raise ChromatuneError(f"{where} has no trial of {launch_id}: restore it")
    known = _facts(study)
    if not known and (trials or study.user_attrs or not _fits(study, objectives)):
        raise ChromatuneError(
            f"{where} was made by another program ({_described(study)}): {_ANOTHER}"
        )
    makers = ", ".join(sorted(str(maker) for maker in launches if maker))
    made = f"; {textwrap.shorten(makers, 90)} used it" if makers else ""
    for key, value in facts.items():
        if key not in known and trials and launch_id not in launches:
            raise ChromatuneError(
                f"{where} was made by an older version, which did not store its {key}{made}: "
                f"{_ANOTHER}"
            )
        if (found := known.get(key, value)) != value:
            raise ChromatuneError(
                f"{where} has {'other' if key == 'objectives' else 'another'} {key} "
                f"({textwrap.shorten(str(found), 60)}, not {textwrap.shorten(str(value), 60)})"
                f"{made}: {_ANOTHER}, or the configuration that it began with"
            )
    if not _fits(study, objectives):
        raise ChromatuneError(f"{where} was changed ({_described(study)}){made}: {_ANOTHER}")
    return known


def check_trials(study: optuna.Study, where: str, space: Space) -> None:
    """Check that a study's trials are those of searches of `space`, which mark their own.

    Points that wait to be tried need no mark. Raises ChromatuneError, which begins with `where`,
    for a trial of another program, and for parameters that are not those of the space.
    """
    distributions = {parameter.name: parameter.distribution for parameter in space.parameters}
    foreign = []
    for trial in study.get_trials(deepcopy=False):
        is_queued = trial.state == TrialState.WAITING and is_point(trial, space)
        if not (is_queued or is_marked(trial)):
            foreign.append(trial)
        for name, found in trial.distributions.items():
            if name not in distributions or not _is_same(found, distributions[name]):
                raise ChromatuneError(
                    f"{where} has other values of {name} in trial {trial.number}: {_ANOTHER}"
                )
    if foreign:
        count = format_count(len(foreign), "trial")
        numbers = ", ".join(
            f"{trial.number} {trial.state.name.lower()}" for trial in foreign[:_NAMED]
        )
        more = ", …" if len(foreign) > _NAMED else ""
        raise ChromatuneError(
            f"{where} has {count} of another program ({numbers}{more}): {_ANOTHER}"
        )


def is_marked(trial: FrozenTrial) -> bool:
    """Whether a trial is that of a search, or a result that a search has added."""
    return bool(trial.user_attrs.keys() & {MARK, KNOWN})


def _facts(study: optuna.Study) -> dict[str, Any]:
    return {
        key.removeprefix(PREFIX): value
        for key, value in study.user_attrs.items()
        if key.startswith(PREFIX)
    }


def _fits(study: optuna.Study, objectives: Sequence[Objective]) -> bool:
    directions = [direction.name.lower() for direction in study.directions]
    names = [objective.name for objective in objectives]
    return directions == [o.direction for o in objectives] and study.metric_names in (None, names)


def _described(study: optuna.Study) -> str:
    """What can be said of a study that another program made."""
    trials = study.get_trials(deepcopy=False)
    directions = [direction.name.lower() for direction in study.directions]
    names = study.metric_names or [""] * len(directions)
    words = [" ".join(pair).strip() for pair in zip(directions, names, strict=False)]
    words.append(format_count(len(trials), "trial"))
    if begun := min((trial.datetime_start for trial in trials if trial.datetime_start), default=""):
        words.append(f"begun on {begun:%Y-%m-%d}")
    words += [f"{key} {value}" for key, value in list(study.user_attrs.items())[:_NAMED]]
    return textwrap.shorten(redact(", ".join(words)), 120)


def is_point(trial: FrozenTrial, space: Space) -> bool:
    """Whether a trial was queued with values of the space."""
    point = trial.system_attrs.get("fixed_params")
    if not point:
        return False
    try:
        space.checked_point({name: decoded(value) for name, value in point.items()})
    except ChromatuneError:
        return False
    return True


def _is_same(found: BaseDistribution, wanted: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(found, wanted)
    except ValueError:
        return False
    return True
