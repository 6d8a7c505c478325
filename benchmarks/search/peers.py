"""Other libraries' searches: the same space, a third goes on, 1 to 27 epochs, else their defaults.

The libraries are no dependencies of the project: peers.txt and peers-neps.txt beside this file.

Syne Tune and Ax stop trials. SMAC, DEHB and NePS ask for a configuration again with more epochs;
it counts as continued, also where the library itself would train it from scratch. A configuration
that DEHB or NePS asks for anew, under another number, is trained anew, as everywhere here.
"""

from __future__ import annotations

import datetime
import random
import tempfile
import warnings
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from optuna.distributions import IntDistribution

from benchmarks.search.curves import EPOCHS, SPACES
from benchmarks.search.methods import distributions
from benchmarks.search.simulator import Method, Step

_ETA = 3


class _Peer:
    """Numbers the trials of a library, and keeps what it asked for until its score is known."""

    def __init__(self, space: str, seed: int) -> None:
        self._choices = SPACES[space]
        self._numbers: dict[Hashable, int] = {}
        self._best: list[float] = []
        self._reached: list[int] = []
        self._asked: dict[Step, Any] = {}
        # Some draw from the global generators, too.
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def _step(self, key: Hashable, indices: Mapping[str, Any], epoch: float, asked: Any) -> Step:
        """Train what the library calls `key`; anew if it has been trained as far."""
        until = round(epoch)
        if key not in self._numbers or self._reached[self._numbers[key]] >= until:
            self._numbers[key] = len(self._reached)
            self._reached.append(0)
            self._best.append(float("-inf"))
        trial = self._numbers[key]
        self._reached[trial] = until
        place = [int(indices.get(name, 0)) for name in self._choices]
        point = np.ravel_multi_index(place, [len(among) for among in self._choices.values()])
        step = Step(trial, int(point), until)
        self._asked[step] = asked
        return step

    def _take_in(self, step: Step, scores: Mapping[int, float]) -> float:
        """The best score until the step's last epoch, which is what every method is told."""
        self._best[step.trial] = max(self._best[step.trial], *scores.values())
        return self._best[step.trial]


class SyneTune(_Peer):
    """A scheduler of Syne Tune: it hears of every epoch, and says whether the trial goes on."""

    def __init__(self, name: str, space: str, seed: int, first: int = 1) -> None:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.config_space import choice, randint
        from syne_tune.optimizer import baselines

        super().__init__(space, seed)
        self._new = partial(Trial, creation_time=datetime.datetime.now())
        self._scheduler = getattr(baselines, name)(
            _converted(
                space, lambda _, *bounds: randint(*bounds), lambda _, values: choice(values)
            ),
            metric="psnr",
            time_attr="epoch",
            max_t=EPOCHS,
            grace_period=first,
            reduction_factor=_ETA,
            do_minimize=False,
            random_seed=seed,
        )
        self._continued: list[tuple[Any, int]] = []

    def ask(self) -> Step:
        trial, epoch = self._continued.pop() if self._continued else (self._next(), 0)
        return self._step(trial.trial_id, trial.config, epoch + 1, trial)

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:  # noqa: ARG002
        result = {"psnr": self._take_in(step, scores), "epoch": step.epoch}
        trial = self._asked.pop(step)
        if self._scheduler.on_trial_result(trial, result) == "CONTINUE":
            self._continued.append((trial, step.epoch))
        else:
            self._scheduler.on_trial_remove(trial)

    def _next(self) -> Any:
        trial = self._new(len(self._reached), self._scheduler.suggest().config)
        self._scheduler.on_trial_add(trial)
        return trial


class Smac(_Peer):
    """SMAC's multi-fidelity facade: a random forest, and Hyperband.

    It ends when it finds no more configurations that it has not asked for.
    """

    def __init__(self, space: str, seed: int) -> None:
        from smac import MultiFidelityFacade, Scenario
        from smac.runhistory import TrialValue

        super().__init__(space, seed)
        self._value = TrialValue
        with tempfile.TemporaryDirectory() as folder:
            scenario = Scenario(
                _config_space(space, seed),
                min_budget=1,
                max_budget=EPOCHS,
                seed=seed,
                output_directory=Path(folder),
            )
            self._facade = MultiFidelityFacade(
                scenario,
                lambda config, seed, budget: 0.0,  # noqa: ARG005
                intensifier=MultiFidelityFacade.get_intensifier(scenario, eta=_ETA),
                logging_level=False,
                overwrite=True,
            )

    def ask(self) -> Step | None:
        try:
            info = self._facade.ask()
        except StopIteration:
            return None
        return self._step(info.config, info.config, info.budget, info)

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:
        value = self._value(cost=-self._take_in(step, scores), time=seconds)
        self._facade.tell(self._asked.pop(step), value, save=False)


class Dehb(_Peer):
    """DEHB: differential evolution, and Hyperband."""

    def __init__(self, space: str, seed: int, first: int = 1) -> None:
        from dehb import DEHB
        from loguru import logger

        super().__init__(space, seed)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
            self._dehb = DEHB(
                cs=_config_space(space, seed),
                min_fidelity=first,
                max_fidelity=EPOCHS,
                eta=_ETA,
                n_workers=1,  # of its own; it is asked and told here
                seed=seed,
                save_freq="end",
                output_path=folder,
            )
            logger.remove()  # its file

    def ask(self) -> Step:
        job = self._dehb.ask()
        return self._step(int(job["config_id"]), job["config"], job["fidelity"], job)

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:
        result = {"fitness": -self._take_in(step, scores), "cost": seconds}
        self._dehb.tell(self._asked.pop(step), result)


