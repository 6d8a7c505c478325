"""Subjects and categories, read from a picture's path or its JPEG comment.

Supports the layouts of the official archives: `gt_db/s01/01.jpg` (the folder is the person), flat
`image00000.jpg` with the person in the JPEG comment, and `ColorfulOriginal/<category>/…`.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

_SUBJECT = re.compile(r"s0*([1-9]\d*)", re.IGNORECASE)
_COLOUR_FOLDER = "colorfuloriginal"


def path_label(name: str, grouping: Literal["subject", "category"]) -> str | None:
    """Return the subject (as `s1`) or category in the path `name`, if any."""
    folders = PurePosixPath(name).parts[:-1]
    if not folders:
        return None
    if grouping == "subject":
        return subject_id(folders[-1])
    lowered = [folder.lower() for folder in folders]
    if _COLOUR_FOLDER in lowered:
        below = folders[lowered.index(_COLOUR_FOLDER) + 1 :]
        return below[0] if below else None
    return folders[-1]


def subject_id(text: str) -> str | None:
    """Return `s1` for `s1`, `S01` or `s001`; None for anything else."""
    match = _SUBJECT.fullmatch(text.strip())
    return f"s{match[1]}" if match else None
