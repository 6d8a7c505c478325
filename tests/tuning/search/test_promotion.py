"""Which trials pause and which go on: scripted learning curves, kills after any of their epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from tuning.config.search import SearchConfig
from tuning.search.promotion import Promotion, Trained
from tuning.search.ranking_table import SearchTable
from tuning.search.rung_sampler import RungSampler
from tuning.search.samplers import make_sampler
from tuning.search.space import Parameter, Space
from tuning.search.summary import summaries

MakeScript = Callable[..., Any]
EPOCHS = 9


def paused(number: int, *scores: float, **changes: Any) -> Trained:
    """A trial of nine epochs that was validated after epochs 1, 3 and 9, and is paused."""
    by_epoch = dict(zip((1, 3, 9), scores, strict=False))
    return Trained(number, by_epoch, EPOCHS, **{"is_paused": True, **changes})


def test_the_best_third_of_a_rung_goes_on_the_highest_rung_first() -> None:
    promotion = Promotion([1, 3], 3)
    trials = [paused(0, 20.0), paused(1, 22.0)]
    assert promotion.choose(trials) is None  # a third of two is none
    trials.append(paused(2, 21.0))
    chosen = promotion.choose(trials)
    assert chosen is not None
    assert chosen.number == 1
    trials[1] = paused(1, 22.0, 25.0)
    assert promotion.choose(trials) is None  # one of three has gone on
    trials += [paused(3, 23.0, 26.0), paused(4, 19.0), paused(5, 19.0, 24.0)]
    chosen = promotion.choose(trials)
    assert chosen is not None
    assert chosen.number == 3  # a rung higher than the second best of epoch 1, which is there


def test_a_trial_that_was_passed_over_goes_on_when_worse_ones_follow() -> None:
    promotion = Promotion([1], 3)
    trials = [paused(0, 25.0), paused(1, 24.0), paused(2, 20.0)]
    trials[0] = paused(0, 25.0, 26.0, is_paused=False)
    assert promotion.choose(trials) is None
    trials += [paused(number, 19.0) for number in (3, 4, 5)]
    chosen = promotion.choose(trials)
    assert chosen is not None
    assert chosen.number == 1


def test_without_new_trials_the_best_of_each_rung_goes_on_to_the_end() -> None:
    promotion = Promotion([1, 3], 3)
    trials = [paused(0, 20.0), paused(1, 22.0)]
    chosen = promotion.choose(trials, finishes=True)
    assert chosen is not None
    assert chosen.number == 1
    trials[1] = paused(1, 22.0, 23.0)
    chosen = promotion.choose(trials, finishes=True)
    assert chosen is not None
    assert chosen.number == 1
    trials[1] = paused(1, 22.0, 23.0, 24.0, is_paused=False)
    assert promotion.choose(trials, finishes=True) is None


def test_rungs_know_the_warmup_the_bracket_and_the_length_of_a_trial() -> None:
    promotion = Promotion([1, 3], 3, brackets=3)
    froms = [promotion.judged_from(number, 0.0, EPOCHS) for number in range(4)]
    assert froms == [1, 3, EPOCHS, 1]
    assert promotion.judged_from(0, 0.3 * EPOCHS, EPOCHS) == 3
    assert [promotion.next_rung(Trained(0, {}, EPOCHS, since)) for since in froms] == [1, 3, 9, 1]
    assert promotion.next_rung(Trained(0, {1: 0.0}, epochs=2)) == 2
    rising = paused(0, 99.0, judged_from=3)
    assert promotion.choose([rising, paused(1, 1.0), paused(2, 2.0)], finishes=True) == paused(
        2, 2.0
    )


def test_trials_are_compared_at_the_highest_rung_that_enough_have_reached() -> None:
    promotion = Promotion([1, 3], 3)
    trials = [
        paused(0, 20.0, 22.0, 25.0),
        paused(1, 20.0, 24.0),
        paused(2, 21.0),
        paused(3, -math.inf),
        paused(4, 22.0, judged_from=3),
        Trained(5, {}, EPOCHS),
    ]
    assert promotion.comparable(trials, 1) == {0: 25.0}
    assert promotion.comparable(trials, 2) == {0: 22.0, 1: 24.0}
    assert promotion.comparable(trials, 3) == {0: 20.0, 1: 20.0, 2: 21.0}
    assert promotion.comparable(trials, 9) == {0: 20.0, 1: 20.0, 2: 21.0}
    trials += [paused(number, 10.0) for number in (6, 7, 8)]
    assert promotion.comparable(trials, 1) == {0: 22.0, 1: 24.0}  # one of six has ended
    trials.append(paused(9, 10.0))
    assert set(promotion.comparable(trials, 1)) == {0, 1, 2, 6, 7, 8, 9}


def curve(rate: float) -> Iterator[float]:
    """PSNR after each epoch: the best rate is 1e-3, and shows from epoch 3 on."""
    distance = abs(math.log10(rate) + 3)
    for epoch in range(1, EPOCHS + 1):
        yield 20 + 5 * (1 - math.exp(-epoch / 3)) - distance * min(epoch, 3)


class Search:
    """A scripted search on one worker, killed after the scores that `kills` counts."""

    def __init__(self, script: Any, kills: tuple[int, ...] = ()) -> None:
        self.script, self.kills = script, set(kills)
        self.trained: list[tuple[str, int]] = []

    def run(self) -> list[tuple[str, int]]:
        """Train until the search is over; return every epoch that was trained, in order."""
        reached: dict[str, int] = {}
        while (assignment := self.script.ledger.next()) is not None:
            name = assignment.training_id
            values = list(curve(assignment.training.fit.lr))
            if self._train(name, values, reached) == "killed":
                self.script.open()
        for training, outcome in self.script.ledger.stopped():
            name = training.training_id
            assert outcome == "pruned"
            self.script.write_cell(name, list(curve(training.fit.lr))[: reached[name]], outcome)
            self.script.ledger.ended(name)
        assert self.script.ledger.is_over
        return self.trained

    def _train(self, name: str, values: list[float], reached: dict[str, int]) -> str:
        for epoch in range(reached.get(name, 0) + 1, EPOCHS + 1):
            reached[name] = epoch
            self.trained.append((name, epoch))
            verdict = self.script.ledger.observe(name, epoch, max(values[:epoch]))
            if len(self.trained) in self.kills:
                return "killed"
            if verdict == "pause":
                self.script.ledger.paused(name)
                return "paused"
        self.script.write_cell(name, values)
        self.script.ledger.ended(name)
        return "ended"


def make_search(
    script: MakeScript, space_of: Any, folder: str, *kills: int, total: int = 12, **search: Any
) -> Any:
    rate = {"type": "float", "low": 1e-5, "high": 1e-1, "log": True}
    space = space_of(lr=rate, epochs=EPOCHS)
    options = {"grace_period": 1, "sampler": "tpe", "sampler_options": {"n_startup_trials": 3}}
    return Search(script(folder=folder, space=space, total=total, **{**options, **search}), kills)


@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_every_epoch_is_trained_once_and_the_best_trial_to_its_end(
    scheduler: str, script: MakeScript, space_of: Any
) -> None:
    search = make_search(script, space_of, "whole", scheduler=scheduler)
    trained = search.run()
    assert len(set(trained)) == len(trained)
    trials = search.script.study.trials
    assert len(trials) == 12
    states = [trial.state for trial in trials]
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    last = [max(trial.intermediate_values) for trial in trials]
    if scheduler == "asha":
        assert set(last) == {1, 3, EPOCHS}
        at_first = sorted(trials, key=lambda trial: -trial.intermediate_values[1])
        assert max(at_first[0].intermediate_values) > 1  # the best of the first rung went on
        assert len(trained) < 12 * EPOCHS / 2
    finished = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
    assert max(finished) == max(trial.value for trial in trials)


def test_a_search_killed_after_any_epoch_decides_as_if_it_had_not_been(
    script: MakeScript, space_of: Any
) -> None:
    undisturbed = make_search(script, space_of, "undisturbed", total=7)
    expected = undisturbed.run()
    params = [trial.params for trial in undisturbed.script.study.trials]
    rng = np.random.default_rng(0)
    kills = [(after,) for after in range(1, len(expected) + 1)]
    kills += [tuple(rng.choice(len(expected), 5) + 1) for _ in range(2)]
    for number, after in enumerate(kills):
        killed = make_search(script, space_of, f"killed-{number}", *after, total=7)
        assert killed.run() == expected, after
        assert [trial.params for trial in killed.script.study.trials] == params, after


def test_suggestions_depend_on_trials_that_are_paused(script: MakeScript, space_of: Any) -> None:
    search = make_search(script, space_of, "paused")
    for _ in range(2):
        name = search.script.ledger.next().training_id
        assert search.script.ledger.observe(name, 1, 20.0) == "pause"
        search.script.ledger.paused(name)
    search.script.ledger.next()
    sampler = search.script.study.sampler
    assert isinstance(sampler, RungSampler)
    learnt = sampler._learnt(search.script.study)[0].trials[:2]
    known = [trial.params for trial in search.script.study.trials[:2]]
    assert [(trial.params, trial.value) for trial in learnt] == [(p, 20.0) for p in known]


class Costs(Space):
    """A space of choices alone, whose `constants` have what each value of x costs."""

    def walk(self, choose: Callable[[Parameter], Any]) -> dict[str, Any]:
        return {parameter.name: choose(parameter) for parameter in self.parameters}

    def cost(self, values: Mapping[str, Any]) -> float:
        return float(self.constants.get(values["x"], 1.0))


def suggested(
    sampler: str, count: int, start: int, space: Space, score: Callable[[Any], float]
) -> list[Any]:
    """The values of x that a search suggests, whose trials end at once with `score`."""
    search = SearchConfig(space={"model": "cnn1"}, sampler=sampler)
    study = optuna.create_study(direction="maximize")
    for number in range(count):
        values = {trial.number: score(trial.params["x"]) for trial in study.trials}
        drawn_by = make_sampler(search, number, n_startup_trials=start)
        study.sampler = RungSampler(drawn_by, space, values, start, number)
        study.tell(study.ask({p.name: p.distribution for p in space.parameters}), 0.0)
    return [trial.params["x"] for trial in study.trials]


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_no_point_of_a_finite_space_is_tried_twice(sampler: str) -> None:
    among = Parameter("x", CategoricalDistribution(list(range(8))))
    tried = suggested(sampler, 8, 2, Costs("regression", 8, (among,), {}, {}), float)
    later = tried[2:]
    assert len(set(later)) == len(later)
    assert not set(tried[:2]) & set(later)


def test_a_choice_that_costs_nine_times_as_much_is_suggested_a_third_as_often() -> None:
    among = Parameter("x", CategoricalDistribution(["cheap", "dear"]))
    other = Parameter("y", FloatDistribution(0, 1))
    space = Costs("regression", 8, (among, other), {"dear": 9.0}, {})
    tried = suggested("tpe", 200, 200, space, lambda _: 0.0)
    # A quarter is expected, with a standard deviation of 3 %.
    assert 0.13 < tried.count("dear") / len(tried) < 0.37


def test_the_better_choice_is_suggested_most_although_it_costs_more() -> None:
    among = Parameter("x", CategoricalDistribution(["cheap", "dear"]))
    other = Parameter("y", FloatDistribution(0, 1))
    space = Costs("regression", 8, (among, other), {"dear": 4.0}, {})
    tried = suggested("tpe", 60, 20, space, lambda x: float(x == "dear"))
    assert tried[30:].count("dear") > 15


def test_paused_trials_are_counted(script: MakeScript, space_of: Any) -> None:
    search = make_search(script, space_of, "counted").script
    name = search.next().training_id
    assert search.ledger.observe(name, 1, 20.0) == "pause"
    search.ledger.paused(name)
    objectives = search.plan.objectives
    trials = summaries(search.launch, search.study, objectives)
    assert SearchTable("search", objectives, trials, {}).to_json()["counts"] == {"paused": 1}
