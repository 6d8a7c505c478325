"""Machines, servers and disks of one's own to take away: `make test-cluster`.

Each node is a machine as far as Linux can tell: network, processes, host name and shared memory of
its own, joined to the others by a bridge. Only root may make these.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from data_prep import PreparedDataset, PrepareSettings, prepare
from tests.integration import conftest as base
from tests.processes import descendants

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PICTURES = PrepareSettings(dataset="synthetic-faces", count=40, augment=1, size=64)
_NODE = "chromatune"
_BRIDGE = f"{_NODE}0"
_SUBNET = "10.77.61"
_GCS_PORT = 6399
# So that a loaded machine is no failure, and a dead node is noticed within seconds.
_RAY = {
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_USAGE_STATS_ENABLED": "0",
}

# Asks the head without becoming a driver, which would take longer than the nodes need.
_WAIT_FOR_NODES = """
import sys, time
from ray._raylet import GcsClient
deadline = time.monotonic() + 120
while True:
    try:
        found = GcsClient(address=sys.argv[1]).get_all_node_info(timeout=10).values()
        alive = sum(node.state == 0 for node in found)
    except Exception as error:
        alive = repr(error)
    if alive == int(sys.argv[2]):
        break
    if time.monotonic() > deadline:
        sys.exit(f"there are {alive}")
    time.sleep(0.5)
"""


base.PATIENCE_S = 900  # several machines on one take their time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these run only when asked for, and only warnings about our own code are errors."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(1800))
            item.add_marker(pytest.mark.filterwarnings("error:::(tuning|models|data_prep)"), False)
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def small_pictures(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """The prepared pictures of the colorizer's grids."""
    return prepare(PICTURES, tmp_path_factory.mktemp("data")).dataset


@dataclasses.dataclass
class User(base.Place):  # type: ignore[misc,name-defined]
    """One who works in a folder of their own, on another cluster or server than the usual."""

    uri: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    prefix: list[str] = dataclasses.field(default_factory=list)
    storage: str = ""

    @property
    def store(self) -> str:
        return self.uri or super().store

    @property
    def where(self) -> list[str]:
        storage = self.storage or f"{self.folder}/ray_results"
        return ["--storage-path", storage, "--tracking-uri", self.store]

    def launches(self) -> list[Path]:
        folder = Path(self.storage or f"{self.folder}/ray_results")
        return sorted(folder.glob("*-*-*")) if folder.exists() else []

    def colorizer(self, *options: str) -> list[str]:
        """Words of a command that runs a small grid of colorizers: four trainings, eight cells."""
        return [
            *("grid", "colorizer", "--dataset", PICTURES.dataset, "--count", str(PICTURES.count)),
            *("--size", str(PICTURES.size), "--augment", "1", "--data-root", str(self.data_root)),
            *("--set", "training.batch_size=10", "--heads", "relu,tanh", "--lrs", "1e-3,1e-4"),
            *("--epochs", "2,60", "--format", "json", *self.where, *options),
        ]

    def start(self, *words: str, program: list[str] | None = None) -> Any:
        output = self.folder / f"output-{len(self.drivers)}"
        output.mkdir()
        command = [*self.prefix, *(program or [sys.executable, "-m", "tuning"]), *words]
        with (output / "out").open("w") as out, (output / "err").open("w") as err:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=_environment(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )
        driver = base.Driver(process, output)
        self.drivers.append(driver)
        return driver


@pytest.fixture
def make_user(
    tmp_path: Path, small_pictures: PreparedDataset, pictures: PreparedDataset
) -> Iterator[Callable[..., User]]:
    users: list[User] = []

    def make(task: str = "regression", **options: Any) -> User:
        folder = tmp_path / f"user-{len(users)}"
        (folder / "mlruns").mkdir(parents=True)
        data = small_pictures if task == "colorizer" else pictures
        users.append(User(folder, data.folder.parent, **options))
        return users[-1]

    yield make
    for user in users:
        for driver in user.drivers:
            driver.end()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """The prepared pictures of the regression's grids."""
    return prepare(base.PICTURES, tmp_path_factory.mktemp("data")).dataset


def _environment(extra: dict[str, str]) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *sys.path[1:]])
    return {
        **os.environ,
        **_RAY,
        "PYTHONPATH": path,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        **extra,
    }


