"""Trainings that share a process: in turns on a CPU, side by side on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch

from tuning.training.loop import Diverged, EpochResult

Turns = Iterator[EpochResult | None]


def train_together(
    trainings: Mapping[str, Turns], device: str | torch.device
) -> Iterator[dict[str, EpochResult | Diverged]]:
    """Advance all trainings, each from `fit_in_turns`, by an epoch; yield what came of each.

    A training that ends or diverges leaves the others as they are. None of them is in the middle of
    an epoch when this yields. They share no weights, no optimizer and no random generator, so that
    on a CPU the numbers of each are those that it has alone, to the last bit. On a GPU each has a
    stream of its own, for the steps of small networks to fill it together.
    """
    device = torch.device(device)
    running = {name: (turns, _stream(device)) for name, turns in trainings.items()}
    while running:
        outcomes: dict[str, EpochResult | Diverged] = {}
        for are_read in (False, True):  # the steps of all, then the results of all
            for name, (turns, stream) in list(running.items()):
                try:
                    with _on(stream, are_read):
                        result = next(turns)
                except StopIteration:
                    del running[name]
                except Diverged as error:
                    outcomes[name] = error
                    del running[name]
                else:
                    if result is not None:
                        outcomes[name] = result
        if outcomes:
            yield outcomes


def _stream(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _on(stream: torch.cuda.Stream | None, then_read: bool) -> Iterator[None]:
    """Let a GPU work on `stream`, behind what the caller's stream has begun.

    With `then_read`, the caller may use the results: its own stream waits for them.
    """
    if stream is None:
        yield
        return
    callers = torch.cuda.current_stream(stream.device)
    stream.wait_stream(callers)
    with torch.cuda.stream(stream):
        yield
    if then_read:
        callers.wait_stream(stream)
