"""`chromatune configs | examples`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from tuning.cli.console import print_document, print_line, results
from tuning.cli.options import Format, config_names, option
from tuning.errors import ChromatuneError


def configs(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Print this one [default: list all].".replace("[", r"\["),
            autocompletion=config_names,
        ),
    ] = None,
    copy: Annotated[
        Path | None,
        option("Copy it, or all, into this folder, to change them.", metavar="FOLDER"),
    ] = None,
    format_: Format = "table",
) -> None:
    """List the packaged configurations, which `-c NAME` takes; print one, or copy them."""
    from tuning.config.packaged import description, packaged_config, packaged_configs

    files = packaged_configs() if name is None else {name: packaged_config(name)}
    if copy is not None:
        _copy(list(files.values()), copy)
    elif name is not None:
        print(files[name].read_text(encoding="utf-8"), end="", file=results.file)
    elif format_ == "json":
        rows = [{"name": n, "description": description(file)} for n, file in files.items()]
        print_document(rows)
    else:
        width = max(map(len, files))
        for stem, file in files.items():
            print_line(f"{stem:<{width}}  {description(file)}")


def examples(
    copy: Annotated[
        Path | None, option("Copy them into this folder, to change them.", metavar="FOLDER")
    ] = None,
) -> None:
    """List examples: images, a network, a loss and metrics of your own; or copy them."""
    from tuning.config.packaged import description, packaged_examples

    files = packaged_examples()
    if copy is not None:
        _copy(files, copy)
        return
    width = max(len(file.name) for file in files)
    for file in files:
        print_line(f"{file.name:<{width}}  {description(file)}")


def _copy(files: list[Path], folder: Path) -> None:
    """Copy files and print where they are; none if one is there already.

    Their schemas, by which editors check them, come with them.
    """
    from tuning.config.packaged import schema_of

    targets = [folder / file.name for file in files]
    try:
        for target in targets:
            if target.exists():
                raise ChromatuneError(f"{target} exists: rename it, or copy into another folder")
        folder.mkdir(parents=True, exist_ok=True)
        for file, target in zip(files, targets, strict=True):
            scratch = target.with_name(f".{target.name}.tmp")
            shutil.copyfile(file, scratch)
            scratch.replace(target)
            print_line(str(target))
            if schema := schema_of(file):
                copy = folder / schema.relative_to(file.parent)
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(schema, copy)
    except OSError as error:
        raise ChromatuneError(f"cannot copy into {folder}: {error.strerror}") from None
