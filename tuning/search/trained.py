"""What a study knows of a trial: its training, its scores, and how far it has come."""

from __future__ import annotations

import math

from optuna.trial import FrozenTrial, TrialState

from tuning.search.distributions import decoded
from tuning.search.plan import SearchPlan
from tuning.search.promotion import Promotion, Trained
from tuning.training.config import FitConfig


def fit_of(trial: FrozenTrial, plan: SearchPlan) -> FitConfig:
    """The training of a trial, from its parameters."""
    values = plan.space.walk(lambda parameter: decoded(trial.params[parameter.name]))
    return plan.space.fit_config(values)


def scores(trial: FrozenTrial, plan: SearchPlan) -> dict[int, float]:
    """The best value of the first objective until each epoch that was validated."""
    several = len(plan.objectives) > 1
    stored = trial.user_attrs.get("scores", {}) if several else trial.intermediate_values
    # JSON has no numbers as keys.
    return {int(epoch): score for epoch, score in stored.items()}


def signed_scores(trial: FrozenTrial, plan: SearchPlan) -> dict[int, float]:
    """The same, where larger values are better."""
    sign = plan.objectives[0].sign
    return {epoch: sign * score for epoch, score in scores(trial, plan).items()}


def trained(
    trial: FrozenTrial,
    fit: FitConfig,
    plan: SearchPlan,
    promotion: Promotion,
    *,
    is_paused: bool = False,
) -> Trained:
    """How far a trial has come; one that failed is worse than all others."""
    warmup = fit.warmup * fit.epochs if fit.schedule == "onecycle" else 0.0
    signed = signed_scores(trial, plan)
    if trial.state == TrialState.FAIL:
        signed = dict.fromkeys(signed, -math.inf)
    judged_from = promotion.judged_from(trial.number, warmup, fit.epochs)
    return Trained(trial.number, signed, fit.epochs, judged_from, is_paused)
