"""`chromatune colorize`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.prompt import Prompt

from tuning.cli.console import FAILED, INTERRUPTED, log, print_line, results
from tuning.cli.options import Device, Format, TrackingUri, option, resolve_uri
from tuning.display.formatting import format_count, format_duration
from tuning.errors import ChromatuneError

if TYPE_CHECKING:
    from tuning.inference.pipeline import Colorized
    from tuning.tracking.registry.catalog import ModelCard
    from tuning.tracking.registry.colorizers import Choice

_FAILURES_SHOWN = 20


def colorize(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Images and folders of images.")
    ] = None,
    mode: Annotated[
        str | None,
        option("faces | ncd | any dataset with a champion [default: asked for on a terminal]."),
    ] = None,
    model: Annotated[
        str | None, option("Registered model to use instead of a champion: models:/NAME/VERSION.")
    ] = None,
    out: Annotated[Path, option("Folder of the results.")] = Path("Recon"),
    evaluate: Annotated[
        bool, option("Compare the results with the images' own colours.", "--evaluate")
    ] = False,
    export: Annotated[
        Path | None, option("Also write the model to this .safetensors or .onnx file.")
    ] = None,
    device: Device = "auto",
    tracking_uri: TrackingUri = None,
    format_: Format = "table",
) -> None:
    """Colorize images with a champion of the model registry."""
    if not images and export is None:
        raise ChromatuneError("name an image or a folder: `chromatune colorize photo.jpg`")
    if mode is not None and model is not None:
        raise ChromatuneError("--mode and --model both choose a model: give one of them")
    from tuning.inference.inputs import list_jobs

    # Wrong paths are reported before anything that takes seconds.
    listing = list_jobs(images, out) if images else None
    if export is not None:
        from tuning.inference.export import check_export

        check_export(export)
    from tuning.tracking.registry.catalog import find_model
    from tuning.tracking.registry.colorizers import choose_mode, choose_model, load_colorizer
    from tuning.tracking.store import open_store
    from tuning.training.devices import pick_device

    where = pick_device(device)
    uri = resolve_uri(tracking_uri)
    open_store(uri)
    if export is not None and model is not None and listing is None:
        _export(find_model(model, uri), export, uri, results)  # of either task
        return
    if model is not None:
        choice = choose_model(model, uri)
    else:
        choice = choose_mode(_ask_mode(uri) if mode is None else mode.lower(), uri)
    if export is not None:
        _export(choice.colorizer, export, uri, results if listing is None else log)
    if listing is None:
        return
    colorizer, note = load_colorizer(choice, uri, where)
    print_line(_introduction(choice, where, colorizer.has_regressor), log)
    if note:
        print_line(note, log)
    from tuning.inference.pipeline import Failed, colorize_files

    started = time.monotonic()
    colorized: list[Colorized] = []
    failed = list(listing.skipped)
    interrupted = False
    work = colorize_files(
        listing.jobs, colorizer, caption=choice.colorizer.label, evaluate=evaluate
    )
    try:
        for result in track(
            work,
            "colorizing",
            total=len(listing.jobs),
            console=log,
            transient=True,
            disable=not log.is_terminal,
        ):
            if isinstance(result, Failed):
                failed.append((str(result.job.source), result.reason))
            else:
                colorized.append(result)
    except KeyboardInterrupt:
        interrupted = True  # what is written is listed all the same
    _show(choice, colorized, failed, format_, regressor=colorizer.has_regressor)
    total = format_count(len(listing.jobs) + len(listing.skipped), "image")
    seconds = format_duration(time.monotonic() - started)
    print_line(
        f"{len(colorized)} of {total} colorized in {seconds}: {out}/, side by side with the "
        f"originals in {out}/sheets/",
        log,
    )
    sys.exit(INTERRUPTED if interrupted else FAILED if failed else 0)


def _export(card: ModelCard, path: Path, uri: str, console: Console) -> None:
    from tuning.inference.export import export_model
    from tuning.tracking.weights import load_registered

    export_model(load_registered(card.uri, uri), path, card.label)
    print_line(f"{card.label}: {path}", console)


def _show(
    choice: Choice,
    colorized: Sequence[Colorized],
    failed: Sequence[tuple[str, str]],
    format_: str,
    *,
    regressor: bool,
) -> None:
    from tuning.display.table import terminal
    from tuning.workflows.colorize_table import colorized_document, colorized_table

    if format_ == "json":
        document = colorized_document(choice, colorized, failed)
        print(json.dumps(document, indent=2, allow_nan=False))
    elif colorized:
        results.print(terminal([colorized_table(colorized, regressor=regressor)]))
    for name, reason in failed[:_FAILURES_SHOWN]:
        print_line(f"not colorized: {name}: {reason}", log)
    if len(failed) > _FAILURES_SHOWN:
        log.print(f"and {len(failed) - _FAILURES_SHOWN} more (--format json lists all)")


def _ask_mode(uri: str) -> str:
    """Ask for a mode; ChromatuneError if there is no champion, or no terminal to ask on."""
    from tuning.tracking.registry.catalog import list_models
    from tuning.tracking.registry.colorizers import champions, how_to_make_champions, score_text

    found = champions(list_models(uri, "colorizer"))
    if not found:
        raise ChromatuneError(f"there is no champion yet: {how_to_make_champions()}")
    if not (sys.stdin.isatty() and log.is_terminal):
        raise ChromatuneError(f"--mode is missing; champions exist for {', '.join(found)}")
    for name, card in found.items():
        print_line(f"  {name}: {card.label}{score_text(card)}", log)
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
        line += f"; mean colours by {choice.regressor.label}{score_text(choice.regressor)}"
    return line
