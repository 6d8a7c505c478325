"""Models in memory: who is champion now, and what happens while the registry is unavailable."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tuning.serve.builders import card
from tuning.errors import ChromatuneError
from tuning.serve import model_cache as cache_module
from tuning.serve.model_cache import ModelCache
from tuning.tracking.registry.catalog import ModelCard, RegistryError
from tuning.tracking.registry.model_choice import Choice


class Registry:
    """A registry that can be changed, counts questions, and can be out of reach."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.versions = {"faces": 1, "synthetic-faces": 1}
        self.questions: list[str] = []
        self.loaded: list[int] = []
        self.is_down = False
        self.now = 0.0
        for name in ("list_models", "choose_mode", "load_colorizer"):
            monkeypatch.setattr(cache_module, name, getattr(self, name))
        self.cache = ModelCache("sqlite:///here", "cpu", clock=lambda: self.now)

    def _ask(self, question: str) -> None:
        self.questions.append(question)
        if self.is_down:
            raise RegistryError("no connection")

    def list_models(self, *_: str) -> list[ModelCard]:
        self._ask("list")
        return [card(dataset, version) for dataset, version in self.versions.items()]

    def choose_mode(self, mode: str, _: str) -> Choice:
        self._ask(mode)
        if mode not in self.versions:
            raise ChromatuneError(f"no champion for the mode '{mode}' yet")
        return Choice(card(mode, self.versions[mode]), None)

    def load_colorizer(self, choice: Choice, *_: str) -> Any:
        self.loaded.append(choice.colorizer.version or 0)
        return object(), ""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(monkeypatch)


def test_new_and_removed_champions_are_noticed_after_two_seconds(
    world: Registry,
) -> None:
    assert world.cache.choose("faces", None).colorizer.version == 1
    world.versions["faces"] = 2
    world.now = 1.9
    assert world.cache.choose("faces", None).colorizer.version == 1
    world.now = 2.1
    assert world.cache.choose("faces", None).colorizer.version == 2
    assert world.questions == ["faces", "faces"]
    del world.versions["faces"]
    world.now = 5
    with pytest.raises(ChromatuneError, match="no champion"):
        world.cache.choose("faces", None)


def test_without_a_mode_it_is_the_first_one(world: Registry) -> None:
    assert world.cache.choose(None, None).colorizer.dataset == "faces"
    world.now = 5
    del world.versions["faces"]
    assert world.cache.choose(None, None).colorizer.dataset == "synthetic-faces"
    world.now = 10
    world.versions.clear()
    with pytest.raises(ChromatuneError, match="no champion for the mode 'faces' yet"):
        world.cache.choose(None, None)


def test_known_answers_are_used_while_the_registry_is_unavailable(world: Registry) -> None:
    world.cache.choose("faces", None)
    world.is_down = True
    world.now = 100
    assert world.cache.choose("faces", None).colorizer.version == 1
    with pytest.raises(RegistryError):
        world.cache.choose("synthetic-faces", None)
    # Nor is it asked for every picture.
    world.now = 101
    world.cache.choose("faces", None)
    assert world.questions.count("faces") == 2


def test_networks_are_loaded_once_and_the_last_used_are_kept(world: Registry) -> None:
    choices = [Choice(card("faces", version), None) for version in range(1, 6)]
    first = world.cache.load(choices[0])
    for choice in choices[1:4]:
        world.cache.load(choice)
    assert world.cache.load(choices[0]) is first
    world.cache.load(choices[4])  # a fifth: the one that was used longest ago goes
    assert world.cache.load(choices[0]) is first
    world.cache.load(choices[1])
    assert world.loaded == [1, 2, 3, 4, 5, 2]
