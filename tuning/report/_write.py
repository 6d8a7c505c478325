"""Writes a report's files, each whole or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from tuning.errors import ChromatuneError, nearest
from tuning.report._document import Report
from tuning.report._html import render_html
from tuning.report._markdown import FIGURES, figure_files, render_markdown
from tuning.report._pdf import render_pdf

Format = Literal["html", "pdf", "md"]
FORMATS: tuple[Format, ...] = get_args(Format)
# Without the PDF where its library is not published for the machine.
_DEFAULT: tuple[Format, ...] = ("html", "pdf") if find_spec("plutoprint") else ("html",)


def write_report(report: Report, folder: Path, formats: Sequence[Format] = ()) -> list[Path]:
    """Write a report into `folder` and return the files that were written.

    They are `index.html`, `report.pdf` and `report.md` with its pictures in `figures/`, by default
    the first two. Raises ChromatuneError if one cannot be written.
    """
    formats = formats or _DEFAULT
    contents: dict[Path, bytes] = {}
    if "html" in formats:
        contents[folder / "index.html"] = render_html(report).encode()
    if "pdf" in formats:
        contents[folder / "report.pdf"] = render_pdf(report)
    if "md" in formats:
        contents |= {folder / FIGURES / key: png for key, png in figure_files(report).items()}
        contents[folder / "report.md"] = render_markdown(report).encode()
    check_report_folder(folder)
    with _writing(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as scratch:
        for path, content in contents.items():
            path.parent.mkdir(exist_ok=True)
            draft = Path(scratch) / path.name
            draft.write_bytes(content)
            draft.replace(path)
    return [path for path in contents if path.parent == folder]


def checked_format(word: str) -> Format:
    """Return `word`; ChromatuneError with the nearest valid format if it is not one."""
    if word not in FORMATS:
        valid = ", ".join(FORMATS)
        raise ChromatuneError(f"unknown format '{word}'{nearest(word, FORMATS)} (valid: {valid})")
    return word


def check_report_folder(folder: Path) -> None:
    """Make the folder; ChromatuneError if no file can be written there.

    Called before a job of hours, so that the job does not fail at its end.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ChromatuneError(
            f"cannot write the report to {folder} ({reason}): choose another folder"
        ) from None
