"""Which trainings a launch has: those of finals and fine-tunings follow from what went before."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu.jobs import LAUNCHES, Job, Scale, final_jobs, finetune_jobs, grid_jobs
from benchmarks.gpu.place import Place
from tuning.errors import ChromatuneError


class Plan:
    """The jobs of every launch, as far as the files in `place` tell."""

    def __init__(self, place: Place, scale: Scale) -> None:
        self.place = place
        self.scale = scale

    def jobs(self, launch: str) -> list[Job]:
        """The trainings of a launch; ChromatuneError while those it follows from are not there."""
        kind, _, task = launch.partition("-")
        grid = grid_jobs(task, self.scale)
        if kind == "grid":
            return grid
        winner, cell = self._best(launch, grid)
        epochs = cell["history"][-1]["epoch"]
        finals = final_jobs(task, self.scale, winner.fit.lr, epochs)
        if kind == "finals":
            return finals
        champion, cell = self._best(launch, [*grid, *finals])
        return finetune_jobs(task, self.scale, champion, cell["cell_id"])

    def begun(self) -> dict[str, list[Job]]:
        """The launches that have a finished cell, and their jobs."""
        found = {}
        for launch in LAUNCHES:
            try:
                jobs = self.jobs(launch)
            except ChromatuneError:
                continue  # its turn has not come
            if any(self.place.cells(job) for job in jobs):
                found[launch] = jobs
        return found

    def discard_weights(self, kept: str) -> None:
        """Once everything has ended, delete the weights of all cells but the `kept` ones.

        `all` keeps every cell's, `best` those with the best validation score of each launch, and
        the fine-tuned ones.
        """
        begun = self.begun()
        if kept == "all" or set(begun) != set(LAUNCHES):
            return
        for launch, jobs in begun.items():
            best = self.place.best(jobs)
            for job in jobs:
                for cell in self.place.cells(job):
                    is_best = best is not None and cell["cell_id"] == best[1]["cell_id"]
                    if kept == "none" or not (is_best or job.parent):
                        self.place.model(launch, cell["cell_id"]).unlink(missing_ok=True)

    def _best(self, launch: str, jobs: list[Job]) -> tuple[Job, dict[str, Any]]:
        needed = ", ".join(dict.fromkeys(job.launch for job in jobs))
        best = self.place.best(jobs)
        if best is None or not all(self.place.has_ended(job) for job in jobs):
            raise ChromatuneError(f"{launch} needs the best model of {needed}: train that first")
        return best
