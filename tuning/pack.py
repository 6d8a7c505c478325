"""Trainings that share a process: in turns on a CPU, side by side on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch

from tuning.engine import Diverged, EpochResult

Turns = Iterator[EpochResult | None]


def train_together(
    trainings: Mapping[str, Turns], device: str | torch.device
) -> Iterator[dict[str, EpochResult | Diverged]]:
    """Advance all trainings, each from `fit_in_turns`, by an epoch; yield what came of each.

    A training that ends or diverges leaves the others as they are. None of them is in the middle of
    an epoch when this yields, and the numbers of each are those that it has alone: they share no
    weights, no optimizer and no random generator. On a GPU each has a stream of its own, so that
    the steps of small networks fill it together.
    """
    device = torch.device(device)
    running = {name: (turns, _stream(device)) for name, turns in trainings.items()}
    while running:
        outcomes: dict[str, EpochResult | Diverged] = {}
        for _ in range(2):  # the steps of all, then the results of all
            for name, (turns, stream) in list(running.items()):
                try:
                    with stream:
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


def _stream(device: torch.device) -> contextlib.AbstractContextManager[object]:
    if device.type != "cuda":
        return contextlib.nullcontext()
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    # What prepared the training, on the default stream, comes first.
    stream.wait_stream(torch.cuda.current_stream(device))
    return torch.cuda.stream(stream)
