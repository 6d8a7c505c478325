"""The launch folder, on a local disk or on any storage that pyarrow reaches."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.fs

from tuning.errors import ChromatuneError
from tuning.launch.lease import leased
from tuning.utils.redaction import redact


class LaunchStorage:
    """Files of one launch, addressed by paths relative to its folder.

    `uri` is a local path or a URI such as `s3://bucket/prefix/launch`. Writes are atomic: a local
    file appears by rename, an object store shows an object only once it is whole.
    """

    def __init__(self, uri: str | Path, filesystem: pyarrow.fs.FileSystem | None = None) -> None:
        self.uri = str(uri)
        if redact(self.uri) != self.uri:
            raise ChromatuneError(
                f"{redact(self.uri)} holds a secret, which would be kept with the launch: leave it "
                f"out and give it in the environment, such as AWS_SECRET_ACCESS_KEY"
            )
        if filesystem is not None:
            self._fs, self._root = filesystem, self.uri
        elif "://" in self.uri:
            try:
                self._fs, self._root = pyarrow.fs.FileSystem.from_uri(self.uri)
            except (pyarrow.ArrowException, OSError) as error:
                reason = redact(str(error)).partition("\n")[0]
                raise ChromatuneError(f"cannot use the folder {self.uri}: {reason}") from None
        else:
            self._fs, self._root = pyarrow.fs.LocalFileSystem(), str(Path(self.uri).absolute())

    @property
    def name(self) -> str:
        """Last component of the folder: the launch id."""
        return self._root.rstrip("/").rsplit("/", 1)[-1]

    def create(self) -> None:
        """Make the folder where there are folders; nothing happens if it is there."""
        if isinstance(self._fs, pyarrow.fs.LocalFileSystem):
            Path(self._root).mkdir(parents=True, exist_ok=True)

    def exists(self, path: str = "") -> bool:
        info = self._fs.get_file_info(self._full(path))
        return bool(info.type != pyarrow.fs.FileType.NotFound)

    def is_dir(self, path: str) -> bool:
        info = self._fs.get_file_info(self._full(path))
        return bool(info.type == pyarrow.fs.FileType.Directory)

    def list_dir(self, path: str = "") -> list[str]:
        """Names directly inside `path`, sorted; none if it does not exist."""
        selector = pyarrow.fs.FileSelector(self._full(path), allow_not_found=True)
        return sorted(info.base_name for info in self._fs.get_file_info(selector))

    def read_json(self, path: str) -> Any:
        """Parse the JSON file at `path`; ChromatuneError if it is missing or not JSON."""
        try:
            with self._fs.open_input_stream(self._full(path)) as stream:
                return json.loads(stream.read())
        except FileNotFoundError:
            raise ChromatuneError(f"{self.uri}/{path} is missing") from None
        except (ValueError, RecursionError) as error:
            raise ChromatuneError(f"{self.uri}/{path} is not valid JSON: {error}") from None

    def write_json(self, path: str, value: Any) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / "value.json"
            # In the order given: a search draws the keys of its space in theirs.
            local.write_text(json.dumps(value, indent=1))
            self.upload_file(local, path)

    def upload_dir(self, local: Path, path: str, last: str) -> None:
        """Copy the files directly in `local` to the folder `path`, the one named `last` at the end.

        A reader that waits for `last` never sees a folder half written.
        """
        names = sorted(item.name for item in local.iterdir() if item.name != last)
        for name in [*names, last]:
            self.upload_file(local / name, f"{path}/{name}")

    def download(self, path: str, local: Path) -> Path:
        """Copy one file to the local path `local`; ChromatuneError if it is missing."""
        try:
            pyarrow.fs.copy_files(
                self._full(path),
                str(local),
                source_filesystem=self._fs,
                destination_filesystem=pyarrow.fs.LocalFileSystem(),
            )
        except FileNotFoundError:
            raise ChromatuneError(f"{self.uri}/{path} is missing") from None
        return local

    def upload_file(self, local: Path, path: str) -> None:
        """Copy one local file to `path`."""
        target = self._full(path)
        if isinstance(self._fs, pyarrow.fs.LocalFileSystem):
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            scratch = f"{target}.{os.getpid()}.tmp"
            shutil.copyfile(local, scratch)
            Path(scratch).replace(target)
        else:
            pyarrow.fs.copy_files(
                str(local),
                target,
                source_filesystem=pyarrow.fs.LocalFileSystem(),
                destination_filesystem=self._fs,
            )

    def delete(self, path: str = "") -> None:
        """Remove what is at `path`, by default the whole folder; nothing happens if it is gone."""
        if self.is_dir(path):
            self._fs.delete_dir(self._full(path))
        elif self.exists(path):
            self._fs.delete_file(self._full(path))

    @contextlib.contextmanager
    def lock(self, path: str) -> Iterator[str]:
        """Hold the folder for this process alone; yields who holds it, "" if that worked.

        On a local disk a lock on the file at `path` ends with its process, however that dies. A
        bucket has a lease instead: see `leased`. Raises OSError if neither can be written.
        """
        if not isinstance(self._fs, pyarrow.fs.LocalFileSystem):
            with leased(self._fs, self._root) as holder:
                yield holder
            return
        with Path(self._full(path)).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield "another process"
            else:
                yield ""

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root
