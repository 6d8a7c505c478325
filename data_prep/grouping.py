"""The group of a picture, such as the person or the category that it shows, from its path."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from data_prep.errors import DataError
from data_prep.sources.labels import path_label

FOLDER, NONE = "folder", "none"


def check_rule(rule: str) -> None:
    """Raise DataError unless `rule` is `folder`, `none` or a regular expression with a group."""
    if rule in (FOLDER, NONE):
        return
    try:
        groups = re.compile(rule).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError(f"group_by '{rule}' is no regular expression: {error}") from None
    if groups < 1:
        raise DataError(
            f"group_by must be {FOLDER}, {NONE} or a regular expression with a group in "
            f"parentheses, but is '{rule}'"
        )


def path_group(name: str, rule: str) -> str | None:
    """Return the group in the path `name`, if any.

    `rule` is `subject` or `category` for the layouts of the known datasets, `folder` for the whole
    path of the folder, `none`, or a regular expression, whose first group is the group.
    """
    if rule == "subject":
        return path_label(name, "subject")
    if rule == "category":
        return path_label(name, "category")
    if rule == NONE:
        return None
    if rule == FOLDER:
        parent = PurePosixPath(name).parent.as_posix()
        return None if parent == "." else parent
    match = re.search(rule, name)
    return (match[1] or None) if match else None
