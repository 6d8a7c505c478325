"""The committed YAML files: each is valid, says what runs it, and is the experiment it claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuning.config.schema import (
    REPORT_GRIDS,
    FinalsLaunchConfig,
    FinetuneLaunchConfig,
    GridLaunchConfig,
    LaunchConfig,
    TrainLaunchConfig,
    configs_folder,
    resolve,
)
from tuning.config.search import SearchLaunchConfig
from tuning.workflows.reproduce import ReproduceConfig

_SCHEMAS: dict[str, type[LaunchConfig]] = {
    "grid": GridLaunchConfig,
    "finals": FinalsLaunchConfig,
    "finetune": FinetuneLaunchConfig,
    "reproduce": ReproduceConfig,
    "search": SearchLaunchConfig,
    "champion": TrainLaunchConfig,
}
# Files named after what they make instead of the command that makes it.
_COMMANDS = {"champion": "train"}
_FILES = sorted(configs_folder().glob("*.yaml"))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_every_file_is_valid_and_headed_by_the_command_that_runs_it(file: Path) -> None:
    kind = file.stem.partition("_")[0]
    resolve(_SCHEMAS[kind], file=file)
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    command = f"chromatune {_COMMANDS.get(kind, kind)}"
    commands = [line for line in header if command in line]
    preset = file.stem.removeprefix("reproduce_")
    assert any(
        c.endswith(f"-c {file.stem}") or f"-c {file.stem} " in c or f"--preset {preset}" in c
        for c in commands
    )


@pytest.mark.parametrize("task", ["regression", "colorizer"])
def test_the_report_grids_written_out_are_the_defaults(task: str) -> None:
    written = resolve(GridLaunchConfig, file=configs_folder() / f"grid_{task}.yaml")
    grid = REPORT_GRIDS[task]  # type: ignore[index]
    default = resolve(GridLaunchConfig, defaults={"grid": grid})
    assert written == default
