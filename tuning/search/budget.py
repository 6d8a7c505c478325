"""The budget of a search: trials, wall time, hours of devices."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from tuning.launch.limits import TimeLimit
from tuning.launch.storage import LaunchStorage

_FILE = "search.json"
_SAVE_EVERY_S = 30.0
_HOUR_S = 3600


@dataclasses.dataclass
class Spent:
    """Hours of devices held by trials, shares of a device in proportion."""

    gpu_hours: float = 0.0
    cpu_hours: float = 0.0


@dataclasses.dataclass(frozen=True)
class Allowance:
    """Trials and hours of devices that are allowed; None is no limit.

    `since` is how many trials had begun before.
    """

    num_samples: int
    gpu_hours: float | None = None
    cpu_hours: float | None = None
    since: int = 0


class Budget(TimeLimit):
    """Counts in `search.json` of the launch folder, so that nothing is lost by an interruption.

    `is_over` says whether all allowed trials have ended. Wall time starts with this object; `clock`
    returns seconds.
    """

    def __init__(
        self,
        storage: LaunchStorage,
        wall_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(wall_s, clock)
        self._storage = storage
        self._saved = clock()
        kept: Mapping[str, Any] = storage.read_json(_FILE) if storage.exists(_FILE) else {}
        self.allowance = Allowance(**kept.get("allowance", {"num_samples": 0}))
        self._spent = Spent(**kept.get("spent", {}))
        self.is_over = bool(kept.get("over", False))
        self._held: dict[str, tuple[float, float, float]] = {}

    @property
    def spent(self) -> Spent:
        """Hours spent until now, including running trials."""
        now = self._clock()
        total = dataclasses.replace(self._spent)
        for since, cpus, gpus in self._held.values():
            _add(total, now - since, cpus, gpus)
        return total

    def allow(self, more: Allowance) -> None:
        """Allow more trials, and hours from now on."""
        spent = self.spent
        self.allowance = Allowance(
            self.allowance.num_samples + more.num_samples,
            _on_top(spent.gpu_hours, more.gpu_hours),
            _on_top(spent.cpu_hours, more.cpu_hours),
            more.since,
        )
        self.is_over = False
        self.save()

    def restore(self, allowance: Allowance, *, is_over: bool) -> None:
        """Undo `allow`, for trials that were not started."""
        self.allowance, self.is_over = allowance, is_over
        self.save()

    def ended(self, *, is_over: bool) -> None:
        self.is_over = is_over
        self.save()

    def trial_began(self, name: str, cpus: float, gpus: float) -> None:
        self.trial_ended(name)
        self._held[name] = (self._clock(), cpus, gpus)

    def trial_ended(self, name: str) -> None:
        if name in self._held:
            since, cpus, gpus = self._held.pop(name)
            _add(self._spent, self._clock() - since, cpus, gpus)
            self._note()

    def used_up(self) -> str | None:
        if self._clock() - self._saved >= _SAVE_EVERY_S:
            self._note()
        spent, allowance = self.spent, self.allowance
        if reason := super().used_up():
            return reason
        if allowance.gpu_hours is not None and spent.gpu_hours >= allowance.gpu_hours:
            return f"the budget of {allowance.gpu_hours:g} GPU hours is used up"
        if allowance.cpu_hours is not None and spent.cpu_hours >= allowance.cpu_hours:
            return f"the budget of {allowance.cpu_hours:g} CPU hours is used up"
        return None

    def save(self) -> None:
        self._saved = self._clock()
        self._storage.write_json(
            _FILE,
            {
                "allowance": dataclasses.asdict(self.allowance),
                "spent": dataclasses.asdict(self.spent),
                "over": self.is_over,
            },
        )

    def _note(self) -> None:
        """Save while trials run, which a full or unavailable storage must not end."""
        with contextlib.suppress(OSError):
            self.save()


def _add(total: Spent, seconds: float, cpus: float, gpus: float) -> None:
    total.cpu_hours += seconds * cpus / _HOUR_S
    total.gpu_hours += seconds * gpus / _HOUR_S


def _on_top(spent: float, more: float | None) -> float | None:
    return None if more is None else spent + more
