"""Prepared data on the nodes of a cluster: mapped where they are seen, else copied once a node."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from data_prep import stored_digest
from tuning.errors import ChromatuneError
from tuning.launch.data_copies import copied
from tuning.training.data import FolderOrigin, Origin

_PIECE = 1 << 25


@dataclasses.dataclass(frozen=True)
class NodeOrigin:
    """Data in a folder of the driver's node, which other nodes see or copy to their disks."""

    path: str
    digest: str
    node: str

    def folder(self) -> Path:
        folder = Path(self.path)
        if stored_digest(folder) == self.digest:
            return folder
        return copied(self.digest, self._fetch)

    def _fetch(self, target: Path) -> None:
        """Copy the files, a piece at a time, by tasks that run on the driver's node."""
        there = NodeAffinitySchedulingStrategy(self.node, soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": there}
        sizes = ray.remote(_sizes).options(**options)
        piece = ray.remote(_piece).options(**options)
        try:
            for name, size in ray.get(sizes.remote(self.path, self.digest)).items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                with (target / name).open("wb") as stream:
                    for start in range(0, size, _PIECE):
                        stream.write(ray.get(piece.remote(self.path, name, start)))
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ChromatuneError(f"the prepared data cannot be copied here: {reason}") from None


def on_nodes(origin: Origin) -> Origin:
    """How the trials of a cluster find the data that the driver has in a folder."""
    if not isinstance(origin, FolderOrigin):
        return origin
    return NodeOrigin(origin.path, origin.digest, ray.get_runtime_context().get_node_id())


def _sizes(path: str, digest: str) -> dict[str, int]:
    """Sizes of the files of a dataset, the manifest last; run on the driver's node."""
    folder = FolderOrigin(path, digest).folder()
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    files.sort(key=lambda each: each.parent == folder)
    return {each.relative_to(folder).as_posix(): each.stat().st_size for each in files}


def _piece(path: str, name: str, start: int) -> bytes:
    """A piece of a file; run on the driver's node."""
    with (Path(path) / name).open("rb") as stream:
        return os.pread(stream.fileno(), _PIECE, start)
