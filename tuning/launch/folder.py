"""A launch: what is to be trained, written down in its folder before anything starts."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep import PreparedDataset
from models import UserCode
from tuning.config.schema import LaunchConfig, Task
from tuning.errors import ChromatuneError
from tuning.launch.code import CODE, check_code, open_code, read_code, write_code
from tuning.launch.find import code_options, find_document, list_documents, name_of
from tuning.launch.launch_json import (
    DOCUMENT,
    FORMAT,
    launch_config,
    read_header,
    read_trainings,
)
from tuning.launch.lease import leased
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.utils import provenance
from tuning.utils.addresses import CREDENTIALS
from tuning.utils.commands import shell_command
from tuning.utils.hosts import is_loopback
from tuning.utils.redaction import HIDDEN, redact

# Folder of a search's report: pictures and the best configuration. Its study is beside it.
SEARCH = "search"
JOURNAL = "study.journal"


@dataclasses.dataclass(frozen=True)
class Launch:
    """One launch and its folder, which is also Ray's experiment folder."""

    storage: LaunchStorage
    document: Mapping[str, Any]

    @property
    def launch_id(self) -> str:
        return str(self.document["launch_id"])

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def task(self) -> Task:
        task: Task = self.document["task"]
        return task

    @property
    def tracking_uri(self) -> str:
        """The MLflow store that the launch was begun with, a password in it replaced by stars."""
        return str(self.document["tracking_uri"])

    @property
    def config(self) -> LaunchConfig:
        """What all kinds of launches share of the configuration."""
        return launch_config(self.document)

    @property
    def trainings(self) -> list[Training]:
        """What is trained, as far as it is known: a search writes each down as it comes to it."""
        documents = read_trainings(self.storage, self.document)
        return [Training.from_dict(document, self.storage.uri) for document in documents]

    @property
    def code(self) -> tuple[UserCode, ...]:
        """The user's files that register what it trains and measures."""
        return read_code(self.storage, self.document)

    def code_files(self) -> list[str]:
        """What `--import` takes to use the same code: its copies in a folder of this machine."""
        if "://" in self.storage.uri:
            return list(self.config.imports)
        return [
            f"{self.storage.uri}/{CODE}/{each['name']}" for each in self.document.get("code", ())
        ]

    @property
    def found_by(self) -> str:
        """What names this launch on a command line."""
        return name_of(self.storage)

    def resume_command(self, *options: str) -> str:
        """The command that resumes this launch where it ran, for a shell."""
        address = str(self.document.get("config", {}).get("address") or "")
        host = address.rpartition("://")[2].rpartition(":")[0]
        if host and not is_loopback(host) and "RAY_ADDRESS" not in os.environ:
            options = (*options, "--address", address)
        code = code_options(self.document)
        return self.command("resume", self.found_by, *options, *code)

    def command(self, *words: str) -> str:
        """A command about this launch, for a shell, with its tracking store.

        The store is left out where the command would find it: in the launch folder, or in
        MLFLOW_TRACKING_URI.
        """
        own = self.tracking_uri
        elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
        is_found = own == redact(elsewhere or "")
        if elsewhere is None:
            would_be_asked = HIDDEN in own or any(name in os.environ for name in CREDENTIALS)
            is_found = own.startswith("sqlite:") or not would_be_asked
        store = [] if is_found or not own else ["--tracking-uri", own]
        return shell_command("chromatune", *words, *store)

    @contextlib.contextmanager
    def held(self, *, take_over: bool = False) -> Iterator[None]:
        """Keep other processes from working on this launch.

        Raises ChromatuneError if its folder cannot be written, or if another process is working on
        it, unless `take_over` stops that one.
        """
        with contextlib.ExitStack() as stack:
            try:
                owner = stack.enter_context(leased(self.storage, take_over=take_over))
            except OSError as error:
                raise ChromatuneError(
                    f"cannot write to the launch folder {self.storage.uri}: {error}"
                ) from None
            if owner:
                raise ChromatuneError(
                    f"{self.launch_id} is in use by {owner}: wait until it ends, stop it with "
                    f"{shell_command('chromatune', 'stop', self.found_by)}, or use "
                    f"{self.resume_command('--take-over')}"
                )
            yield


