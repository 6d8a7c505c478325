"""The folder of a run: what every training has left there, so that any later call goes on from it.

`work/<launch>/<training>/` holds the checkpoint and a JSON file for every finished cell, or
`failed.json`; `models/` the cells' weights; `data/` the prepared pictures. Every file appears whole
or not at all. A cell is written before the checkpoint behind it: whenever a process dies, the
checkpoint is never ahead of the cells.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gpu.jobs import Job
from tuning.errors import ChromatuneError
from tuning.launch.exchange import MODELS, CellResult, ModelFile, TrainingResult, write_json
from tuning.training.checkpoint_files import read_state
from tuning.training.tasks import CRITERIA

RESULTS = "results.json"


class Place:
    """The files of a run, by the jobs that they belong to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.results = folder / RESULTS
        self.run = folder / "work" / "run.json"
        self.stages = folder / "work" / "stages.json"

    def checkpoint(self, job: Job) -> Path:
        return self._work(job) / "checkpoint"

    def model(self, launch: str, cell_id: str) -> Path:
        """Where a cell's weights are; some are not kept to the end."""
        return self.folder / MODELS / f"{launch}-{cell_id}.safetensors"

    def write_cell(self, job: Job, cell: dict[str, Any]) -> None:
        write_json(self._work(job) / f"{cell['cell_id']}.json", cell)

    def write_failure(self, job: Job, message: str, history: Sequence[dict[str, Any]]) -> None:
        failure = {"outcome": "diverged", "message": message, "history": list(history)}
        write_json(self._work(job) / "failed.json", failure)

    def has_ended(self, job: Job) -> bool:
        """Whether the last cell is there, or will never be."""
        last = self._work(job) / f"{job.cell_id(job.fit.epochs)}.json"
        return last.is_file() or (self._work(job) / "failed.json").is_file()

    def cells(self, job: Job) -> list[dict[str, Any]]:
        """The finished cells of a training, the shortest first."""
        done = self._epochs_done(job)
        files = [
            self._work(job) / f"{job.cell_id(epochs)}.json"
            for epochs in job.fit.milestones
            if epochs <= done
        ]
        return [json.loads(file.read_text()) for file in files if file.is_file()]

    def best(self, jobs: Sequence[Job]) -> tuple[Job, dict[str, Any]] | None:
        """The cell with the best validation score, of equal ones the first; None if none is."""
        winner: tuple[Job, dict[str, Any]] | None = None
        for job in jobs:
            criterion = CRITERIA[job.task]
            for cell in self.cells(job):
                score = criterion.value(cell["metrics"], "val_")
                if winner is None or criterion.better(
                    score, criterion.value(winner[1]["metrics"], "val_")
                ):
                    winner = job, cell
        return winner

    def result(self, job: Job) -> TrainingResult:
        """What a training has come to so far."""
        cells = self.cells(job)
        failed = self._work(job) / "failed.json"
        failure = json.loads(failed.read_text()) if failed.is_file() else {}
        ended = "finished" if self.has_ended(job) else "unfinished"
        return TrainingResult(
            training=job.training(),
            outcome=failure.get("outcome", ended),
            message=failure.get("message", ""),
            history=failure.get("history") or (cells[-1]["history"] if cells else []),
            cells=[self._cell(job, cell) for cell in cells],
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out; ChromatuneError if one is at work. A dead one holds nothing."""
        self.run.parent.mkdir(parents=True, exist_ok=True)
        with (self.run.parent / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ChromatuneError(f"another process is at work in {self.folder}") from None
            yield

    def _work(self, job: Job) -> Path:
        return self.folder / "work" / job.launch / job.name

    def _epochs_done(self, job: Job) -> int:
        """How far the training is known to be: a cell that is ahead of it will be cut again."""
        if self.has_ended(job):
            return job.fit.epochs
        folder = self.checkpoint(job)
        return int(read_state(folder)["epoch"]) if (folder / "state.json").is_file() else 0

    def _cell(self, job: Job, cell: dict[str, Any]) -> CellResult:
        path = self.model(job.launch, cell["cell_id"])
        known = {key: value for key, value in cell.items() if key != "history"}
        if not path.is_file():
            return CellResult(**known)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return CellResult(**known, model=ModelFile(path.name, digest))
