"""A search space: what may differ between the trials of a search, and what does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from models import model_kwargs
from tuning.config.schema import Task
from tuning.errors import ChromatuneError, nearest
from tuning.search.distributions import contains, decoded, described, encoded, values_of
from tuning.search.fields import KWARG, typed
from tuning.training.config import FitConfig

# They change no weights, or only as luck does.
_NOT_COMPARED = frozenset({"seed", "keep", "patience"})


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One dimension; it counts only `when` each named other has one of the values given for it."""

    name: str
    distribution: BaseDistribution
    when: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)

    def counts(self, values: Mapping[str, Any]) -> bool:
        return all(name in values and values[name] in wanted for name, wanted in self.when.items())

    def suggest(self, trial: optuna.Trial) -> Any:
        """Draw a value from Optuna."""
        name, among = self.name, self.distribution
        if isinstance(among, CategoricalDistribution):
            return decoded(trial.suggest_categorical(name, among.choices))
        draw = trial.suggest_int if isinstance(among, IntDistribution) else trial.suggest_float
        return draw(name, among.low, among.high, step=among.step, log=among.log)


@dataclasses.dataclass(frozen=True)
class Space:
    """Dimensions, each behind those it depends on, and `constants`; read from YAML by `read_space`.

    `training` holds what every trial shares where the space says nothing: fields of FitConfig.
    """

    task: Task
    image_size: int
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Any]
    training: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        return [parameter.name for parameter in self.parameters]

    @property
    def models(self) -> list[str]:
        """The names of all models there are."""
        for parameter in self.parameters:
            if parameter.name == "model":
                return [str(value) for value in values_of("model", parameter.distribution)]
        return [str(self.constants["model"])]

    @property
    def most_epochs(self) -> int:
        """The longest training there is."""
        for parameter in self.parameters:
            if parameter.name == "epochs":
                distribution = parameter.distribution
                if isinstance(distribution, CategoricalDistribution):
                    return int(max(values_of("epochs", distribution)))
                return int(distribution.high)  # all of a range's values could be too many to list
        return int(self.constants["epochs"])

    def sample(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw the value of every key that counts; a trial that has some already keeps those."""
        return self.walk(lambda parameter: parameter.suggest(trial))

    def walk(self, choose: Callable[[Parameter], Any]) -> dict[str, Any]:
        """Choose a value for each parameter that counts, given those before it."""
        values = dict(self.constants)
        for parameter in self.parameters:
            if parameter.counts(values):
                values[parameter.name] = typed(parameter.name, choose(parameter))
        return values

    def fit_config(self, values: Mapping[str, Any]) -> FitConfig:
        """Make the training that `values` describe; its result is its best state."""
        fields = {**self.training, **values}
        kwargs = {key.removeprefix(KWARG): fields.pop(key) for key in values if KWARG in key}
        milestones = (fields.pop("epochs"),)
        return FitConfig(
            **fields,
            milestones=milestones,
            image_size=self.image_size,
            model_kwargs=kwargs,
            keep="best",
        )

    def locate(self, fit: FitConfig) -> dict[str, Any] | None:
        """Find the parameters that mean this training; None if it lies outside the space.

        Seeds do not count, and neither does which of its states a training kept.
        """
        arguments = {**model_kwargs(fit.model), **fit.model_kwargs}
        kwargs = {f"{KWARG}{key}": value for key, value in arguments.items()}
        has = {**dataclasses.asdict(fit), **kwargs, "epochs": fit.epochs}
        try:
            values = self.walk(lambda parameter: _held(parameter, has))
            same = _compared(self.fit_config(values)) == _compared(fit)
        except (LookupError, ChromatuneError):
            return None
        return (
            {name: encoded(values[name]) for name in self.names if name in values} if same else None
        )

    def checked_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration to try as Optuna takes it; what it leaves open is drawn.

        Raises ChromatuneError for a key or a value that is not in the space.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in point.items():
            if name in self.constants:
                if typed(name, value) != self.constants[name]:
                    raise ChromatuneError(
                        f"a point has {name}={value!r}, but the space fixes it at "
                        f"{self.constants[name]!r}"
                    )
            elif name not in known:
                valid = [*known, *self.constants]
                raise ChromatuneError(
                    f"a point has the unknown key '{name}'{nearest(str(name), valid)} "
                    f"(valid: {', '.join(valid)})"
                )
        given = {name: typed(name, point[name]) for name in known if name in point}
        for name, value in given.items():
            if not contains(known[name].distribution, value):
                raise ChromatuneError(
                    f"a point has {name}={value!r}, which is not in the space: "
                    f"{described(known[name].distribution)}"
                )
            for parent, wanted in known[name].when.items():
                present = given.get(parent, self.constants.get(parent))
                if present is not None and present not in wanted:
                    raise ChromatuneError(
                        f"a point has both {name} and {parent}={present}, but {name} counts only "
                        f"for {parent} {' or '.join(map(str, wanted))}"
                    )
        return {name: encoded(value) for name, value in given.items()}

    def grid(self) -> Iterator[dict[str, Any]]:
        """Yield the parameters of every configuration once, as Optuna takes them.

        Raises ChromatuneError if there are infinitely many.
        """
        for parameter in self.parameters:
            next(values_of(parameter.name, parameter.distribution))
        yield from self._branches(0, dict(self.constants))

    def _branches(self, depth: int, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if depth == len(self.parameters):
            yield {name: encoded(values[name]) for name in self.names if name in values}
            return
        parameter = self.parameters[depth]
        if not parameter.counts(values):
            yield from self._branches(depth + 1, values)
            return
        for value in values_of(parameter.name, parameter.distribution):
            yield from self._branches(depth + 1, {**values, parameter.name: value})


def _held(parameter: Parameter, has: Mapping[str, Any]) -> Any:
    value = has[parameter.name]
    if not contains(parameter.distribution, value):
        raise LookupError(parameter.name)
    return value


def _compared(fit: FitConfig) -> dict[str, Any]:
    identity = {**fit.identity(), "epochs": fit.epochs}
    # What a training leaves to its model is the same as the model's defaults written out.
    arguments = {**model_kwargs(fit.model), **fit.model_kwargs}
    identity["model_kwargs"] = {key: encoded(value) for key, value in arguments.items()}
    return {key: value for key, value in identity.items() if key not in _NOT_COMPARED}
