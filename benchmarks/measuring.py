"""What every benchmark of `make bench` writes: claims, each with its bar and what was measured."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tuning.utils import provenance

RESULTS = Path(__file__).parent / "results"

# For the sake of other ways, which are measured with all else as Ray and MLflow have it.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


@dataclasses.dataclass(frozen=True)
class Claim:
    """One line of the table: what is claimed, the bar, and a value for every run.

    `passes_at` says on which side of `bar` the median must be. Without `values` the claim was not
    measured, and `note` says why.
    """

    name: str
    unit: str
    bar: float
    passes_at: Literal["least", "most"]
    values: Sequence[float]
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the median passes the bar; None if nothing was measured."""
        if not self.values:
            return None
        return self.median >= self.bar if self.passes_at == "least" else self.median <= self.bar


def write(name: str, claims: Sequence[Claim], **details: Any) -> Path:
    """Write `benchmarks/results/<name>.json`, replacing the older one in one step."""
    document = {
        "command": shlex.join(
            ["python", "-m", f"benchmarks.{name}", *map(_portable, sys.argv[1:])]
        ),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": provenance.git_commit(),
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "claims": [dataclasses.asdict(claim) for claim in claims],
        **details,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    scratch.replace(path)
    if claims:
        print(table([document]))
    return path


def table(documents: Sequence[Mapping[str, Any]]) -> str:
    """Lay out the claims of results files as one Markdown table."""
    lines = [
        "| claim | bar | median | min | max | n | |",
        "|---|---|---|---|---|---|---|",
    ]
    for document in documents:
        for one in document["claims"]:
            lines.append(_row(Claim(**one)))
    return "\n".join(lines) + "\n"


def timed(command: Sequence[str], log: Path) -> float:
    """Run a command of this Python to its end and return the seconds it took.

    Its output goes to `log`; a command that fails ends the benchmark with the last of it.
    """
    started = time.perf_counter()
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_QUIET},
            check=False,
        )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)} failed:\n{log.read_text()[-2000:]}")
    return seconds


def _portable(word: str) -> str:
    """A word of the command as it may be published: no folders of this machine."""
    return Path(word).name if Path(word).is_absolute() else word


def _row(claim: Claim) -> str:
    bar = f"{'≥' if claim.passes_at == 'least' else '≤'} {claim.bar:g}{claim.unit}"
    if claim.is_met is None:
        return f"| {claim.name} | {bar} | | | | 0 | not measured: {claim.note} |"
    figures = " | ".join(
        f"{_three_digits(value)}{claim.unit}"
        for value in (claim.median, min(claim.values), max(claim.values))
    )
    verdict = "met" if claim.is_met else "**missed**"
    note = f": {claim.note}" if claim.note else ""
    return f"| {claim.name} | {bar} | {figures} | {len(claim.values)} | {verdict}{note} |"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
