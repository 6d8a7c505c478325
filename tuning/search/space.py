"""A search space: what may differ between the trials of a search, and what does not."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from models import ModelError, model_info
from tuning.config.schema import Task
from tuning.errors import ChromatuneError, nearest
from tuning.launch.trainings import Operations
from tuning.search.distributions import (
    KWARG,
    contains,
    decoded,
    described,
    encoded,
    typed,
    values_of,
)
from tuning.search.priors import Prior
from tuning.training.config import FitConfig

# They change no weights, or only by chance.
_NOT_COMPARED = frozenset({"seed", "keep", "keep_by", "patience", "eval_metrics"})
# A range with more values is represented by its two ends.
_FEW = 64


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A dimension; it counts only `when` every key named there has one of the values given."""

    name: str
    distribution: BaseDistribution
    when: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    prior: Prior | None = None

    def counts(self, values: Mapping[str, Any]) -> bool:
        return all(name in values and values[name] in wanted for name, wanted in self.when.items())

    def suggest(self, trial: optuna.Trial) -> Any:
        """Draw a value from Optuna, or return the one that a killed process has drawn."""
        name, among = self.name, self.distribution
        if name in trial.params:
            self._draw_again(trial)
        if isinstance(among, CategoricalDistribution):
            return decoded(trial.suggest_categorical(name, among.choices))
        draw = trial.suggest_int if isinstance(among, IntDistribution) else trial.suggest_float
        return draw(name, among.low, among.high, step=among.step, log=among.log)

    def _draw_again(self, trial: optuna.Trial) -> None:
        """Take the sampler to where it was after this draw, so that the next ones are the same."""
        frozen = trial.study.get_trials(deepcopy=False)[trial.number]
        is_fixed = self.name in frozen.system_attrs.get("fixed_params", {})
        if not (is_fixed or self.distribution.single() or self.name in trial.relative_params):
            trial.study.sampler.sample_independent(
                trial.study, frozen, self.name, self.distribution
            )

    def values(self) -> Iterator[Any]:
        """Yield every value; ChromatuneError if there are infinitely many."""
        return values_of(self.name, self.distribution)

    def extremes(self) -> list[Any]:
        """All choices, or all values of a range if they are few, else its two ends."""
        among = self.distribution
        if not isinstance(among, CategoricalDistribution) and (
            among.step is None or (among.high - among.low) / among.step >= _FEW
        ):
            return [among.low, among.high]
        return list(self.values())


def fixed_at(name: str, value: Any) -> Parameter:
    """A dimension with one value."""
    return Parameter(name, CategoricalDistribution([encoded(value)]))


