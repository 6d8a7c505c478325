"""Launches in a process of their own, as `chromatune … --detach` starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tuning.cli.console import log_line
from tuning.errors import ChromatuneError


def start(
    words: Sequence[str],
    config: Any = None,
    *,
    tracking_uri: str | None = None,
    notify: str | None = None,
) -> str:
    """Run a command until its launch trains in the background; return what it prints then.

    Raises ChromatuneError with the command's error if there is no launch.
    """
    # Addresses with passwords are no words of a command line, which every user can read.
    secret = {"MLFLOW_TRACKING_URI": tracking_uri, "CHROMATUNE_NOTIFY": notify}
    given = {name: value for name, value in secret.items() if value is not None}
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "chromatune", *words, "--detach"]
        if config is not None:
            file = Path(scratch) / "config.yaml"
            document = config.model_dump(mode="json", exclude_unset=True, exclude={"notify"})
            file.write_text(yaml.safe_dump(document), encoding="utf-8")
            command += ["--config", str(file)]
        out, err = Path(scratch) / "out", Path(scratch) / "err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **given},
                start_new_session=True,
            )
            try:
                status = process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                process.wait()
                raise
        *messages, last = err.read_text("utf-8", "replace").splitlines() or [""]
        if status:
            raise ChromatuneError(last.removeprefix("error: "))
        for line in filter(None, (*messages, last)):
            log_line(line)
        return out.read_text("utf-8", "replace")