class Node:
    """A machine with a raylet, which can lose its power."""

    def __init__(self, number: int, token: str, hidden: Path, log: Path) -> None:
        self.name = f"{_NODE}{number}"
        self._number = number
        self._cable = f"chromatune-{number}"
        self.address = f"{_SUBNET}.{number}"
        self.head = number == 1
        self._token, self._hidden, self._log = token, hidden, log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self._token}

    def start(self, head: Node, project: Path = ROOT) -> None:
        role = (
            ["--head", f"--port={_GCS_PORT}", "--dashboard-host=127.0.0.1", "--num-cpus=0"]
            if self.head
            else [f"--address={head.address}:{_GCS_PORT}", "--num-cpus=1"]
        )
        words = [
            *(str(BIN / "ray"), "start", "--block", *role, f"--node-ip-address={self.address}"),
            *("--object-store-memory=100000000", "--disable-usage-stats"),
            *self._ports(),
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self._make_machine(), "sh", "-c", self._furnish(words, project)],
                env=_environment(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        base.wait_until(lambda: bool(self._children()), f"{self.name} is there")

    @property
    def inside(self) -> list[str]:
        """What precedes a command that runs on this machine."""
        return ["nsenter", f"--target={self._first_process()}", *["-m", "-u", "-n", "-p"]]

    def trials(self) -> list[int]:
        """Process ids of the trials at work here."""
        assert self.process is not None
        below = descendants(self.process.pid)
        return [pid for pid in below if base._title(pid).endswith(".train")]

    def lose_power(self) -> None:
        """Kill -9 everything on it at once."""
        if self.process is None:
            return
        below = descendants(self.process.pid)
        with contextlib.suppress(OSError, IndexError):
            os.kill(self._first_process(), signal.SIGKILL)  # the rest dies with the first
        base._kill([*below, self.process.pid])
        self.process.wait()
        self.process = None

    def remove(self) -> None:
        self.lose_power()
        # A network goes with the last process in it, which may take its time.
        _ip("link", "delete", self._cable, check=False)
        _ip("netns", "delete", self.name, check=False)

    def _ports(self) -> list[str]:
        """Ports of its agents: Ray gives itself only 15 s to hear which ones they have chosen."""
        first = 7600 + 10 * self._number
        agents = ("dashboard-agent-grpc", "dashboard-agent-listen", "runtime-env-agent")
        names = (*agents, "metrics-export")
        return [f"--{name}-port={port}" for port, name in enumerate(names, first)]

    def _first_process(self) -> int:
        return self._children()[0]

    def _children(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _make_machine(self) -> list[str]:
        if self.name not in _ip("netns", "list").split():
            _ip("netns", "add", self.name)
            cable = ["type", "veth", "peer", "name", "eth0", "netns", self.name]
            _ip("link", "add", self._cable, *cable)
            _ip("link", "set", self._cable, "master", _BRIDGE, "up")
            _ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
            _ip("-n", self.name, "link", "set", "eth0", "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        return [
            *("ip", "netns", "exec", self.name),
            *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"),
        ]

    def _furnish(self, words: list[str], project: Path) -> str:
        """Memory and scratch space of its own; on workers the prepared data are not to be seen.

        The packages of another `project` lie where the driver has its own.
        """
        folders = ["/dev/shm", "/tmp/ray", *([] if self.head else [str(self._hidden)])]
        steps = [f"hostname {self.name}", "mkdir -p /tmp/ray"]
        steps += [f"mount -t tmpfs tmpfs {shlex.quote(folder)}" for folder in folders]
        if project != ROOT:
            steps += [f"mount --bind {p} {ROOT / p.name}" for p in project.iterdir()]
        return " && ".join([*steps, f"exec {shlex.join(words)}"])


@dataclasses.dataclass
class Cluster:
    """A head that drives and workers of one CPU each."""

    hidden: Path
    logs: Path
    token: str = dataclasses.field(default_factory=lambda: secrets.token_hex(32))
    nodes: list[Node] = dataclasses.field(default_factory=list)

    @property
    def head(self) -> Node:
        return self.nodes[0]

    @property
    def address(self) -> str:
        return f"{self.head.address}:{_GCS_PORT}"

    def add(self, project: Path = ROOT) -> Node:
        """Start one more node and return when it has joined.

        Ray gives a node's own agents 15 s to start, which a loaded machine may not keep: then the
        node is started again.
        """
        for _ in range(3):
            number = len(self.nodes) + 1
            log = self.logs / f"{number}.log"
            node = Node(number, self.token, self.hidden, log)
            self.nodes.append(node)
            node.start(self.head, project)
            problem = self._wait_for(sum(one.process is not None for one in self.nodes))
            if not problem:
                return node
            node.remove()
            self.nodes.pop()
        pytest.fail(f"{problem}: {log.read_text()}")

    def _wait_for(self, number: int) -> str:
        """Wait until so many nodes are alive; return what is wrong if that takes too long."""
        words = [sys.executable, "-c", _WAIT_FOR_NODES, self.address, str(number)]
        answer = self.on_head(words)
        return answer.stderr if answer.returncode else ""

    def on_head(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        environment = _environment({**self.head.environment, "RAY_ADDRESS": self.address})
        return subprocess.run(
            [*self.head.inside, *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def end(self) -> None:
        for node in reversed(self.nodes):
            node.remove()


@pytest.fixture(scope="module")
def cluster(
    small_pictures: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A head and two workers, which ask each other for a token."""
    if not _may_isolate():
        pytest.skip("needs root, iproute2 and util-linux: nodes are machines of their own")
    made = Cluster(small_pictures.folder.parent, tmp_path_factory.mktemp("nodes"))
    _ip("link", "delete", _BRIDGE, check=False)  # of a run that was killed
    _ip("link", "add", _BRIDGE, "type", "bridge")
    _ip("address", "add", f"{_SUBNET}.254/24", "dev", _BRIDGE)
    _ip("link", "set", _BRIDGE, "up")
    try:
        for _ in range(3):
            made.add()
        yield made
    finally:
        made.end()
        _ip("link", "delete", _BRIDGE, check=False)


def _may_isolate() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None:
        return False
    probe = ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", "mount -t tmpfs x /mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _ip(*words: str, check: bool = True) -> str:
    return _output(["ip", *words], check=check)


def _output(words: list[str], *, check: bool = True, **options: Any) -> str:
    answer = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert not check or answer.returncode == 0, f"{shlex.join(words)}: {answer.stderr}"
    return answer.stdout


class TrackingServer:
    """An MLflow server on PostgreSQL that can be stopped and started again at the same address."""

    def __init__(self, folder: Path, database: str, host: str, inside: list[str]) -> None:
        with socket.socket() as free:
            free.bind(("", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://{host}:{self.port}"
        self._command = [
            *(*inside, str(BIN / "mlflow"), "server", "--workers", "1"),
            *("--host", host, "--port", str(self.port), "--allowed-hosts", f"{host}:{self.port}"),
            *("--backend-store-uri", database, "--artifacts-destination", str(folder)),
        ]
        self._log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = _environment({"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + base.PATIENCE_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.uri}/health", timeout=5).ok:
                    return
            time.sleep(0.2)
        pytest.fail(f"{self.uri} did not answer: {self._log.read_text()}")

    def stop(self) -> None:
        """Kill -9 the server and its workers."""
        if self._process is not None:
            base._kill([*descendants(self._process.pid), self._process.pid])
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes new databases in a PostgreSQL of our own, whose user is postgres if we are root."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        pytest.skip("needs PostgreSQL: make test-cluster installs it")
    pytest.importorskip("psycopg2")
    folder = Path(tempfile.mkdtemp(prefix="chromatune-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]

    def run(program: str, *words: str) -> None:
        path = found[-1].with_name(program)
        command = [*as_user, str(path), *words]
        _output(command, cwd=folder, stdin=subprocess.DEVNULL)

    data = f"{folder}/data"
    run("initdb", "--pgdata", data, "--auth=trust", "--username=postgres", "--no-sync")
    # No network at all: reached through a socket in its folder.
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    run("pg_ctl", "--pgdata", data, "--log", f"{folder}/log", "--wait", "-o", options, "start")
    numbers = itertools.count()

    def new_database() -> str:
        name = f"mlflow{next(numbers)}"
        run("createdb", "--host", str(folder), "--username=postgres", name)
        return f"postgresql+psycopg2://postgres@/{name}?host={folder}"

    yield new_database
    run("pg_ctl", "--pgdata", data, "--mode=immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def make_server(
    postgres: Callable[[], str], tmp_path: Path
) -> Iterator[Callable[..., TrackingServer]]:
    servers: list[TrackingServer] = []

    def make(host: str = "127.0.0.1", inside: list[str] | None = None) -> TrackingServer:
        folder = tmp_path / f"artifacts-{len(servers)}"
        folder.mkdir()
        servers.append(TrackingServer(folder, postgres(), host, inside or []))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 MB of one's own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip(f"may not mount a small disk here: {answer.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def make_read_only(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Let nobody write in folders and files, nor root, whom permissions do not bind."""
    tool, on, off = ("chattr", "+i", "-i") if os.geteuid() == 0 else ("chmod", "a-w", "u+w")
    done: list[str] = []

    def make(*paths: Path, undo: bool = False) -> None:
        done.extend(map(str, paths))
        subprocess.run([tool, off if undo else on, *map(str, paths)], check=True)

    (tmp_path / "probe").touch()
    probe = [shutil.which(tool) or "false", on, str(tmp_path / "probe")]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip(f"may not make files read-only for oneself here: {tool} {on}")
    done.append(str(tmp_path / "probe"))
    yield make
    subprocess.run([tool, off, *done], check=True)
