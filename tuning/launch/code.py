"""The user's files that a launch was begun with, in its folder."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models import ModelError, UntrustedCode, UserCode, check_trusted, is_in_use, use_code
from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage

CODE = "code"


class UntrustedLaunch(ChromatuneError):  # noqa: N818  (it names what was found)
    """A launch brings code that this process may not run."""


def write_code(storage: LaunchStorage, code: Sequence[UserCode]) -> list[dict[str, str]]:
    """Write the files; return their names and digests for `launch.json`."""
    with tempfile.TemporaryDirectory() as scratch:
        for each in code:
            local = Path(scratch) / each.name
            local.write_text(each.source, encoding="utf-8")
            storage.upload_file(local, f"{CODE}/{each.name}")
    return [{"name": each.name, "digest": each.digest} for each in code]


def read_code(storage: LaunchStorage, document: Mapping[str, Any]) -> tuple[UserCode, ...]:
    """Read the files, and run nothing; ChromatuneError if one is gone or was changed."""
    return tuple(
        _read(storage, each["name"], each["digest"]) for each in document.get("code") or ()
    )


def open_code(
    storage: LaunchStorage, document: Mapping[str, Any], given: Sequence[UserCode] = ()
) -> None:
    """Make known what the files of a launch register, if they are trusted.

    `given` are files that `--import` names, which must be among them.
    Raises UntrustedLaunch if one of them is not, with both digests if `--import` named another
    version of it.
    """
    for each in document.get("code") or ():
        if is_in_use(each["digest"]):
            continue
        try:
            check_trusted(each["name"], each["digest"], f"the launch {storage.name}")
        except UntrustedCode as error:
            raise UntrustedLaunch(str(error)) from None
        try:
            use_code(_read(storage, each["name"], each["digest"]))
        except ModelError as error:
            raise ChromatuneError(str(error)) from None
    known = [each["digest"] for each in document.get("code") or ()]
    for code in given:
        if code.digest not in known:
            raise ChromatuneError(
                f"the launch {storage.name} was begun without {code.name}: what a launch trains "
                f"and measures stays as it is; start another one"
            )


def check_code(storage: LaunchStorage, document: Mapping[str, Any]) -> None:
    """Raise ChromatuneError unless what the files of a launch register is known here."""
    for each in document.get("code") or ():
        if not is_in_use(each["digest"]):
            raise ChromatuneError(
                f"the launch {storage.name} was begun with {each['name']} "
                f"(sha256 {each['digest'][:12]}), which is not imported"
            )


def _read(storage: LaunchStorage, name: str, digest: str) -> UserCode:
    path = f"{CODE}/{name}"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            source = storage.download(path, Path(scratch) / "code").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ChromatuneError(f"{storage.uri}/{path} cannot be read: {error}") from None
    code = UserCode(name, source)
    if code.digest != digest:
        raise ChromatuneError(
            f"{storage.uri}/{path} was changed: its sha256 is {code.digest[:12]}, but the launch "
            f"was begun with {digest[:12]}"
        )
    return code
