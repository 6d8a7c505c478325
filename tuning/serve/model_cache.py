"""Models in memory, always those that the registry names now."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

from tuning.inference.colorizer import Colorizer
from tuning.tracking.registry.catalog import ModelCard, RegistryError, list_models
from tuning.tracking.registry.colorizers import (
    Choice,
    champions,
    choose_mode,
    choose_model,
    load_colorizer,
)

Found = TypeVar("Found")

_FRESH_S = 2.0
_KEPT = 4


class ModelCache:
    """Looks champions up and keeps the networks that were used last; safe from any thread.

    What the registry said is believed for two seconds, so a new champion is served almost at once
    without one question for each picture. While the registry does not answer, what was known last
    goes on. `clock` returns seconds.
    """

    def __init__(
        self, tracking_uri: str, device: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._uri = tracking_uri
        self._device = device
        self._clock = clock
        self._answers: dict[tuple[str, str], tuple[float, object]] = {}
        self._networks: OrderedDict[tuple[str, str], Colorizer] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def device(self) -> str:
        return self._device

    def versions(self) -> list[ModelCard]:
        """Every registered colorizer, by name, the newest first."""
        return self._asked(("versions", ""), lambda: list_models(self._uri, "colorizer"))

    def modes(self) -> dict[str, ModelCard]:
        """Datasets with a champion, and the champion."""
        return champions(self.versions())

    def choose(self, mode: str | None, model: str | None) -> Choice:
        """The champions of `mode`, or the model `model` names, else those of the first mode.

        Raises ChromatuneError if there is no such thing.
        """
        if model is not None:
            return self._asked(("model", model), lambda: choose_model(model, self._uri))
        if mode is None:
            mode = next(iter(self.modes()), "faces")
        wanted = mode
        return self._asked(("mode", wanted), lambda: choose_mode(wanted, self._uri))

    def load(self, choice: Choice) -> Colorizer:
        """The networks of a choice, from memory or from the store; errors as `load_colorizer`."""
        key = (choice.colorizer.uri, choice.regressor.uri if choice.regressor else "")
        with self._lock:
            if key in self._networks:
                self._networks.move_to_end(key)
                return self._networks[key]
        colorizer, _ = load_colorizer(choice, self._uri, self._device)
        with self._lock:
            self._networks[key] = colorizer
            while len(self._networks) > _KEPT:
                self._networks.popitem(last=False)
        return colorizer

    def _asked(self, question: tuple[str, str], ask: Callable[[], Found]) -> Found:
        """Answer from the last two seconds, else by `ask`; a registry out of reach is forgiven."""
        known = self._answers.get(question)
        if known is not None and self._clock() - known[0] < _FRESH_S:
            return cast(Found, known[1])
        try:
            answer = ask()
        except RegistryError:
            if known is None:
                raise
            answer = cast(Found, known[1])
        self._answers[question] = (self._clock(), answer)
        return answer
