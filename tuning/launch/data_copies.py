"""Copies of prepared data on this machine's disk, made once for all processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from data_prep import DataError, open_dataset, stored_digest
from data_prep.workspace import locked, writing_to
from tuning.utils.environment import expanded


def copied(digest: str, fetch: Callable[[Path], None]) -> Path:
    """Return the folder of the copy of the data with this digest; `fetch` fills an empty folder.

    Other processes wait for the first. The copy is compared with its manifest byte by byte before
    it is used. Raises DataError if it differs, or the disk is full.
    """
    target = copies_folder() / digest[:32]
    if stored_digest(target) == digest:
        return target
    with writing_to(target.parent):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(target.with_suffix(".lock")):
            if stored_digest(target) == digest:
                return target
            scratch = target.with_suffix(".new")
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)
            scratch.mkdir()
            try:
                fetch(scratch)
                dataset = open_dataset(scratch)
                if dataset.digest != digest:
                    raise DataError(f"other data arrived than those with the digest {digest[:12]}")
                dataset.verify()
                scratch.rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return target


def copies_folder() -> Path:
    """Where copies are kept: CHROMATUNE_CACHE, else `chromatune/data` in the user's cache."""
    if named := os.environ.get("CHROMATUNE_CACHE"):
        return Path(named).absolute() / "data"
    cache = os.environ.get("XDG_CACHE_HOME")
    home = Path(cache) if cache else expanded("~/.cache")
    if home.is_absolute() and os.access(home if home.exists() else home.parent, os.W_OK):
        return home / "chromatune" / "data"
    return Path(tempfile.gettempdir()) / f"chromatune-{os.getuid()}" / "data"
