"""All that one run of the whole job measured: as a JSON file, and that file as Markdown."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning.display.formatting import format_duration
from tuning.display.result_tables import table_from_json
from tuning.errors import ChromatuneError
from tuning.utils import provenance

if TYPE_CHECKING:
    from tuning.launch.outcomes import LaunchOutcome
    from tuning.workflows.reproduce import ReproduceConfig, Step

_FORMAT = "chromatune-results-1"
# Where files lie on one machine says nothing to another.
_LOCAL = {"storage_path", "address"}


def write_results(path: Path, config: ReproduceConfig, steps: Sequence[Step]) -> None:
    """Write the results file, replacing an older one in one step.

    Raises ChromatuneError if it cannot be written.
    """
    document = {
        "format": _FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": provenance.command(),
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "config": config.model_dump(mode="json", exclude=_LOCAL),
        "steps": [_step(step) for step in steps],
    }
    scratch = _scratch(path)
    try:
        scratch.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise _unwritable(path, error) from None


def check_results_path(path: Path) -> None:
    """Make the results file's folder; ChromatuneError if no file can be written there.

    Asked before a job of hours, so that it does not end with this.
    """
    scratch = _scratch(path)
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.touch()
        scratch.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def results_markdown(document: Mapping[str, Any]) -> str:
    """Lay a results file out as Markdown: a table for every step that has one.

    Raises ChromatuneError if `document` is no results file.
    """
    if document.get("format") != _FORMAT:
        raise ChromatuneError(f"not a results file of the format {_FORMAT}")
    hardware, versions = document["hardware"], document["versions"]
    blocks = [
        f"Measured on {document['created'][:10]} with `{document['command']}` on "
        f"{hardware['cores']} cores ({hardware['processor']}, {hardware['memory']}, GPUs: "
        f"{hardware['gpus']}), torch {versions['torch']}, Ray {versions['ray']}, one run (n = 1), "
        f"seed {document['config']['training']['seed']}."
    ]
    for step in document["steps"]:
        if step["table"] is None:
            continue
        heading = f"#### {step['title'].capitalize()}"
        blocks.append(f"{heading}\n\n{_cost(step)}{table_from_json(step['table']).markdown()}")
        if step["promotion"] is not None:
            blocks.append(f"Gate: {step['promotion']['sentence']}.")
    return "\n\n".join(block.rstrip() for block in blocks) + "\n"


def _scratch(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _unwritable(path: Path, error: OSError) -> ChromatuneError:
    reason = error.strerror or str(error)
    return ChromatuneError(
        f"cannot write the results to {path} ({reason}): choose another file with --results"
    )


def _step(step: Step) -> dict[str, Any]:
    return {
        "title": step.title,
        "seconds": round(step.seconds, 3),
        "line": step.line,
        "launch": _launch(step.conclusion.outcome) if step.conclusion else None,
        "table": step.table.to_json() if step.table else None,
        "promotion": (
            {**step.promotion.record(), "sentence": step.promotion.sentence}
            if step.promotion
            else None
        ),
    }


def _launch(outcome: LaunchOutcome) -> dict[str, Any]:
    document = outcome.launch.document
    return {
        "launch_id": outcome.launch.launch_id,
        "dataset_digest": document["dataset_digest"],
        "git_commit": document["git_commit"],
        "trials": len(outcome.launch.trainings),
        "wall_seconds": outcome.wall_seconds,
        "training_seconds": outcome.training_seconds,
        "parent_model": document["parent_model"],
    }


def _cost(step: Mapping[str, Any]) -> str:
    launch = step["launch"]
    if launch is None:
        return ""
    trials = f"{launch['trials']} trial{'' if launch['trials'] == 1 else 's'}"
    return (
        f"{trials} in {format_duration(launch['wall_seconds'])} of wall time, "
        f"{format_duration(launch['training_seconds'])} of training.\n\n"
    )
