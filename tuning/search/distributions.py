"""The keys of a search space, and its entries as Optuna distributions."""

from __future__ import annotations

import json
import typing
import warnings
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    TypeAdapter,
    ValidationError,
)

from tuning.errors import ChromatuneError, nearest
from tuning.search.priors import Confidence, Prior
from tuning.training.config import FitConfig
from tuning.training.options import Loss
from tuning.utils.faults import describe_fault

KWARG = "model_kwargs."
# Decided by the data and the launch, or the same for every trial (`_` is dataclasses.KW_ONLY).
_NOT_SEARCHED = frozenset(
    {
        "_",
        "milestones",
        "image_size",
        "keep",
        "keep_by",
        "seed",
        "eval_every",
        "eval_metrics",
        "validate_at",
        "model_kwargs",
    }
)


def _read_number(value: Any) -> Any:
    """Read text as a number: PyYAML takes `1e-3` for text. Booleans are not numbers."""
    if isinstance(value, bool):
        raise ValueError("input should be a number")
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value  # pydantic reports it


_Float = Annotated[float, BeforeValidator(_read_number), Field(allow_inf_nan=False)]
_Int = Annotated[int, BeforeValidator(_read_number)]
_READ_AS: Mapping[Any, Any] = {
    float: _Float,
    int: _Int,
    int | None: Annotated[int | None, BeforeValidator(_read_number)],
    bool: StrictBool,
}
_HINTS: Mapping[str, Any] = {"epochs": int, **typing.get_type_hints(FitConfig), "loss": Loss}
FIELDS: Mapping[str, TypeAdapter[Any]] = {
    name: TypeAdapter(_READ_AS.get(hint, hint))
    for name, hint in _HINTS.items()
    if name not in _NOT_SEARCHED
}