@dataclasses.dataclass(frozen=True)
class Space:
    """Parameters, each after those it depends on, and `constants`; `read_space` reads it from YAML.

    `training` holds the fields of FitConfig that all trials share unless the space names them.
    """

    task: Task
    image_size: int
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Any]
    training: Mapping[str, Any]

    @property
    def dimensions(self) -> dict[str, Parameter]:
        """Every key of the space: its parameters, and constants as dimensions of one value."""
        parameters = {parameter.name: parameter for parameter in self.parameters}
        return parameters | {name: fixed_at(name, v) for name, v in self.constants.items()}

    @property
    def models(self) -> list[str]:
        """The names of all models of the space."""
        return [str(value) for value in self.dimensions["model"].extremes()]

    @property
    def most_epochs(self) -> int:
        """The length of the longest training."""
        return int(max(self.dimensions["epochs"].extremes()))

    @property
    def needs_planes(self) -> bool:
        """Whether any training of the space needs the a and b planes."""
        return any(self.fit_config(values).needs_planes for values in self.probes())

    def keeping(self, metric: str | None, measured: Sequence[str]) -> Space:
        """The same space, whose trainings keep their best state by `metric`.

        Their validations have the metrics `measured` too.
        """
        listed = (*self.training["eval_metrics"], *measured)
        changed = {"keep_by": metric, "eval_metrics": listed}
        return dataclasses.replace(self, training={**self.training, **changed})

    def sample(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw the value of every key that counts; a trial keeps the values that it has."""
        return self.walk(lambda parameter: parameter.suggest(trial))

    def walk(self, choose: Callable[[Parameter], Any]) -> dict[str, Any]:
        """Choose a value for each parameter that counts, given those before it."""
        values = dict(self.constants)
        for parameter in self.parameters:
            if parameter.counts(values):
                values[parameter.name] = typed(parameter.name, choose(parameter))
        return values

    def chosen(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters among `values`, without the constants."""
        names = [parameter.name for parameter in self.parameters]
        return {name: values[name] for name in names if name in values}

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

    def cost(self, values: Mapping[str, Any]) -> float:
        """How many times the operations of the cheapest network an epoch takes; at least 1.

        They are known before a network is trained, and are the same on every machine.
        """
        operations, least = self._operations
        return max(1.0, operations.of(self.fit_config(values)) / least)

    @functools.cached_property
    def _operations(self) -> tuple[Operations, int]:
        """The counter, and the operations of the cheapest network."""
        counter = Operations()
        return counter, min(counter.of(self.fit_config(values)) for values in self.probes())

    def locate(self, fit: FitConfig) -> dict[str, Any] | None:
        """Find the parameters of a training, as Optuna keeps them; None outside the space.

        Seeds do not count, nor does which of its states a training kept.
        """
        fields = _fields(fit)

        def choose(parameter: Parameter) -> Any:
            if not contains(parameter.distribution, fields[parameter.name]):
                raise KeyError(parameter.name)
            return fields[parameter.name]

        try:
            values = self.walk(choose)
            is_same = _compared(self.fit_config(values)) == _compared(fit)
        except (KeyError, ChromatuneError, ModelError):
            return None
        return _encoded(self.chosen(values)) if is_same else None

    @property
    def expected(self) -> dict[str, Any]:
        """The configuration that the priors expect to be the best, as far as they say."""
        values = dict(self.constants)
        for parameter in self.parameters:
            if parameter.prior is not None and parameter.counts(values):
                values[parameter.name] = decoded(parameter.prior.value)
        return self.chosen(values)

    def near(self, fit: FitConfig) -> dict[str, Any]:
        """Return what a training has in common with the space: values of its parameters."""
        fields = _fields(fit)
        values = dict(self.constants)
        for parameter in self.parameters:
            value = fields.get(parameter.name)
            if parameter.counts(values) and contains(parameter.distribution, value):
                values[parameter.name] = value
        return self.chosen(values)

    def checked_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration to try as Optuna keeps it; keys that it leaves out are drawn.

        A key that counts only for one value of another key, which is left out, implies that value.
        Raises ChromatuneError for a key or a value that is not in the space.
        """
        known = self.dimensions
        given: dict[str, Any] = {}
        for name, value in point.items():
            if name not in known:
                raise ChromatuneError(
                    f"a point has the unknown key '{name}'{nearest(str(name), known)} "
                    f"(valid: {', '.join(known)})"
                )
            given[name] = typed(name, value, "search.points")
        names = list(given)
        while names:
            for parent, wanted in known[names.pop()].when.items():
                if parent not in {**self.constants, **given} and len(wanted) == 1:
                    [given[parent]] = wanted
                    names.append(parent)
        values = {**self.constants, **given}
        for name, value in given.items():
            if not contains(known[name].distribution, value):
                raise ChromatuneError(
                    f"a point has {name}={value!r}, which is not in the space: "
                    f"{described(known[name].distribution)}"
                )
            for parent, wanted in known[name].when.items():
                if values.get(parent, wanted[0]) not in wanted:
                    raise ChromatuneError(
                        f"a point has both {name} and {parent}={values[parent]}, but {name} counts "
                        f"only for {parent} {' or '.join(map(str, wanted))}"
                    )
        return _encoded(self.chosen(given))

    def grid(self) -> Iterator[dict[str, Any]]:
        """Yield the parameters of every configuration once, as Optuna keeps them.

        Raises ChromatuneError if there are infinitely many.
        """
        for parameter in self.parameters:
            next(parameter.values())
        for values in _branches(self.parameters, self.constants):
            yield _encoded(self.chosen(values))

    def probes(self) -> Iterator[dict[str, Any]]:
        """Yield configurations in which every parameter takes each of its `extremes` once."""
        rng = random.Random(0)
        by_name = {parameter.name: parameter for parameter in self.parameters}
        extremes = {name: parameter.extremes() for name, parameter in by_name.items()}
        yield self.walk(lambda parameter: extremes[parameter.name][0])
        for name, values in extremes.items():
            for value in values:
                chosen = {other: rng.choice(others) for other, others in extremes.items()}
                required = [by_name[name]]
                while required:
                    for parent, wanted in required.pop().when.items():
                        if parent in by_name:
                            chosen[parent] = wanted[0]
                            required.append(by_name[parent])
                chosen[name] = value
                yield self.walk(lambda parameter, c=chosen: c[parameter.name])  # type: ignore[misc]


def _branches(
    parameters: Sequence[Parameter], values: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    if not parameters:
        yield values
    elif not parameters[0].counts(values):
        yield from _branches(parameters[1:], values)
    else:
        for value in parameters[0].values():
            yield from _branches(parameters[1:], {**values, parameters[0].name: value})


def _encoded(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: encoded(value) for name, value in params.items()}


def _arguments(fit: FitConfig) -> dict[str, Any]:
    """All arguments of the model: its defaults count as if they were written out."""
    return {**model_info(fit.model).kwargs, **fit.model_kwargs}


def _fields(fit: FitConfig) -> dict[str, Any]:
    """The values that a training has for the keys of a space."""
    arguments = {f"{KWARG}{key}": value for key, value in _arguments(fit).items()}
    return {**dataclasses.asdict(fit), **arguments, "epochs": fit.epochs}


def _compared(fit: FitConfig) -> dict[str, Any]:
    identity = {
        **fit.identity(),
        "epochs": fit.epochs,
        "model_kwargs": _encoded(_arguments(fit)),
    }
    return {key: value for key, value in identity.items() if key not in _NOT_COMPARED}
