"""Finding launch folders by what a user calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tuning.config.schema import LaunchConfig
from tuning.errors import ChromatuneError, nearest
from tuning.launch.launch_json import DOCUMENT, read_header
from tuning.launch.storage import LaunchStorage
from tuning.utils.environment import expanded

Document = dict[str, Any]
Read = Callable[[LaunchStorage], Document]
OnError = Callable[[str, Exception], None]


def find_document(
    name: str, storage_path: str, read: Read = read_header
) -> tuple[LaunchStorage, Document]:
    """Find a launch by its id, its folder, or `last` for the newest under `storage_path`.

    Returns its storage and its document, read with `read`. Raises ChromatuneError if there is none.
    """
    if name == "last":
        found = list_documents(storage_path, read)
        if not found:
            raise ChromatuneError(f"no launch in {storage_path}: start one with `chromatune grid`")
        return found[-1]
    is_folder = "://" in name or (expanded(name) / DOCUMENT).is_file()
    if is_folder:
        storage = LaunchStorage(name if "://" in name else expanded(name))
    else:
        storage = LaunchStorage(f"{storage_path.rstrip('/')}/{name}")
    if not storage.exists(DOCUMENT):
        known = [found.name for found, _ in list_documents(storage_path, read)]
        raise ChromatuneError(
            f"no launch '{name}' in {storage_path}{nearest(name, known)} "
            f"(name one by its id, its folder, or `last`)"
        )
    return storage, read(storage)


def list_documents(
    storage_path: str, read: Read = read_header, on_error: OnError | None = None
) -> list[tuple[LaunchStorage, Document]]:
    """All launches under `storage_path`, oldest first.

    Those that cannot be read are left out; `on_error` is called with their ids and what happened.
    Raises ChromatuneError if the path itself cannot be read.
    """
    root = LaunchStorage(storage_path)
    found = []
    try:
        names = root.list_dir()
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise ChromatuneError(f"cannot read the storage path {storage_path}: {reason}") from None
    for name in names:
        try:
            if root.exists(f"{name}/{DOCUMENT}"):
                storage = LaunchStorage(f"{storage_path.rstrip('/')}/{name}")
                found.append((storage, read(storage)))
        except (ChromatuneError, OSError) as error:
            if on_error is not None:
                on_error(name, error)
    return sorted(found, key=lambda launch: int(launch[1]["created"]))


def name_of(storage: LaunchStorage) -> str:
    """What names a launch on a command line: its id, or its folder if that is elsewhere."""
    usual = f"{LaunchConfig().storage_path}/{storage.name}"
    return storage.name if storage.uri == usual else storage.uri


def code_options(document: Mapping[str, Any]) -> list[str]:
    """The options that name the user's code of a launch to a command that opens it."""
    names = document.get("config", {}).get("imports", ())
    return [word for name in names for word in ("--import", str(name))]