class _Entry(BaseModel):
    """A distribution as Optuna names it; it counts only `when` other keys have given values.

    `prior` is a value that is expected to be good, with that confidence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: dict[str, Any] = {}
    prior: JsonValue = None
    confidence: Confidence = "medium"


class _Range(_Entry):
    log: StrictBool = False

    def distribution(self, name: str) -> BaseDistribution:
        range_ = self.model_dump(include={"low", "high", "step", "log"})
        for bound in (range_["low"], range_["high"]):
            typed(name, bound)
        if isinstance(self, IntEntry):
            return IntDistribution(**range_)
        if _HINTS.get(name) in (int, int | None):
            raise ValueError("the key takes whole numbers: use type int")
        return FloatDistribution(**range_)


class FloatEntry(_Range):
    type: Literal["float"]
    low: _Float
    high: _Float
    step: _Float | None = None


class IntEntry(_Range):
    type: Literal["int"]
    low: _Int
    high: _Int
    step: _Int = 1


class CategoricalEntry(_Entry):
    type: Literal["categorical"]
    choices: Annotated[list[JsonValue], Field(min_length=1)]

    def distribution(self, name: str) -> BaseDistribution:
        choices = [typed(name, choice) for choice in self.choices]
        for choice in choices:
            if isinstance(choice, dict):
                raise ValueError(f"the choice {choice!r} must be a value or a list of values")
            if isinstance(choice, str) and choice.startswith("["):
                raise ValueError("write a list among the choices as a list, not as text")
        if len(set(map(repr, choices))) != len(choices):
            raise ValueError(f"the choices name a value twice: {self.choices}")
        return CategoricalDistribution(list(map(encoded, choices)))


Entry = FloatEntry | IntEntry | CategoricalEntry
_TYPES: Mapping[str, type[Entry]] = {
    "float": FloatEntry,
    "int": IntEntry,
    "categorical": CategoricalEntry,
}


def read_entry(
    name: str, content: Mapping[str, Any]
) -> tuple[BaseDistribution, dict[str, Any], Prior | None]:
    """Read the distribution of the key `name`, its conditions as they are written, and its prior.

    Choices that are lists, such as a network's channels, are kept as JSON: see `decoded`. Raises
    ChromatuneError for a wrong word, type or range.
    """
    where = f"search.space.{name}"
    kind = str(content.get("type"))
    if kind not in _TYPES:
        fault = f"has the unknown type '{kind}'" if "type" in content else "has no type"
        hint = nearest(kind, _TYPES)
        raise ChromatuneError(f"{where} {fault}{hint} (valid: {', '.join(_TYPES)})")
    schema = _TYPES[kind]
    given = {str(word): value for word, value in content.items() if value is not None}
    try:
        with warnings.catch_warnings():
            # Optuna would only warn, and change a `high` that the steps miss.
            warnings.simplefilter("error")
            entry = schema.model_validate(given)
            distribution = entry.distribution(name)
            return distribution, entry.when, _read_prior(name, entry, distribution)
    except ValidationError as error:
        raise ChromatuneError(describe_fault(error, schema, where)) from None
    except ArithmeticError:
        raise ChromatuneError(f"{where}: the range is too wide for its step") from None
    except (ValueError, Warning) as error:
        reason = str(error).replace("It will be replaced with", "The nearest range is")
        raise ChromatuneError(f"{where}: {reason}") from None


def _read_prior(name: str, entry: Entry, distribution: BaseDistribution) -> Prior | None:
    if entry.prior is None:
        if "confidence" in entry.model_fields_set:
            raise ValueError("confidence is that of a prior, and there is none")
        return None
    value = typed(name, _read_number(entry.prior) if _is_number(distribution) else entry.prior)
    if not contains(distribution, value):
        raise ValueError(
            f"the prior {entry.prior!r} is not in the space: {described(distribution)}"
        )
    return Prior(encoded(value), entry.confidence)


def _is_number(distribution: BaseDistribution) -> bool:
    return not isinstance(distribution, CategoricalDistribution)


def is_key(name: str) -> bool:
    """Whether a space can have the key."""
    return name in FIELDS or (name.startswith(KWARG) and name != KWARG)


def checked_key(name: str) -> str:
    """Return `name` if it is a key of a space; else raise ChromatuneError naming the nearest."""
    if is_key(name):
        return name
    valid = (*FIELDS, f"{KWARG}NAME")
    raise ChromatuneError(
        f"unknown key '{name}' in search.space{nearest(name, valid)} (valid: {', '.join(valid)})"
    )


def has_choices(name: str) -> bool:
    """Whether the values of a key are words from a list, or true and false: `typed` checks them."""
    hint = _HINTS.get(name)
    return name in FIELDS and (typing.get_origin(hint) is Literal or hint in (bool, Loss))


def typed(name: str, value: Any, where: str = "search.space") -> Any:
    """Return `value` as the type of the key `name`; ChromatuneError if it has another type.

    Arguments of models are left as they are: the models check them.
    """
    if name.startswith(KWARG):
        return value
    try:
        return FIELDS[name].validate_python(value)
    except ValidationError as error:
        raise ChromatuneError(describe_fault(error, None, f"{where}.{name}")) from None


def values_of(name: str, distribution: BaseDistribution) -> Iterator[Any]:
    """Yield every value of a finite distribution, as `decoded` returns it.

    Raises ChromatuneError for a range of floats without a step.
    """
    if isinstance(distribution, CategoricalDistribution):
        yield from map(decoded, distribution.choices)
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
        number = int if isinstance(distribution, IntDistribution) else float
        yield from (number(low + index * step) for index in range(int((high - low) / step) + 1))


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether `value`, as `decoded` returns it, can be drawn from the distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return repr(encoded(value)) in map(repr, distribution.choices)  # True is not 1 here
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and bool(distribution._contains(float(value)))


def encoded(value: Any) -> Any:
    """Return a choice as Optuna keeps it: lists become JSON."""
    return json.dumps(list(value), default=str) if isinstance(value, list | tuple) else value


def decoded(value: Any) -> Any:
    """Return a choice as a training takes it."""
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
