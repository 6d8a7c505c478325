"""One entry of a space as an Optuna distribution."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuning.errors import ChromatuneError, nearest
from tuning.search.fields import takes_fractions, takes_numbers, typed

# Optuna's words for each type, those that must be there first.
_WORDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "float": (("low", "high"), ("step", "log")),
    "int": (("low", "high"), ("step", "log")),
    "categorical": (("choices",), ()),
}


def is_distribution(entry: Any) -> bool:
    """Whether an entry of a space is meant as a distribution rather than as a constant."""
    return isinstance(entry, Mapping)


def read_distribution(name: str, entry: Mapping[str, Any]) -> BaseDistribution:
    """Build the distribution of `name`; ChromatuneError for a wrong word, type or range.

    Choices that are lists, such as a network's channels, are kept as JSON: see `decoded`.
    """
    where = f"search.space.{name}"
    kind = str(entry.get("type"))
    if kind not in _WORDS:
        said = f"has the unknown type '{kind}'" if "type" in entry else "has no type"
        hint = nearest(kind, _WORDS)
        raise ChromatuneError(f"{where} {said}{hint} (valid: {', '.join(_WORDS)})")
    needed, optional = _WORDS[kind]
    valid = ("type", *needed, *optional, "when")
    for word in entry:
        if word not in valid:
            raise ChromatuneError(
                f"unknown key '{where}.{word}'{nearest(str(word), valid)} "
                f"(valid for {kind}: {', '.join(valid)})"
            )
    for word in needed:
        if entry.get(word) is None:
            raise ChromatuneError(f"{where} is {kind} and needs '{word}'")
    if kind == "categorical":
        return _categorical(name, where, entry["choices"])
    return _range(name, where, kind, entry)


def values_of(name: str, distribution: BaseDistribution) -> Iterator[Any]:
    """Yield every value of a finite distribution, as `decoded` gives it.

    Raises ChromatuneError for a range of floats without a step.
    """
    if isinstance(distribution, CategoricalDistribution):
        yield from (decoded(choice) for choice in distribution.choices)
    elif isinstance(distribution, IntDistribution):
        yield from range(distribution.low, distribution.high + 1, distribution.step)
    elif distribution.step is None:
        raise ChromatuneError(
            f"search.space.{name} has no step, and a grid needs one: give it a step, or list its "
            f"values as choices"
        )
    else:
        # As decimals: 0.1 + 0.1 + 0.1 is not 0.3.
        low, high, step = (
            Decimal(str(x)) for x in (distribution.low, distribution.high, distribution.step)
        )
        yield from (float(low + index * step) for index in range(int((high - low) / step) + 1))


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether `value`, as `decoded` gives it, can be drawn from the distribution."""
    coded = encoded(value)
    if isinstance(distribution, CategoricalDistribution):
        return any(
            choice == coded and type(choice) is type(coded) for choice in distribution.choices
        )
    if isinstance(coded, bool) or not isinstance(coded, int | float):
        return False
    return bool(distribution._contains(float(coded)))


def encoded(value: Any) -> Any:
    """A choice as Optuna keeps it: lists become JSON."""
    return json.dumps(list(value)) if isinstance(value, list | tuple) else value


def decoded(value: Any) -> Any:
    """A choice as a training takes it."""
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value


def described(distribution: BaseDistribution) -> str:
    """Write a distribution in a few words: `float 1e-4 to 1e-2, log`."""
    if isinstance(distribution, CategoricalDistribution):
        return " | ".join(str(decoded(choice)) for choice in distribution.choices)
    kind = "int" if isinstance(distribution, IntDistribution) else "float"
    words = f"{kind} {distribution.low:g} to {distribution.high:g}"
    if distribution.log:
        return f"{words}, log"
    has_step = distribution.step is not None and (kind == "float" or distribution.step != 1)
    return f"{words}, step {distribution.step:g}" if has_step else words


def _categorical(name: str, where: str, choices: Any) -> CategoricalDistribution:
    if not isinstance(choices, list) or not choices:
        raise ChromatuneError(f"{where}.choices takes a list of values, but got {choices!r}")
    taken = [typed(name, choice) for choice in choices]
    if any(isinstance(choice, str) and choice.startswith("[") for choice in taken):
        raise ChromatuneError(f"{where}.choices: write a list as a list, not as text")
    values = [encoded(choice) for choice in taken]
    for value in values:
        if value is not None and not isinstance(value, bool | int | float | str):
            raise ChromatuneError(f"{where}.choices: {value!r} is neither a value nor a list")
    if len(set(map(repr, values))) != len(values):
        raise ChromatuneError(f"{where}.choices names a value twice: {choices}")
    return CategoricalDistribution(values)


def _range(name: str, where: str, kind: str, entry: Mapping[str, Any]) -> BaseDistribution:
    if not takes_numbers(name):
        raise ChromatuneError(f"{where} is no number: use type categorical with choices")
    if kind == "float" and not takes_fractions(name):
        raise ChromatuneError(f"{where} is a whole number: use type int")
    log = entry.get("log", False)
    if not isinstance(log, bool):
        raise ChromatuneError(f"{where}.log takes true or false, but got {log!r}")
    numbers = {
        word: _number(f"{where}.{word}", entry[word], whole=kind == "int")
        for word in ("low", "high", "step")
        if entry.get(word) is not None
    }
    build = IntDistribution if kind == "int" else FloatDistribution
    try:
        _check_step(where, numbers)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return build(**numbers, log=log)
    except (ValueError, Warning, ArithmeticError) as error:
        reason = str(error) if not isinstance(error, ArithmeticError) else "too wide for its step"
        raise ChromatuneError(f"{where}: {reason}") from None


def _number(where: str, value: Any, *, whole: bool) -> float | int:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (whole and not number.is_integer()):
        raise ChromatuneError(f"{where} takes a {'whole ' * whole}number, but got {value!r}")
    return int(number) if whole else number


def _check_step(where: str, numbers: Mapping[str, float]) -> None:
    """Refuse a step that misses `high`, which Optuna would move."""
    if not numbers.get("step", 0) > 0 or numbers["low"] > numbers["high"]:
        return  # Optuna says what is wrong
    low, high, step = (Decimal(str(numbers[word])) for word in ("low", "high", "step"))
    if (high - low) % step:
        below = low + (high - low) // step * step
        raise ChromatuneError(
            f"{where}: steps of {step:f} from {low:f} miss high={high:f}; the nearest highs are "
            f"{below:f} and {below + step:f}"
        )
