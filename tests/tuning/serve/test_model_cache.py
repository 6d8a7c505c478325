"""Models in memory: who is champion now, and what happens while the registry is unavailable."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tuning.errors import ChromatuneError
from tuning.serve import model_cache as cache_module
from tuning.serve.model_cache import ModelCache
from tuning.tracking.registry.catalog import ModelCard, RegistryError
from tuning.tracking.registry.colorizers import Choice


def champion(dataset: str, version: int) -> ModelCard:
    name = f"{dataset}-colorizer"
    return ModelCard(
        f"models:/{name}/{version}", name, version, dataset, "colorizer", ("champion",)
    )


class Registry:
    """A registry that can be changed, counts questions, and can be out of reach."""

    def __init__(self) -> None:
        self.versions = {"faces": 1, "synthetic-faces": 1}
        self.questions: list[str] = []
        self.loaded: list[str] = []
        self.is_down = False

    def _ask(self, question: str) -> None:
        self.questions.append(question)
        if self.is_down:
            raise RegistryError("no connection")

    def list_models(self, uri: str, task: str) -> list[ModelCard]:
        assert (uri, task) == ("sqlite:///here", "colorizer")
        self._ask("list")
        return [champion(dataset, version) for dataset, version in self.versions.items()]

    def choose_mode(self, mode: str, uri: str) -> Choice:
        assert uri == "sqlite:///here"
        self._ask(mode)
        if mode not in self.versions:
            raise ChromatuneError(f"no champion for the mode '{mode}' yet")
        return Choice(champion(mode, self.versions[mode]), None)

    def load_colorizer(self, choice: Choice, uri: str, device: str) -> Any:
        assert (uri, device) == ("sqlite:///here", "cpu")
        self.loaded.append(choice.colorizer.uri)
        return object(), ""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    registry = Registry()
    for name in ("list_models", "choose_mode", "load_colorizer"):
        monkeypatch.setattr(cache_module, name, getattr(registry, name))
    world = SimpleNamespace(registry=registry, now=0.0)
    world.cache = ModelCache("sqlite:///here", "cpu", clock=lambda: world.now)
    return world


def test_a_new_champion_is_served_and_a_removed_one_is_not_after_two_seconds(world: Any) -> None:
    assert world.cache.choose("faces", None).colorizer.version == 1
    world.registry.versions["faces"] = 2
    world.now = 1.9
    assert world.cache.choose("faces", None).colorizer.version == 1
    world.now = 2.1
    assert world.cache.choose("faces", None).colorizer.version == 2
    assert world.registry.questions == ["faces", "faces"]
    del world.registry.versions["faces"]
    world.now = 5
    with pytest.raises(ChromatuneError, match="no champion"):
        world.cache.choose("faces", None)


def test_without_a_mode_it_is_the_first_one(world: Any) -> None:
    assert world.cache.choose(None, None).colorizer.dataset == "faces"
    world.now = 5
    del world.registry.versions["faces"]
    assert world.cache.choose(None, None).colorizer.dataset == "synthetic-faces"
    world.now = 10
    world.registry.versions.clear()
    with pytest.raises(ChromatuneError, match="no champion for the mode 'faces' yet"):
        world.cache.choose(None, None)


def test_known_answers_are_used_while_the_registry_is_unavailable(world: Any) -> None:
    world.cache.choose("faces", None)
    world.registry.is_down = True
    world.now = 100
    assert world.cache.choose("faces", None).colorizer.version == 1
    with pytest.raises(RegistryError):
        world.cache.choose("synthetic-faces", None)
    # Nor is it asked for every picture.
    world.now = 101
    world.cache.choose("faces", None)
    assert world.registry.questions.count("faces") == 2


def test_networks_are_loaded_once_and_the_last_used_are_kept(world: Any) -> None:
    choices = [Choice(champion("faces", version), None) for version in range(1, 6)]
    first = world.cache.load(choices[0])
    for choice in choices[1:4]:
        world.cache.load(choice)
    assert world.cache.load(choices[0]) is first
    world.cache.load(choices[4])  # a fifth: the one that was used longest ago goes
    assert world.cache.load(choices[0]) is first
    world.cache.load(choices[1])
    versions = [int(uri.rpartition("/")[2]) for uri in world.registry.loaded]
    assert versions == [1, 2, 3, 4, 5, 2]
