"""`chromatune colorize`."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.prompt import Prompt

from tuning.cli.console import FAILED, INTERRUPTED, log, results
from tuning.cli.options import Device, Format, TrackingUri
from tuning.display.formatting import format_count, format_duration
from tuning.errors import ChromatuneError

if TYPE_CHECKING:
    from tuning.inference.pipeline import Colorized, Failed
    from tuning.tracking.registry.catalog import ModelCard
    from tuning.tracking.registry.colorizers import Choice

_STATUS_LINE_EVERY_S = 10.0
_FAILURES_SHOWN = 20


def register(app: typer.Typer) -> None:
    app.command()(colorize)


def colorize(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures and folders of pictures.", show_default=False),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="faces | ncd | any dataset with a champion \\[default: asked for on a terminal].",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="This model instead of a champion: models:/NAME/VERSION."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("Recon"),
    evaluate: Annotated[
        bool,
        typer.Option("--evaluate", help="Compare with the colours that the pictures have."),
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write the model to this file, .safetensors or .onnx, usable without Chromatune.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    tracking_uri: TrackingUri = None,
    format_: Format = "table",
) -> None:
    """Colorize pictures with a champion of the registry."""
    if not pictures and export is None:
        raise ChromatuneError("name a picture or a folder: `chromatune colorize photo.jpg`")
    if mode is not None and model is not None:
        raise ChromatuneError("--mode and --model both choose a model: give one of them")
    from tuning.inference.inputs import list_jobs

    # Wrong paths are told before anything that takes seconds.
    listing = list_jobs(pictures, out) if pictures else None
    if export is not None:
        from tuning.inference.export import check_export

        check_export(export)
    from tuning.tracking.registry.catalog import find_model
    from tuning.tracking.registry.colorizers import load_colorizer
    from tuning.tracking.store import open_store
    from tuning.tracking.store import tracking_uri as resolve_uri
    from tuning.training.devices import pick_device

    where = pick_device(device)
    uri = resolve_uri(tracking_uri)
    open_store(uri)
    if export is not None and model is not None and listing is None:
        # Nothing is colorized, so a regressor will do.
        _export(find_model(model, uri), export, uri, results)
        return
    choice = _choice(mode, model, uri)
    if export is not None:
        _export(choice.colorizer, export, uri, results if listing is None else log)
    if listing is None:
        return
    colorizer, note = load_colorizer(choice, uri, where)
    log.print(_introduction(choice, where, colorizer.has_regressor), soft_wrap=True, markup=False)
    if note:
        log.print(note, soft_wrap=True, markup=False)
    from tuning.inference.pipeline import colorize_files

    work = colorize_files(
        listing.jobs, colorizer, caption=choice.colorizer.label, evaluate=evaluate
    )
    started = time.monotonic()
    outcome = _collect(work, len(listing.jobs))
    outcome.failed[:0] = listing.skipped
    _show(choice, outcome, format_, regressor=colorizer.has_regressor)
    asked = len(listing.jobs) + len(listing.skipped)
    count = f"{len(outcome.colorized)} of {format_count(asked, 'picture')}"
    seconds = format_duration(time.monotonic() - started)
    places = f"{out}/, side by side in {out}/sheets/"
    log.print(f"{count} colorized in {seconds}: {places}", soft_wrap=True, markup=False)
    if outcome.interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(FAILED if outcome.failed else 0)


def _choice(mode: str | None, model: str | None, uri: str) -> Choice:
    """What the options name; without any, what the answer at the terminal does."""
    from tuning.tracking.registry.colorizers import choose_mode, choose_model

    if model is not None:
        return choose_model(model, uri)
    return choose_mode(_asked_mode(uri) if mode is None else mode.lower(), uri)


def _export(card: ModelCard, path: Path, uri: str, console: Console) -> None:
    from tuning.inference.export import export_model
    from tuning.tracking.weights import load_registered

    for file in export_model(load_registered(card.uri, uri), path, card.label):
        console.print(f"{card.label}: {file}", soft_wrap=True, markup=False)


@dataclasses.dataclass
class _Outcome:
    colorized: list[Colorized] = dataclasses.field(default_factory=list)
    failed: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    interrupted: bool = False


def _collect(work: Iterator[Colorized | Failed], total: int) -> _Outcome:
    """Take in the results while showing how far they are; Ctrl-C keeps those that are written."""
    from tuning.inference.pipeline import Failed

    outcome = _Outcome()
    columns = (TextColumn("colorizing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last_line = time.monotonic()
    try:
        with Progress(*columns, console=log, transient=True, disable=not log.is_terminal) as bar:
            task = bar.add_task("", total=total)
            for number, one in enumerate(work, start=1):
                if isinstance(one, Failed):
                    outcome.failed.append((str(one.job.source), one.reason))
                else:
                    outcome.colorized.append(one)
                bar.update(task, completed=number)
                if not log.is_terminal and time.monotonic() - last_line >= _STATUS_LINE_EVERY_S:
                    last_line = time.monotonic()
                    log.print(f"{number} of {total} pictures")
    except KeyboardInterrupt:
        outcome.interrupted = True
    return outcome


def _show(choice: Choice, outcome: _Outcome, format_: str, *, regressor: bool) -> None:
    from tuning.workflows.colorize_table import colorized_document, colorized_table

    if format_ == "json":
        document = colorized_document(choice, outcome.colorized, outcome.failed)
        print(json.dumps(document, indent=2, allow_nan=False))
    elif outcome.colorized:
        results.print(colorized_table(outcome.colorized, regressor=regressor))
    for name, reason in outcome.failed[:_FAILURES_SHOWN]:
        log.print(f"not colorized: {name}: {reason}", soft_wrap=True, markup=False)
    if len(outcome.failed) > _FAILURES_SHOWN:
        log.print(f"and {len(outcome.failed) - _FAILURES_SHOWN} more (--format json lists all)")


def _asked_mode(uri: str) -> str:
    """Ask which champion to take; ChromatuneError where there is nobody to ask, or none."""
    from tuning.tracking.registry.catalog import list_models
    from tuning.tracking.registry.colorizers import champions, how_to_make_champions, score_text

    found = champions(list_models(uri, "colorizer"))
    if not found:
        raise ChromatuneError(f"there is no champion yet: {how_to_make_champions()}")
    if not (sys.stdin.isatty() and log.is_terminal):
        raise ChromatuneError(
            f"--mode is missing: it names the champion to take, here {' or '.join(found)}"
        )
    for name, card in found.items():
        log.print(f"  {name}: {card.label}{score_text(card)}", soft_wrap=True, markup=False)
    try:
        return Prompt.ask(
            "mode",
            choices=list(found),
            default=next(iter(found)),
            console=log,
            case_sensitive=False,
        )
    except EOFError:
        raise typer.Abort from None


def _introduction(choice: Choice, device: str, regressor: bool) -> str:
    from tuning.tracking.registry.colorizers import score_text

    line = f"{choice.colorizer.label}{score_text(choice.colorizer)} on {device}"
    if regressor and choice.regressor is not None:
        line += f"; means by {choice.regressor.label}{score_text(choice.regressor)}"
    return line