class Neps(_Peer):
    """An algorithm of NePS, without priors.

    PriorBand fails where no good configuration is likely under its distributions (0/0); it is asked
    again after the next score, and ends if none is awaited.
    """

    def __init__(self, name: str, space: str, seed: int, first: int = 1, **settings: Any) -> None:
        import neps

        super().__init__(space, seed)
        searched = _converted(
            space,
            lambda _, *bounds: neps.HPOInteger(*bounds),
            lambda _, values: neps.HPOCategorical(values),
        )
        epochs = neps.HPOInteger(first, EPOCHS, is_fidelity=True)
        make = getattr(neps.algorithms, name)
        self._neps = neps.AskAndTell(
            make(neps.SearchSpace({**searched, "epochs": epochs}), eta=_ETA, **settings)
        )

    def ask(self) -> Step | None:
        try:
            trial = self._neps.ask()
        except AssertionError:
            return None
        key, _, _ = trial.metadata.id.partition("_rung_")
        return self._step(key, trial.config, trial.config["epochs"], trial)

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:  # noqa: ARG002
        self._neps.tell(self._asked.pop(step), -self._take_in(step, scores))


class Ax(_Peer):
    """Ax's Gaussian process, and its rule that stops a trial below the median, from epoch 10 on."""

    def __init__(self, space: str, seed: int) -> None:
        from ax.api.client import Client
        from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
        from ax.exceptions.core import DataRequiredError

        super().__init__(space, seed)
        self._waits = DataRequiredError
        self._client = Client(random_seed=seed)
        parameters = _converted(
            space,
            lambda name, *bounds: RangeParameterConfig(name, bounds, "int"),
            lambda name, values: ChoiceParameterConfig(name, values, "int", is_ordered=False),
        )
        self._client.configure_experiment(list(parameters.values()))
        self._client.configure_optimization("psnr")
        self._continued: list[tuple[Any, int]] = []

    def ask(self) -> Step | None:
        if self._continued:
            trial, epoch = self._continued.pop()
        else:
            try:
                [trial] = self._client.get_next_trials(1).items()
            except self._waits:
                return None
            epoch = 0
        number, indices = trial
        return self._step(number, indices, epoch + 1, trial)

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:  # noqa: ARG002
        trial, data = self._asked.pop(step), {"psnr": self._take_in(step, scores)}
        number, _ = trial
        self._client.attach_data(number, data, step.epoch)
        if step.epoch == EPOCHS:
            self._client.complete_trial(number)
        elif self._client.should_stop_trial_early(number):
            self._client.mark_trial_early_stopped(number)
        else:
            self._continued.append((trial, step.epoch))


def _converted(
    space: str,
    integer: Callable[[str, int, int], Any],
    categorical: Callable[[str, list[Any]], Any],
) -> dict[str, Any]:
    """The space in another library's terms."""
    return {
        name: integer(name, found.low, found.high)
        if isinstance(found, IntDistribution)
        else categorical(name, list(found.choices))
        for name, found in distributions(space).items()
    }


def _config_space(space: str, seed: int) -> Any:
    import ConfigSpace

    found = ConfigSpace.ConfigurationSpace(seed=seed)
    parameters = _converted(
        space,
        lambda name, *bounds: ConfigSpace.UniformIntegerHyperparameter(name, *bounds),
        ConfigSpace.CategoricalHyperparameter,
    )
    found.add(*parameters.values())
    return found


class Peer(NamedTuple):
    """A method and the library, as packages name it, that it needs."""

    library: str
    make: Callable[[str, int], Method]


_NEPS = "neural-pipeline-search"
PEERS: Mapping[str, Peer] = {
    "Syne Tune, ASHA": Peer("syne-tune", partial(SyneTune, "ASHA")),
    "Syne Tune, ASHA from epoch 3": Peer("syne-tune", partial(SyneTune, "ASHA", first=3)),
    "Syne Tune, ASHA + BORE": Peer("syne-tune", partial(SyneTune, "ASHABORE")),
    "Syne Tune, BOHB": Peer("syne-tune", partial(SyneTune, "BOHB")),
    "Syne Tune, BOHB from epoch 3": Peer("syne-tune", partial(SyneTune, "BOHB", first=3)),
    "SMAC, Hyperband": Peer("smac", Smac),
    "DEHB": Peer("dehb", Dehb),
    "DEHB from epoch 3": Peer("dehb", partial(Dehb, first=3)),
    "Ax, early stopping": Peer("ax-platform", Ax),
    "NePS, ASHA": Peer(_NEPS, partial(Neps, "asha")),
    "NePS, ASHA from epoch 3": Peer(_NEPS, partial(Neps, "asha", first=3)),
    "NePS, Hyperband (its default)": Peer(_NEPS, partial(Neps, "hyperband")),
    "NePS, PriorBand": Peer(_NEPS, partial(Neps, "priorband")),
    "NePS, PriorBand, ASHA": Peer(_NEPS, partial(Neps, "priorband", base="asha")),
}
# Seconds a search or more: fewer seeds.
SLOW = ("Syne Tune, ASHA + BORE", "SMAC, Hyperband", "Ax, early stopping")
