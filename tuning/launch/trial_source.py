"""Where the trials of a launch come from: a fixed list, or a search that suggests them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, Protocol

from tuning.launch.checkpoint_choice import Assignment, next_attempt
from tuning.launch.folder import Launch
from tuning.launch.outcomes import has_ended
from tuning.launch.trainings import Training

# What becomes of a trial after a score: it trains on, is paused, or stops for good.
Verdict = Literal["train", "pause", "stop"]


class TrialSource(Protocol):
    """Hands out trainings, and is informed how each of them ends.

    A backend asks for the `next` one whenever it has room for a trial. What is handed out stays
    `live` until `ended`, `failed`, `paused` or `requeue` is called for it. Not thread-safe.
    """

    @property
    def live(self) -> Sequence[Assignment]:
        """What is handed out and has not ended."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is live and nothing is left to hand out."""

    @property
    def is_fixed(self) -> bool:
        """Whether what is handed out does not depend on results, so that it may be queued."""

    def next(self) -> Assignment | None:
        """Return the next training; None if there is none at present."""

    def observe(self, training_id: str, epoch: int, score: float) -> Verdict:
        """Take in the best score of a live training until `epoch`; return how it goes on."""

    def ended(self, training_id: str) -> None:
        """Take note that a live or paused training has left its last cell in the launch folder."""

    def paused(self, training_id: str) -> None:
        """Take note that a live training has saved its state and may be handed out again."""

    def failed(self, training_id: str, outcome: str, message: str) -> None:
        """Take note that a live training `diverged` or `failed` for good."""

    def requeue(self, training_id: str) -> None:
        """Hand a live training out again, to resume from its checkpoints."""

    def stopped(self) -> Sequence[tuple[Training, str]]:
        """Take note that the launch stops; return unfinished trainings whose best is to be kept.

        With each comes its outcome: `stopped`, or `pruned` if it is never handed out again.
        """


class FixedTrials:
    """The trainings of a launch, or those given, that have not ended, in their order."""

    is_fixed = True

    def __init__(self, launch: Launch, trainings: Sequence[Training] | None = None) -> None:
        self._storage = launch.storage
        self._waiting = deque(
            next_attempt(self._storage, training)
            for training in (launch.trainings if trainings is None else trainings)
            if not has_ended(self._storage, training)
        )
        self._live: dict[str, Assignment] = {}

    @property
    def live(self) -> Sequence[Assignment]:
        return list(self._live.values())

    @property
    def is_over(self) -> bool:
        return not self._live and not self._waiting

    def next(self) -> Assignment | None:
        if not self._waiting:
            return None
        assignment = self._waiting.popleft()
        self._live[assignment.training_id] = assignment
        return assignment

    def observe(self, training_id: str, epoch: int, score: float) -> Verdict:  # noqa: ARG002
        return "train"  # fixed trials do not depend on scores

    def ended(self, training_id: str) -> None:
        del self._live[training_id]

    def paused(self, training_id: str) -> None:
        self.requeue(training_id)

    def failed(self, training_id: str, outcome: str, message: str) -> None:  # noqa: ARG002
        # A diverged training has recorded it; a failed one is tried again by the next resume.
        del self._live[training_id]

    def requeue(self, training_id: str) -> None:
        training = self._live.pop(training_id).training
        self._waiting.appendleft(next_attempt(self._storage, training))

    def stopped(self) -> Sequence[tuple[Training, str]]:
        return ()  # the cells of an unfinished training are those of its milestones
