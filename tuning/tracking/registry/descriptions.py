"""What the registry says of a version: what was measured and decided, and where it comes from."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence

from tuning.display.formatting import format_value, metric_heading
from tuning.tracking.cells import TrackedCell
from tuning.tracking.runs import TAG
from tuning.tracking.ui.links import artifact, run_page, version_page
from tuning.tracking.ui.markdown import markdown_rows, spaced

_MEASURED = f"{TAG}measured"
_COLUMNS = {
    "colorizer": ("psnr", "ssim", "mse"),
    "regression": ("mse", "rmse_lab_a", "rmse_lab_b"),
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the gate measured of a version on the test set of `dataset_digest`, and decided.

    `rival` is the version that was champion then, empty if there was none; its metrics are empty
    too if it could not be measured.
    """

    dataset_digest: str
    decision: str
    metric: str
    test_metrics: Mapping[str, float]
    val_metrics: Mapping[str, float]
    constant_metrics: Mapping[str, float]
    rival: str = ""
    rival_metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def score(self) -> str:
        """The figure that decides, `test_psnr 28.84`; empty if older versions wrote none."""
        if self.metric not in self.test_metrics:
            return ""
        return f"{self.metric} {format_value(self.metric, self.test_metrics[self.metric])}"

    def tags(self) -> dict[str, str]:
        """As tags of the version: the figures that decide to be read, all others in one of JSON."""
        val_metric = self.metric.replace("test_", "val_")
        figures = {**self.test_metrics, **self.val_metrics}
        short = {
            f"{TAG}{name}": format_value(name, figures[name])
            for name in (self.metric, val_metric)
            if name in figures
        }
        document = json.dumps(dataclasses.asdict(self))
        return {**short, f"{TAG}decision": self.decision, _MEASURED: document}

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Measured:
        """Read the tags of a version back, also those that older versions wrote, one a figure."""
        with contextlib.suppress(KeyError, ValueError, TypeError):
            return cls(**json.loads(tags[_MEASURED]))
        return cls(
            dataset_digest=tags.get(f"{TAG}dataset_digest", ""),
            decision=tags.get(f"{TAG}decision", ""),
            metric="",
            test_metrics=_figures(tags, "test_"),
            val_metrics=_figures(tags, "val_"),
            constant_metrics=_figures(tags, "constant_"),
        )


def version_description(task: str, cell: TrackedCell, measured: Measured) -> str:
    """Write the Markdown that MLflow shows of a version: decision, scores, origin, picture."""
    parts = [
        f"{cell.run_name} {measured.decision}.",
        spaced(_scores(task, measured)),
        _origin(cell),
    ]
    if task == "colorizer":
        parts.append(f"![its pictures]({artifact(cell.run_id, 'sheet.png')})")
    return "\n\n".join(parts)


def _scores(task: str, measured: Measured) -> str:
    figures = {
        "this model, test": measured.test_metrics,
        f"{measured.rival}, test": measured.rival_metrics,
        "constant predictor, test": measured.constant_metrics,
        "this model, validation": {
            name.replace("val_", "test_"): value for name, value in measured.val_metrics.items()
        },
    }
    columns = [f"test_{name}" for name in _COLUMNS[task]]
    rows = [[name, *_texts(values, columns)] for name, values in figures.items() if values]
    return markdown_rows(["", *(metric_heading(column) for column in columns)], rows)


def _texts(values: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    return [format_value(name, values[name]) if name in values else "–" for name in columns]


def _origin(cell: TrackedCell) -> str:
    run = f"[{cell.run_name}]({run_page(cell.experiment_id, cell.run_id)})"
    launch = cell.launch_id
    if cell.parent_run_id is not None:
        launch = f"[{launch}]({run_page(cell.experiment_id, cell.parent_run_id)})"
    lines = [
        f"- Trained as {run} of launch {launch}",
        f"- Data: {cell.dataset}, digest `{cell.dataset_digest[:12]}`",
    ]
    if cell.parent_model is not None:
        name, _, version = cell.parent_model.removeprefix("models:/").partition("/")
        if version.isdecimal():
            address = version_page(name, version)
            lines.append(f"- Fine-tuned from [{name} version {version}]({address})")
        else:
            lines.append(f"- Fine-tuned from {version}, a cell of {name}")
    return "\n".join(lines)


def _figures(tags: Mapping[str, str], prefix: str) -> dict[str, float]:
    """The figures among the tags; one that somebody has edited into words is none."""
    found = {}
    for key, text in tags.items():
        with contextlib.suppress(ValueError):
            if key.startswith(f"{TAG}{prefix}"):
                found[key.removeprefix(TAG)] = float(text)
    return found