def create_launch(
    kind: str,
    task: Task,
    config: LaunchConfig,
    dataset: PreparedDataset,
    trainings: Sequence[Training],
    *,
    tracking_uri: str,
    baseline: Mapping[str, float],
    tags: Mapping[str, str] | None = None,
    parent_model: str | None = None,
    files: Mapping[str, Path] | None = None,
    code: Sequence[UserCode] = (),
) -> Launch:
    """Write `launch.json` into a new folder under `config.storage_path`.

    A password in `tracking_uri` is not kept. `baseline` holds the constant predictor's validation
    metrics; `files` are local files that the trials need, copied into the folder under the given
    names, `code` the user's files that they need. Raises ChromatuneError if the folder cannot be
    written.
    """
    created = time.time()
    document = {
        "format": FORMAT,
        "kind": kind,
        "task": task,
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "dataset_manifest": dataset.manifest.summary(),
        "dataset_folder": str(dataset.folder.absolute()),
        "experiment": f"{dataset.name}-{task}-{kind}",
        "command": provenance.command(),
        "created": round(created * 1000),
        # Whoever has the URL of notifications can post there.
        "config": config.model_dump(mode="json", exclude={"notify"}),
        "tracking_uri": redact(tracking_uri),
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "tags": dict(tags or {}),
        "baseline": dict(baseline),
        "parent_model": parent_model,
        "trainings": [training.to_dict() for training in trainings],
    }
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(created))
    try:
        with _new_folder(config.storage_path, f"{kind}-{task}-{dataset.name}-{stamp}") as storage:
            document["launch_id"] = storage.name
            for name, local in (files or {}).items():
                storage.upload_file(local, name)
            document["code"] = write_code(storage, code)
            storage.write_json(DOCUMENT, document)
    except OSError as error:
        raise ChromatuneError(
            f"cannot write to the storage path {config.storage_path}: {error}; choose another with "
            f"--storage-path"
        ) from None
    return Launch(storage, document)


@contextlib.contextmanager
def _new_folder(storage_path: str, name: str) -> Iterator[LaunchStorage]:
    """A folder that no launch is in: `name`, or numbered if others begin in the same second."""
    for number in itertools.count(1):
        numbered = name if number == 1 else f"{name}-{number}"
        storage = LaunchStorage(f"{storage_path.rstrip('/')}/{numbered}")
        storage.create()
        with leased(storage) as owner:
            if not owner and not storage.exists(DOCUMENT):
                yield storage
                return


def read_document(storage: LaunchStorage) -> dict[str, Any]:
    """Read the document of the launch in `storage`; ChromatuneError as `read_header`, or if one of
    its trainings could not be trained here.
    """
    document = read_header(storage)
    check_code(storage, document)
    _check_trainings(storage, document)
    return document


def open_launch(name: str, storage_path: str, given: Sequence[UserCode] = ()) -> Launch:
    """Open a launch by its id, its folder, or `last` for the newest under `storage_path`.

    `given` are the user's files that `--import` names.
    Raises UntrustedLaunch if it brings code that is not trusted.
    """
    # The newest is the newest, also if it brings code that is not known yet.
    storage, document = find_document(name, storage_path, _read_candidate)
    open_code(storage, document, given)
    _check_trainings(storage, document)
    return Launch(storage, document)


def _read_candidate(storage: LaunchStorage) -> dict[str, Any]:
    document = read_header(storage)
    if not document.get("code"):
        _check_trainings(storage, document)
    return document


def _check_trainings(storage: LaunchStorage, document: Mapping[str, Any]) -> None:
    for training in document["trainings"]:
        Training.from_dict(training, f"{storage.uri}/{DOCUMENT}")


def list_launches(
    storage_path: str,
    on_error: Callable[[str, Exception], None] | None = None,
    *,
    opening: bool = False,
) -> list[Launch]:
    """All launches under `storage_path`, oldest first; see `list_documents`.

    Those that bring code are among them if it is known here; with `opening`, if it is trusted.
    """

    def read(storage: LaunchStorage) -> dict[str, Any]:
        if opening:
            open_code(storage, read_header(storage))
        return read_document(storage)

    return [Launch(*found) for found in list_documents(storage_path, read, on_error)]


def find_launch(
    storage_path: str,
    kind: str,
    dataset_digest: str,
    trainings: Sequence[Training],
    parent_model: str | None = None,
    code: Sequence[UserCode] = (),
) -> Launch | None:
    """Find the newest launch of exactly these trainings on these data, finished or not."""
    files = [{"name": each.name, "digest": each.digest} for each in code]
    wanted = {
        "kind": kind,
        "dataset_digest": dataset_digest,
        "parent_model": parent_model,
    }
    for launch in reversed(list_launches(storage_path)):
        # Compared as trainings: those of earlier versions lack options that have come since.
        with contextlib.suppress(ChromatuneError):
            is_wanted = all(launch.document[key] == value for key, value in wanted.items())
            is_wanted = is_wanted and launch.document.get("code", []) == files
            if is_wanted and launch.trainings == list(trainings):
                return launch
    return None
