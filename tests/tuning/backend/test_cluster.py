"""What a trial is given, on clusters that are only described, or cannot be joined."""

from __future__ import annotations

import contextlib
import platform
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

from tuning.backend import resources
from tuning.backend.cluster import _hangup_blocked, connected, lasting, starting
from tuning.backend.ray_tune import _train
from tuning.backend.resources import TrialShares, trial_resources, wait_for_nodes
from tuning.config.schema import ResourcesConfig
from tuning.errors import ChromatuneError
from tuning.launch.trial import TrialInputs


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put nodes of (CPUs, GPUs) where Ray would tell of real ones; a dead one is always there."""

    def put(*described: tuple[float, float]) -> None:
        found: list[dict[str, Any]] = [{"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]
        for cpus, gpus in described:
            resources = {"CPU": cpus, "GPU": gpus, "memory": 1e9}
            alive = {name: value for name, value in resources.items() if value}
            found.append({"Alive": True, "Resources": alive})
        monkeypatch.setattr(ray, "nodes", lambda: found)

    return put


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ([(2, 0)], (1.0, 0.0, 2)),
        ([(16, 1)], (1.0, 0.25, 4)),
        ([(2, 1)], (0.5, 0.25, 4)),  # fewer cores than GPU shares
        ([(8, 4)], (0.5, 0.25, 16)),
        ([(16, 1), (16, 1)], (1.0, 0.25, 8)),
        ([(16, 1), (2, 1)], (0.5, 0.25, 8)),  # the poorest node decides
        ([(16, 1), (4, 0)], (1.0, 0.25, 4)),  # a node without a GPU gets no trial
        ([(0, 0), (4, 0)], (1.0, 0.0, 4)),  # a head that computes nothing
    ],
)
def test_defaults_fit_the_cluster(
    described: list[tuple[float, float]],
    expected: tuple[float, float, int],
    nodes: Callable[..., None],
) -> None:
    nodes(*described)
    share = trial_resources(ResourcesConfig(), "cnn1")
    assert (share.cpus, share.gpus, share.slots) == expected


@pytest.mark.parametrize(
    ("wanted", "slots"),
    [
        ({"cpus_per_trial": 2.0}, 2),
        ({"cpus_per_trial": 0.5}, 4),
        ({"cpus_per_trial": 1.0, "gpus_per_trial": 1.0}, 1),
        ({"gpus_per_trial": 0.1}, 10),
        ({"gpus_per_trial": 0.0}, 4),
        ({"gpus_per_trial": 0.1, "max_concurrent_trials": 3}, 3),
        ({"cpus_per_trial": 4.0, "max_concurrent_trials": 3}, 1),
        ({"gpus_per_trial": {"cnn1": 0.5, "unet": 1.0}}, 2),
        ({"gpus_per_trial": {"unet": 1.0}}, 4),  # others get what is usual
    ],
)
def test_what_is_wanted_is_counted_in_slots(
    wanted: dict[str, Any], slots: int, nodes: Callable[..., None]
) -> None:
    nodes((4, 1))
    assert trial_resources(ResourcesConfig(**wanted), "cnn1").slots == slots


@pytest.mark.parametrize(
    ("wanted", "request_"),
    [
        ({"cpus_per_trial": 5.0}, "5 CPU and 0.25 GPU"),  # nodes are not added up
        ({"gpus_per_trial": 2.0}, "1 CPU and 2 GPU"),
        ({"cpus_per_trial": 4.0, "gpus_per_trial": 1.0}, "4 CPU and 1 GPU"),
    ],
)
def test_what_no_node_can_hold_is_refused(
    wanted: dict[str, Any], request_: str, nodes: Callable[..., None]
) -> None:
    nodes((4, 0), (2, 1))
    with pytest.raises(ChromatuneError) as refusal:
        trial_resources(ResourcesConfig(**wanted), "cnn1")
    assert f"a trial of {request_}" in str(refusal.value)
    assert "the nodes have: 4 CPU and 0 GPU; 2 CPU and 1 GPU" in str(refusal.value)


@pytest.mark.parametrize(
    ("running", "has_room"),
    [
        ([], True),
        (["cnn1"] * 3, True),
        (["cnn1"] * 4, False),
        (["unet", "cnn1"], True),
        (["unet", "cnn1", "cnn1"], False),
        (["unet", "unet"], False),
    ],
)
def test_there_is_room_until_the_shares_of_running_trials_add_up(
    running: list[str], has_room: bool, nodes: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes((16, 1))
    shares = TrialShares(ResourcesConfig(gpus_per_trial={"unet": 0.5}))
    assert shares.has_room(running) == has_room
    # Where nodes come with the work, one more trial may wait.
    monkeypatch.setattr(resources, "may_grow", lambda: True)
    assert shares.has_room(running)
    assert not shares.has_room(["unet", *["cnn1"] * 4])
    for model, gpus in (("unet", 0.5), ("cnn1", 0.25)):
        group = shares({"training": {"params": {"model": model}}})
        assert group.required_resources == {"CPU": 1.0, "GPU": gpus}


SOURCES = ("option", "variable", "job")


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not joined Ray yet, whatever other tests have done."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fault", ["nobody", "silent", "web server", "port", "versions"])
def test_a_cluster_that_cannot_be_joined_is_told_with_what_has_named_it(
    fault: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        if fault in ("nobody", "port"):
            address = "127.0.0.1:1" if fault == "nobody" else "127.0.0.1:99999"
        elif fault == "web server":
            threading.Thread(target=_answer_as_a_web_server, args=[listener]).start()
        elif fault == "silent":
            monkeypatch.setattr("tuning.backend.cluster._ANSWER_WITHIN_S", 0.2)
        else:
            monkeypatch.setattr("tuning.backend.cluster._check_answers", lambda _: None)
            monkeypatch.setattr(ray, "init", _join_another_version)
        if source != "option":
            monkeypatch.setenv("RAY_ADDRESS", address)
        if source == "job":
            monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
        with (
            pytest.raises(ChromatuneError) as caught,
            connected(address if source == "option" else None),
        ):
            pytest.fail("joined")
    line = str(caught.value)
    assert address in line
    assert "\n" not in line
    assert ("RAY_ADDRESS" in line) == (source != "option")
    assert ("`unset RAY_ADDRESS`" in line) == (source == "variable")
    assert "--address" not in line.replace("`--address local`", "")  # nobody has to have given it
    says = {
        "silent": "timed out",
        "web server": "no Ray cluster",
        "port": "a port from 1 to 65535",
        "versions": (
            f"has Ray 2.9.3 and Python 3.10.12, but this command has Ray {ray.__version__} and "
            f"Python {platform.python_version()}: install the same"
        ),
    }
    assert says.get(fault, "refused") in line


@pytest.mark.usefixtures("no_ray")
def test_a_cluster_that_ray_has_written_down_may_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray._private.services, "find_gcs_addresses", set)
    monkeypatch.setattr(ray._private.services, "find_bootstrap_address", lambda _: "127.0.0.1:1")
    with pytest.raises(ChromatuneError, match=r"at \S+:1: .*refused"), connected("auto"):
        pytest.fail("joined")


def _answer_as_a_web_server(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _join_another_version(**_: Any) -> None:
    """As Ray does: these are its own words."""
    metadata = {"ray_version": "2.9.3", "python_version": "3.10.12"}
    ray._private.utils.check_version_info(metadata, "node 192.0.2.1")


@pytest.mark.usefixtures("no_ray")
def test_a_ray_that_does_not_come_up_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def overloaded(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", overloaded)
    with (
        pytest.raises(ChromatuneError, match="could not start on this machine in time"),
        connected(None),
    ):
        pytest.fail("joined")


HEAD = {"Alive": True, "Resources": {"node:head": 1.0}}
WORKER = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}}


@pytest.fixture
def autoscaler(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, float]]]:
    """What an autoscaler is asked for, that has a head alone and adds a node at the third look."""
    asked: list[list[dict[str, float]]] = []
    looks = iter([[HEAD], [HEAD], [HEAD]])
    monkeypatch.setattr(resources, "may_grow", lambda: True)
    monkeypatch.setattr(resources, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(resources, "request_resources", lambda bundles: asked.append(bundles))
    monkeypatch.setattr(ray, "nodes", lambda: next(looks, [HEAD, WORKER]))
    return asked


@pytest.mark.parametrize(
    ("wanted", "bundle"),
    [({}, {"CPU": 1}), ({"gpus_per_trial": 0.5, "cpus_per_trial": 2}, {"CPU": 2, "GPU": 0.5})],
)
def test_where_nodes_come_with_the_work_one_is_asked_for_and_waited_for(
    wanted: dict[str, float],
    bundle: dict[str, float],
    autoscaler: list[list[dict[str, float]]],
) -> None:
    said: list[str] = []
    config = ResourcesConfig.model_validate(wanted)
    wait_for_nodes(config, "cnn1", said.append)
    assert trial_resources(config, "cnn1").gpus == (wanted.get("gpus_per_trial") or 0.25)
    assert autoscaler == [[bundle], []]  # asked for, and no longer held
    (line,) = said
    assert "waiting for the autoscaler to add one, 15 minutes at most" in line


def test_a_node_that_never_comes_is_waited_for_no_longer_than_told(
    autoscaler: list[list[dict[str, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [HEAD])
    monkeypatch.setattr(resources, "_NODE_WITHIN_S", 0)
    wait_for_nodes(ResourcesConfig(), "cnn1", lambda _: None)
    assert autoscaler == [[{"CPU": 1}], []]
    with pytest.raises(ChromatuneError, match="no node can ever run a trial of 1 CPU"):
        trial_resources(ResourcesConfig(), "cnn1")


def test_nobody_waits_where_no_node_will_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "request_resources", lambda _: pytest.fail("asked"))
    monkeypatch.setattr(ray, "nodes", lambda: [HEAD])
    wait_for_nodes(ResourcesConfig(), "cnn1", lambda _: None)


@pytest.fixture
def daemons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ray's starts and ends in their order, of a Ray that only says so."""
    told: list[str] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: told[-1:] == ["start"])
    monkeypatch.setattr(ray, "init", lambda **_: told.append("start"))
    monkeypatch.setattr(ray, "shutdown", lambda: told.append("end"))
    monkeypatch.setattr("tuning.backend.cluster.canonicalize_bootstrap_address", lambda _: None)
    return told


