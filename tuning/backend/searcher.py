"""Ray Tune's way to the ledger: asked for a trial, it hands out the next training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from tuning.search.ledger import HandOut, Ledger


def trial_config(hand_out: HandOut) -> dict[str, Any]:
    """What a trial of Ray's is configured with: all in one value, which PBT changes as a whole."""
    return {
        "hand_out": {
            "training": hand_out.training.to_dict(),
            "attempt": hand_out.attempt,
            "checkpoints": list(hand_out.checkpoints),
            "gpus": hand_out.gpus,
        }
    }


class LedgerSearcher(Searcher):
    """Suggests what the ledger hands out, while `has_room` for one more; `begun` is told of each.

    Results come to the ledger through the watcher, which also knows why a trial ended: Ray tells a
    searcher neither that a trial was cut short nor what it failed of.
    """

    def __init__(
        self, ledger: Ledger, has_room: Callable[[], bool], begun: Callable[[HandOut], None]
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._has_room = has_room
        self._begun = begun

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it into the experiment folder; the study is what is kept

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # noqa: ARG002
        if not self._has_room():
            return None
        hand_out = self._ledger.next()
        if hand_out is not None:
            self._begun(hand_out)
            return trial_config(hand_out)
        return str(self.FINISHED) if self._ledger.is_over else None

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        pass
