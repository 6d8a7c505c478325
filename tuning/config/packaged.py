"""The configuration files that come with the program, found by their names, and the examples."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tuning.config.schema import configs_folder
from tuning.errors import ChromatuneError, nearest

# By which editors find the schema of a file.
_SCHEMA = re.compile(r"^# yaml-language-server: \$schema=(schemas/\w+\.json)$", re.MULTILINE)


def packaged_configs() -> dict[str, Path]:
    """The files by name, sorted; a name has no `.yaml`."""
    return {file.stem: file for file in sorted(configs_folder().glob("*.yaml"))}


def packaged_config(name: str) -> Path:
    """The file of that name; ChromatuneError, listing what there is, if there is none."""
    files = packaged_configs()
    stem = name.removesuffix(".yaml")
    if stem not in files:
        raise ChromatuneError(
            f"no packaged configuration is named '{stem}'{nearest(stem, files)} "
            f"(valid: {', '.join(files)})"
        )
    return files[stem]


def packaged_examples() -> list[Path]:
    """The example files, sorted."""
    folder = configs_folder().with_name("examples")
    return [file for file in sorted(folder.iterdir()) if file.suffix in (".py", ".sh", ".yaml")]


def description(file: Path) -> str:
    """The first line of a file's header, or of its docstring."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    lines = text.removeprefix("#!/bin/sh\n").partition("\n")
    return lines[0].removeprefix("# ")


def schema_of(file: Path) -> Path | None:
    """The schema that a file's header names, beside the file; None if there is none."""
    named = _SCHEMA.search(file.read_text(encoding="utf-8"))
    schema = file.parent / named[1] if named else None
    return schema if schema is not None and schema.is_file() else None


def find_config(file: Path) -> Path:
    """Return the file that `-c` means: `file`, or else the packaged one of this name.

    A name may lack `.yaml`, and stand in `configs/`, as in the source tree. Raises ChromatuneError
    if neither exists; a path into another folder is returned as it is.
    """
    if file.parent not in (Path(), Path("configs")):
        return file
    for own in (file, Path(f"{file}.yaml")):
        if own.exists() and not own.is_dir():
            return own
    try:
        return packaged_config(file.name)
    except ChromatuneError as error:
        raise ChromatuneError(
            f"cannot read the configuration {file}: there is no such file, and {error}"
        ) from None
