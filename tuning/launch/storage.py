"""The launch folder, on a local disk or on any storage that pyarrow reaches."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tuning.errors import ChromatuneError
from tuning.utils.redaction import redact

if TYPE_CHECKING:
    import pyarrow.fs


class LaunchStorage:
    """Files of one launch, addressed by paths relative to its folder.

    `uri` is a local path or a URI such as `s3://bucket/prefix/launch`, which needs pyarrow. Writes
    are atomic: a local file appears by rename, an object store shows an object once it is whole.
    """

    is_local = True

    def __new__(cls, uri: str | Path, filesystem: Any = None) -> LaunchStorage:
        is_remote = filesystem or ("://" in str(uri) and not str(uri).startswith("file://"))
        return super().__new__(_RemoteStorage if is_remote else LaunchStorage)

    def __init__(self, uri: str | Path, filesystem: pyarrow.fs.FileSystem | None = None) -> None:
        self.uri = str(uri)
        if redact(self.uri) != self.uri:
            raise ChromatuneError(
                f"{redact(self.uri)} contains a secret, which would be stored with the launch: "
                f"pass it in the environment instead, for example as AWS_SECRET_ACCESS_KEY"
            )
        self._root = self._open(filesystem)

    @property
    def name(self) -> str:
        """Last component of the folder: the launch id."""
        return self._root.rstrip("/").rsplit("/", 1)[-1]

    def create(self) -> None:
        """Create the folder where storage has folders; does nothing if it exists."""
        Path(self._root).mkdir(parents=True, exist_ok=True)

    def exists(self, path: str = "") -> bool:
        return Path(self._root, path).exists()

    def is_dir(self, path: str) -> bool:
        return Path(self._root, path).is_dir()

    def list_dir(self, path: str = "") -> list[str]:
        """Names directly inside `path`, sorted; none if it does not exist.

        Raises ChromatuneError if `path` is a file.
        """
        try:
            return sorted(item.name for item in Path(self._root, path).iterdir())
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise ChromatuneError(f"{self.uri}/{path} is a file instead of a folder") from None

    def read_json(self, path: str) -> Any:
        """Parse the JSON file at `path`; ChromatuneError if it is missing or not JSON."""
        try:
            return json.loads(self._read(path))
        except FileNotFoundError:
            raise ChromatuneError(f"{self.uri}/{path} is missing") from None
        except (ValueError, RecursionError) as error:
            raise ChromatuneError(f"{self.uri}/{path} is not valid JSON: {error}") from None

    def read_text(self, path: str) -> str:
        """Read the text file at `path`; ChromatuneError if it is missing."""
        try:
            return self._read(path).decode("utf-8", errors="replace")
        except FileNotFoundError:
            raise ChromatuneError(f"{self.uri}/{path} is missing") from None

    def write_json(self, path: str, value: Any, *, if_absent: bool = False) -> bool:
        """Write `value`, its keys in order; with `if_absent`, return False if `path` exists.

        Of two processes that write with `if_absent` one fails on a local disk, on a bucket often.
        """
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / "value.json"
            # The order of keys matters: a search samples the keys of its space in theirs.
            local.write_text(json.dumps(value, indent=1), encoding="utf-8")
            return self._put(local, path, if_absent)

    def write_text(self, path: str, text: str) -> None:
        """Write a text file."""
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / "text"
            local.write_text(text, encoding="utf-8")
            self._put(local, path)

    def upload_dir(self, local: Path, path: str, last: str) -> None:
        """Copy the files directly in `local` to the folder `path`, the file named `last` last.

        A reader that waits for `last` never sees an incomplete folder.
        """
        names = sorted(item.name for item in local.iterdir() if item.name != last)
        for name in [*names, last]:
            self.upload_file(local / name, f"{path}/{name}")

    def upload_file(self, local: Path, path: str) -> None:
        """Copy one local file to `path`."""
        self._put(local, path)

    def download(self, path: str, local: Path) -> Path:
        """Copy one file to the local path `local`; ChromatuneError if it is missing."""
        try:
            self._get(path, local)
        except FileNotFoundError:
            raise ChromatuneError(f"{self.uri}/{path} is missing") from None
        return local

    def delete(self, path: str = "") -> None:
        """Remove `path`, by default the whole folder; does nothing if it does not exist."""
        target = Path(self._root, path)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def _open(self, _: pyarrow.fs.FileSystem | None) -> str:
        path = unquote(urlsplit(self.uri).path) if "://" in self.uri else self.uri
        return str(Path(path).absolute())

    def _read(self, path: str) -> bytes:
        return Path(self._root, path).read_bytes()

    def _get(self, path: str, local: Path) -> None:
        shutil.copyfile(Path(self._root, path), local)

    def _put(self, local: Path, path: str, if_absent: bool = False) -> bool:
        target = Path(self._root, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(f"{target}.{secrets.randbelow(10**9)}.tmp")
        try:
            shutil.copyfile(local, scratch)
            if if_absent:
                target.hardlink_to(scratch)
            else:
                scratch.replace(target)
        except FileExistsError:
            return False
        finally:
            scratch.unlink(missing_ok=True)
        return True


class _RemoteStorage(LaunchStorage):
    """What differs on storage that pyarrow reaches, which must not be imported for local paths."""

    is_local = False

    def create(self) -> None:
        pass

    def exists(self, path: str = "") -> bool:
        return bool(self._type(path) != self._api.FileType.NotFound)

    def is_dir(self, path: str) -> bool:
        return bool(self._type(path) == self._api.FileType.Directory)

    def list_dir(self, path: str = "") -> list[str]:
        selector = self._api.FileSelector(self._full(path), allow_not_found=True)
        return sorted(info.base_name for info in self._fs.get_file_info(selector))

    def delete(self, path: str = "") -> None:
        if self.is_dir(path):
            self._fs.delete_dir(self._full(path))
        elif self.exists(path):
            self._fs.delete_file(self._full(path))

    def _open(self, filesystem: pyarrow.fs.FileSystem | None) -> str:
        import pyarrow
        import pyarrow.fs

        self._api = pyarrow.fs
        if filesystem is not None:
            self._fs = filesystem
            return self.uri
        try:
            self._fs, root = pyarrow.fs.FileSystem.from_uri(self.uri)
        except (pyarrow.ArrowException, OSError) as error:
            reason = redact(str(error)).partition("\n")[0]
            raise ChromatuneError(f"cannot use the folder {self.uri}: {reason}") from None
        return str(root)

    def _type(self, path: str) -> Any:
        return self._fs.get_file_info(self._full(path)).type

    def _read(self, path: str) -> bytes:
        with self._fs.open_input_stream(self._full(path)) as stream:
            return bytes(stream.read())

    def _get(self, path: str, local: Path) -> None:
        disk = self._api.LocalFileSystem()
        self._api.copy_files(self._full(path), str(local), self._fs, disk)

    def _put(self, local: Path, path: str, if_absent: bool = False) -> bool:
        if if_absent and self.exists(path):
            return False
        disk = self._api.LocalFileSystem()
        self._api.copy_files(str(local), self._full(path), disk, self._fs)
        return True

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root
