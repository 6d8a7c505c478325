"""The registry as it is now, and the models that were used last, in memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

from models import ModelError, UntrustedCode
from tuning.errors import ChromatuneError
from tuning.inference.predict import Colorizer
from tuning.tracking.registry.catalog import ModelCard, RegistryError, list_models
from tuning.tracking.registry.model_choice import (
    Choice,
    champions,
    choose_mode,
    choose_model,
    load_colorizer,
)

Answer = TypeVar("Answer")

_FRESH_S = 2.0
_MAX_MODELS = 4


class ModelCache:
    """Looks champions up and keeps the models that were used last; thread-safe.

    Answers of the registry are reused for two seconds, so that a new champion is served almost at
    once without a query per image, and for longer while the registry is unavailable. `clock`
    returns seconds.
    """

    def __init__(
        self, tracking_uri: str, device: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.device = device
        self._uri = tracking_uri
        self._clock = clock
        self._answers: dict[tuple[str, str], tuple[float, object]] = {}
        self._models: OrderedDict[tuple[str, str], Colorizer] = OrderedDict()
        self._lock = threading.Lock()

    def versions(self) -> list[ModelCard]:
        """Every registered colorizer, by name, the newest first."""
        return self._ask(("versions", ""), lambda: list_models(self._uri, "colorizer"))

    def modes(self) -> dict[str, ModelCard]:
        """Datasets with a champion, and the champion."""
        return champions(self.versions())

    def choose(self, mode: str | None, model: str | None) -> Choice:
        """The model `model`, or the champions of `mode`, by default of the first mode.

        Raises ChromatuneError if there is no such model.
        """
        if model is not None:
            return self._ask(("model", model), lambda: choose_model(model, self._uri))
        wanted = mode or next(iter(self.modes()), "faces")
        return self._ask(("mode", wanted), lambda: choose_mode(wanted, self._uri))

    def load(self, choice: Choice) -> Colorizer:
        """The chosen networks, from memory or from the store; errors as of `load_colorizer`."""
        key = (choice.colorizer.uri, choice.regressor.uri if choice.regressor else "")
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key]
        colorizer, _ = load_colorizer(choice, self._uri, self.device)
        with self._lock:
            self._models[key] = colorizer
            while len(self._models) > _MAX_MODELS:
                self._models.popitem(last=False)
        return colorizer

    def refused(self) -> list[str]:
        """Load the champion of every mode, and say which bring code that is not trusted.

        Raises UntrustedCode if all of them do.
        """
        errors = []
        for mode in self.modes():
            try:
                self.load(self.choose(mode, None))
            except UntrustedCode as error:
                errors.append(error)
            except (ChromatuneError, ModelError):
                continue  # a request for it gets the reason
        if errors and len(errors) == len(self.modes()):
            raise errors[0]
        return [str(error) for error in errors]

    def _ask(self, question: tuple[str, str], query: Callable[[], Answer]) -> Answer:
        known = self._answers.get(question)
        if known is not None and self._clock() - known[0] < _FRESH_S:
            return cast(Answer, known[1])
        try:
            answer = query()
        except RegistryError:
            if known is None:
                raise
            answer = cast(Answer, known[1])
        self._answers[question] = (self._clock(), answer)
        return answer
