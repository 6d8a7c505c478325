"""How much of a GPU a training gets, by what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tuning.backend.searcher import trial_config

from tuning.backend import resources
from tuning.backend.resources import TrialShares, gpu_share, larger_share, memory_needed
from tuning.config.schema import ResourcesConfig
from tuning.launch.trainings import Cell, Training
from tuning.search.ledger import HandOut
from tuning.training.config import FitConfig
from tuning.training.data import TaskData

GIB = 1 << 30


def unet(width: int, batch_size: int = 32) -> FitConfig:
    return FitConfig(
        *("unet", "tanh", 1e-3),
        milestones=(2,),
        image_size=64,
        batch_size=batch_size,
        model_kwargs={"width": width},
    )


def test_a_wider_network_and_a_larger_batch_need_more() -> None:
    narrow, wide = memory_needed(unet(16), 0), memory_needed(unet(48), 0)
    assert narrow < wide
    # What does not depend on the batch: weights and the context. The rest doubles with it.
    once, twice, thrice = (memory_needed(unet(48, 32 * n), 0) for n in (1, 2, 3))
    assert thrice - twice == pytest.approx(twice - once, rel=1e-6)
    assert memory_needed(unet(48), GIB) == memory_needed(unet(48), 0) + GIB


def test_what_is_needed_covers_what_a_step_holds() -> None:
    """The outputs of all layers of an autoencoder, counted by hand from its widths."""
    fit = FitConfig("autoencoder", "tanh", 1e-3, milestones=(2,), image_size=64, batch_size=10)
    sides = [(8, 32), (16, 16), (32, 8), (32, 4)]
    encoder = sum(3 * channels * side**2 for channels, side in sides) + 3 * 64
    decoder = 2 * (32 * 16 + 32 * 64 + 16 * 256 + 8 * 1024) + 2 * 4096
    by_hand = 4 * 10 * (encoder + decoder)
    assert memory_needed(fit, 0) - GIB > 2 * by_hand
    assert memory_needed(fit, 0) - GIB < 12 * by_hand + 24 * 1_000_000 * 1.25


@pytest.mark.parametrize(
    ("needed", "share"), [(1, 1 / 16), (5, 1 / 16), (6, 1 / 8), (40, 1 / 2), (41, 1), (500, 1)]
)
def test_the_smallest_share_that_fits_is_taken(needed: int, share: float) -> None:
    assert gpu_share(needed * GIB, 80 * GIB) == share


def test_a_share_that_was_too_small_is_doubled_and_a_whole_gpu_is_the_end() -> None:
    assert larger_share(1 / 16) == 1 / 8
    assert larger_share(0.3) == 0.5
    assert larger_share(1.0) is None


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float, int | None], None]:
    """A node of so many cores and GPUs, each with so many bytes."""

    def make(cpus: float, gpus: float, memory: int | None) -> None:
        node = {"Alive": True, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}
        monkeypatch.setattr("tuning.backend.cluster.ray.nodes", lambda: [node])
        monkeypatch.setattr(resources, "smallest_gpu", lambda: memory)

    return make


@pytest.fixture
def data(make_data: Callable[..., TaskData]) -> TaskData:
    return make_data("colorizer")


def config_of(fit: FitConfig, gpus: float | None = None) -> dict[str, Any]:
    training = Training("0000-unet-tanh", fit, (Cell("0000-unet-tanh", 2),))
    return trial_config(HandOut(training, 0, gpus=gpus))


def test_ray_is_told_the_share_of_each_training(cluster: Any, data: TaskData) -> None:
    cluster(16, 1, 24 * GIB)
    shares = TrialShares(ResourcesConfig(), data)
    small = shares(config_of(unet(16, 8))).required_resources
    large = shares(config_of(unet(48, 512))).required_resources
    assert small == {"CPU": 1.0, "GPU": 1 / 16}
    assert large["GPU"] > small["GPU"]
    # After it ran out of memory:
    assert shares(config_of(unet(16, 8), gpus=1 / 8)).required_resources["GPU"] == 1 / 8


def test_gpus_per_trial_overrides_what_is_needed(cluster: Any, data: TaskData) -> None:
    cluster(16, 1, 24 * GIB)
    shares = TrialShares(ResourcesConfig(gpus_per_trial=0.5), data)
    assert shares(config_of(unet(16, 8))).required_resources["GPU"] == 0.5


def test_without_gpus_all_trials_are_alike(cluster: Any, data: TaskData) -> None:
    cluster(2, 0, None)
    shares = TrialShares(ResourcesConfig(), data)
    assert shares(config_of(unet(48, 512))).required_resources == {"CPU": 1.0}
    one = (unet(16), None)
    assert shares.has_room([])
    assert shares.has_room([one])
    assert not shares.has_room([one, one])


def test_where_nodes_come_with_the_work_one_trial_waits_for_them(
    cluster: Any, data: TaskData, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(2, 0, None)
    monkeypatch.setattr(resources, "may_grow", lambda: True)
    shares = TrialShares(ResourcesConfig(), data)
    one = (unet(16), None)
    assert shares.has_room([one, one])
    assert not shares.has_room([one, one, one])


def test_there_is_room_until_the_shares_are_taken(cluster: Any, data: TaskData) -> None:
    cluster(16, 1, 24 * GIB)
    shares = TrialShares(ResourcesConfig(), data)
    small = (unet(16, 8), None)
    assert shares.has_room([small] * 15)
    assert not shares.has_room([small] * 16)
    assert shares.has_room([(unet(16, 8), 0.5), *[small] * 7])
    assert not shares.has_room([(unet(16, 8), 0.5), *[small] * 8])
    limited = TrialShares(ResourcesConfig(max_concurrent_trials=2), data)
    assert limited.has_room([small])
    assert not limited.has_room([small, small])
