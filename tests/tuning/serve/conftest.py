"""A server on a port of its own, with models that are made on the spot."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from tests.tuning.serve.builders import PATIENCE_S, TOKEN, card, painter, wait_until
from tuning.errors import ChromatuneError
from tuning.inference.predict import Colorizer
from tuning.serve.app import create_app
from tuning.serve.limits import ServeSettings
from tuning.serve.model_cache import ModelCache
from tuning.serve.server import address_of, open_socket
from tuning.tracking.registry.catalog import ModelCard
from tuning.tracking.registry.model_choice import Choice


class FakeCache(ModelCache):
    """A registry in memory: `faces` and `ncd` have champions, faces a regressor too."""

    def __init__(self) -> None:
        super().__init__("", "cpu")
        self.cards = [card("faces", 2), card("faces", 1, champion=False), card("ncd", 1)]
        self.colours = {"faces": (0.55, 0.56), "ncd": (0.45, 0.6)}
        self.gate = threading.Event()  # loading waits for it
        self.gate.set()

    def versions(self) -> list[ModelCard]:
        return self.cards

    def choose(self, mode: str | None, model: str | None) -> Choice:
        regressor = card("faces", 1, "regression")
        for entry in self.cards:
            if entry.uri == model or (model is None and entry.dataset == (mode or "faces")):
                return Choice(entry, regressor if entry.dataset == "faces" else None)
        raise ChromatuneError(f"no such thing: {mode or model}")

    def load(self, choice: Choice) -> Colorizer:
        assert self.gate.wait(PATIENCE_S)
        regressor = painter("cnn1", 0.52, 0.54) if choice.regressor else None
        return Colorizer(painter("autoencoder", *self.colours[choice.colorizer.dataset]), regressor)


@dataclasses.dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    cache: FakeCache


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Served]:
    """A server in a thread, with settings of its own."""
    cache = FakeCache()
    app = create_app(cache, ServeSettings(**settings))
    with open_socket("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield Served(address_of(listener), cache)
        finally:
            cache.gate.set()
            server.should_exit = True
            thread.join(PATIENCE_S)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start a server: `serve(max_waiting=1)`."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serving(**settings))


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    """One server for many requests, which asks for the token `TOKEN`."""
    with serving(token=TOKEN) as served:
        yield served
