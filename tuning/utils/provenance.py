"""Where a result came from: code, versions and hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import torch

from tuning.utils.redaction import redact

_PACKAGES = (
    "chromatune",
    "torch",
    "ray",
    "optuna",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "safetensors",
)


def versions() -> dict[str, str]:
    """Versions of Python and of every package that can change a number."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str]:
    """The machine: processor, cores this process may use, memory, GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    found["gpus"] = ", ".join(gpus) or "none"
    return found


def git_commit() -> str | None:
    """Commit of the source tree this runs from, with `-dirty` if it was changed since."""
    here = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match="],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def command() -> str:
    """The command line that started this process, ready to paste, without secrets."""
    program = Path(sys.argv[0])
    words = [program.name]
    if program.name == "__main__.py":  # `python -m tuning`
        words = ["python", "-m", program.parent.name]
    return redact(shlex.join([*words, *map(redact, sys.argv[1:])]))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
