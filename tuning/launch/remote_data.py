"""Prepared data in a bucket: copied to the disk of each machine that trains on them, once."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

from data_prep import MANIFEST_NAME, PLANES, SIDES, stored_digest
from tuning.errors import ChromatuneError
from tuning.launch.data_copies import copied
from tuning.launch.storage import LaunchStorage


@dataclasses.dataclass(frozen=True)
class RemoteOrigin:
    """The data prepared in a folder of a bucket, such as `s3://bucket/data/faces-…`."""

    uri: str
    digest: str

    @classmethod
    def of(cls, uri: str) -> RemoteOrigin:
        """Look up which data lie there; ChromatuneError if it is none."""
        with tempfile.TemporaryDirectory() as scratch:
            LaunchStorage(uri).download(MANIFEST_NAME, Path(scratch) / MANIFEST_NAME)
            digest = stored_digest(Path(scratch))
        if digest is None:
            raise ChromatuneError(f"{uri}/{MANIFEST_NAME} was not written by `chromatune prepare`")
        return cls(uri, digest)

    def folder(self) -> Path:
        return copied(self.digest, self._fetch)

    def _fetch(self, target: Path) -> None:
        storage = LaunchStorage(self.uri)
        names = [f"{side}/{plane}.npy" for side in SIDES for plane in PLANES]
        for name in (*names, MANIFEST_NAME):
            (target / name).parent.mkdir(exist_ok=True)
            storage.download(name, target / name)


@contextlib.contextmanager
def manifests_in(uri: str) -> Iterator[Path]:
    """A folder for a while, with the manifests of all data in a bucket's folder."""
    storage = LaunchStorage(uri)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for name in storage.list_dir():
                if storage.exists(f"{name}/{MANIFEST_NAME}"):
                    (Path(scratch) / name).mkdir()
                    local = Path(scratch) / name / MANIFEST_NAME
                    storage.download(f"{name}/{MANIFEST_NAME}", local)
        except OSError as error:
            reason = str(error).partition("\n")[0]
            raise ChromatuneError(f"cannot read the data root {uri}: {reason}") from None
        yield Path(scratch)
