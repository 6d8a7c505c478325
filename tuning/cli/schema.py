"""`chromatune schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tuning.cli.console import print_line, results
from tuning.cli.options import option
from tuning.errors import ChromatuneError

_Kind = Literal["grid", "finals", "search", "train", "finetune", "reproduce"]


def schema(
    kind: Annotated[
        _Kind | None,
        typer.Argument(help="Files of this command alone [default: all].".replace("[", r"\[")),
    ] = None,
    out: Annotated[
        Path, option("Folder for the files; - prints the schema of KIND.", metavar="FOLDER")
    ] = Path("schemas"),
) -> None:
    """Write JSON Schemas of the YAML files, by which editors complete and check them.

    A file names its own in a comment: # yaml-language-server: $schema=schemas/grid.json
    """
    from tuning.workflows.config_schemas import KINDS, json_text, write_schemas

    if str(out) == "-":
        if kind is None:
            raise ChromatuneError(f"--out - prints one schema: name it ({', '.join(KINDS)})")
        print(json_text(kind), end="", file=results.file)
        return
    for file in write_schemas(out, [kind] if kind else list(KINDS)):
        print_line(str(file))