def test_launches_have_a_ray_each_unless_it_is_to_last(daemons: list[str]) -> None:
    def launch_twice(address: str | None = None) -> list[str]:
        daemons.clear()
        for _ in range(2):
            with connected(address):
                pass
        return daemons

    apart = ["start", "end", "start", "end"]
    assert launch_twice() == apart
    assert launch_twice("auto") == apart  # a cluster is left after each launch
    with lasting():
        assert launch_twice() == ["start"]
    assert daemons == ["start", "end"]
    assert launch_twice() == apart
    daemons.clear()
    with pytest.raises(ZeroDivisionError), lasting(), connected(None):
        _ = 1 / 0
    assert daemons == ["start", "end"]


def test_a_local_ray_starts_beside_other_work(
    daemons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = threading.Event()

    def start(**_: Any) -> None:
        assert prepared.wait(20)
        daemons.append("start")

    monkeypatch.setattr(ray, "init", start)
    with starting(None):
        assert daemons == []
        prepared.set()
        with connected(None):
            assert daemons == ["start"]
        assert daemons == ["start"]
    assert daemons == ["start", "end"]
    daemons.clear()
    with starting("auto"):
        pass
    assert daemons == []
    with pytest.raises(ZeroDivisionError), starting(None):
        _ = 1 / 0
    assert daemons == ["start", "end"]  # no Ray is left behind


def test_a_local_ray_ends_with_the_last_launch_that_uses_it(daemons: list[str]) -> None:
    first, second = contextlib.ExitStack(), contextlib.ExitStack()  # of two threads
    first.enter_context(connected(None))
    second.enter_context(connected(None))
    first.close()
    assert daemons == ["start"]
    second.close()
    assert daemons == ["start", "end"]


def test_a_start_that_hangs_holds_up_nobody_for_long(
    daemons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr(ray, "init", lambda **_: free.wait())
    monkeypatch.setattr("tuning.backend.cluster._STARTS_WITHIN_S", 0.1)
    with pytest.raises(KeyboardInterrupt), starting(None):
        raise KeyboardInterrupt
    free.set()
    assert daemons == []


def test_what_ray_starts_ignores_a_closed_terminal() -> None:
    with _hangup_blocked():
        status = subprocess.run(
            ["cat", "/proc/self/status"], capture_output=True, text=True, check=True
        ).stdout
    (blocked,) = re.findall(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)
    assert int(blocked, 16) & 1 << signal.SIGHUP - 1
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_model_that_only_the_driver_has_registered_is_named_in_the_trial(tmp_path: Path) -> None:
    inputs = TrialInputs(str(tmp_path), data=None)  # type: ignore[arg-type]
    with pytest.raises(ChromatuneError, match="Ray's worker does not know the model 'mine'"):
        _train({"training": {"params": {"model": "mine"}}}, inputs, {})
