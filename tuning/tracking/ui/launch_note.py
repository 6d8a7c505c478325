"""The description of a launch's run: who won, what all the others came to, where to look."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from tuning.display.formatting import format_count, format_value, metric_title
from tuning.display.grid_table import CellRow, GridTable
from tuning.tracking.launch_reader import FinishedCell, LaunchFolder, PlannedCell
from tuning.tracking.ui.links import artifact, comparison_page, experiment_page, run_page
from tuning.tracking.ui.markdown import markdown_links, markdown_rows, measured, spaced
from tuning.tracking.ui.views import CELLS
from tuning.training.tasks import CRITERIA

HEATMAP, TABLE = "heatmap.png", "cells.md"
_COMPARED = 5
_RANKED = 12
_RANKED_BY = 5
# A tag holds 8000 characters.
_NOTE_LENGTH = 7900


class LaunchStory:
    """Tells of a launch in Markdown: from its folder, its cells' rows and those that have ended."""

    def __init__(
        self, folder: LaunchFolder, rows: Sequence[CellRow], ended: Mapping[str, FinishedCell]
    ) -> None:
        self._folder = folder
        self._rows = rows
        self._criterion = CRITERIA[folder.task]
        self._metric = f"val_{self._criterion.name}"
        self._baseline: Mapping[str, float] = folder.document.get("baseline") or {}
        self._ranked = sorted(ended.values(), key=self._sort_key)
        self._run_ids = {row.cell_id: row.run_id for row in rows if row.run_id}

    @property
    def best(self) -> FinishedCell | None:
        """The winner: of equal cells the first, None while none has finished."""
        finished = (cell for cell in self._ranked if cell.outcome == "finished")
        return next((cell for cell in finished if math.isfinite(self._value(cell))), None)

    def table(self, limit: int | None = None) -> str:
        """The cells: a grid as the report's table, a search's trials by rank, at most `limit`."""
        if self._folder.is_search:
            return self._ranking(limit)
        return GridTable(self._folder.task, self._rows, self._baseline).markdown()

    def note(self, experiment_id: str, run_id: str | None = None) -> str:
        """Everything in one description: the winner first, since MLflow folds up the rest.

        `run_id` is the launch's run, if it has its heatmap.
        """
        parts = [self._headline(), self._links(experiment_id)]
        if run_id is not None:
            parts.append(f"![heatmap]({artifact(run_id, HEATMAP)})")
        note = "\n\n".join([*parts, spaced(self.table(_RANKED))])
        if len(note) <= _NOTE_LENGTH:
            return note
        return note[:_NOTE_LENGTH].rpartition("\n")[0] + f"\n\nThe whole table is in {TABLE}."

    def _headline(self) -> str:
        outcomes = Counter(row.outcome for row in self._rows)
        head = f"{outcomes['finished']} of {len(self._rows)} cells finished."
        if self._folder.is_search:
            counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
            trials = format_count(len(self._rows), "trial")
            head = f"{trials}: {counts}." if counts else "No trial yet."
        if self.best is None:
            return head
        value = measured(self._metric, self._value(self.best))
        beside = ""
        if self._metric in self._baseline:
            constant = format_value(self._metric, float(self._baseline[self._metric]))
            beside = f" (constant predictor {constant})"
        # MLflow's table shows some thirty characters of it, as they are written.
        return f"Best: {self.best.cell_id}, {value}{beside}. {head}"

    def _links(self, experiment_id: str) -> str:
        links = {
            "Cells, best first": experiment_page(experiment_id, CELLS),
            "Charts": experiment_page(experiment_id, CELLS, charts=True),
        }
        ranked = [cell.cell_id for cell in self._ranked]
        top = [self._run_ids[cell_id] for cell_id in ranked if cell_id in self._run_ids]
        if top:
            links["Best cell"] = run_page(experiment_id, top[0])
        if len(top) > 1:
            title = f"Compare the best {min(len(top), _COMPARED)}"
            links[title] = comparison_page(experiment_id, top[:_COMPARED])
        return markdown_links(links)

    def _ranking(self, limit: int | None) -> str:
        """A search's trials, the best first, with the settings in which they differ."""
        trainings = self._folder.trainings.values()
        plans = {cell.cell_id: cell for training in trainings for cell in training.cells}
        names = _differing([plans[cell.cell_id] for cell in self._ranked])[:_RANKED_BY]
        rows = []
        for cell in self._ranked[:limit]:
            params = plans[cell.cell_id].params
            settings = [params.get(name, "") for name in names]
            score = format_value(self._metric, self._value(cell))
            rows.append([cell.cell_id, score, str(cell.last_epoch), *settings, cell.outcome])
        heads = ["trial", metric_title(self._metric), "epochs", *names, "outcome"]
        return markdown_rows(heads, rows) if rows else ""

    def _value(self, cell: FinishedCell) -> float:
        return self._criterion.value(cell.metrics, "val_")

    def _sort_key(self, cell: FinishedCell) -> float:
        return self._criterion.sort_key(self._value(cell))


def _differing(cells: Sequence[PlannedCell]) -> list[str]:
    names = dict.fromkeys(name for cell in cells for name in cell.params if name != "epochs")
    return [name for name in names if len({cell.params.get(name) for cell in cells}) > 1]
