"""`chromatune colorize`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.prompt import Prompt

from tuning.cli.console import FAILED, INTERRUPTED, log, print_document, print_line, results
from tuning.cli.options import (
    Device,
    Format,
    Imports,
    TrackingUri,
    TrustCode,
    option,
    resolve_uri,
)
from tuning.display.formatting import format_count, format_duration
from tuning.errors import ChromatuneError

if TYPE_CHECKING:
    from tuning.inference.inputs import Listing
    from tuning.tracking.registry.model_choice import Choice
    from tuning.workflows.colorize import Outcome


def colorize(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Images and folders of images.")
    ] = None,
    mode: Annotated[
        str | None,
        option("Dataset with a champion, such as faces [default: asked for on a terminal]."),
    ] = None,
    model: Annotated[
        str | None, option("Registered model to use instead of a champion: models:/NAME/VERSION.")
    ] = None,
    out: Annotated[Path, option("Folder of the results.")] = Path("Recon"),
    evaluate: Annotated[
        bool, option("Compare the results with the images' own colors.", "--evaluate")
    ] = False,
    export: Annotated[
        Path | None, option("Also write the model to this .safetensors or .onnx file.")
    ] = None,
    device: Device = "auto",
    tracking_uri: TrackingUri = None,
    import_: Imports = None,
    trust_code: TrustCode = False,
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
    from tuning.config.imports import allow_code
    from tuning.tracking.registry.catalog import find_model
    from tuning.tracking.registry.model_choice import choose_mode, choose_model, load_colorizer
    from tuning.tracking.store import open_store
    from tuning.training.devices import pick_device
    from tuning.workflows.colorize import colorize_listing, describe_models, export_card

    allow_code(import_ or (), trust=trust_code)
    where = pick_device(device)
    uri = resolve_uri(tracking_uri)
    open_store(uri)
    if export is not None and model is not None and listing is None:
        print_line(export_card(find_model(model, uri), export, uri))  # of either task
        return
    if model is not None:
        choice = choose_model(model, uri)
    else:
        choice = choose_mode(_ask_mode(uri) if mode is None else mode.lower(), uri)
    if export is not None:
        line = export_card(choice.colorizer, export, uri)
        print_line(line, results if listing is None else log)
    if listing is None:
        return
    colorizer, note = load_colorizer(choice, uri, where)
    for line in filter(None, (describe_models(choice, colorizer, where), note)):
        print_line(line, log)
    outcome = colorize_listing(listing, choice, colorizer, evaluate=evaluate, console=log)
    _show(choice, listing, outcome, format_, regressor=colorizer.has_regressor)
    total = format_count(len(listing.jobs) + len(listing.skipped), "image")
    print_line(
        f"{len(outcome.colorized)} of {total} colorized in {format_duration(outcome.seconds)}: "
        f"{out}/, side by side with the originals in {out}/sheets/",
        log,
    )
    sys.exit(INTERRUPTED if outcome.interrupted else FAILED if outcome.failed else 0)


def _show(
    choice: Choice, listing: Listing, outcome: Outcome, format_: str, *, regressor: bool
) -> None:
    from data_prep.sources.image_files import describe_ignored
    from tuning.display.table import terminal
    from tuning.workflows.colorize import colorized_document, colorized_table

    if format_ == "json":
        document = colorized_document(choice, listing, outcome)
        print_document(document)
    elif outcome.colorized:
        results.print(terminal([colorized_table(outcome.colorized, regressor=regressor)]))
    for result in outcome.colorized:
        for note in result.notes:
            print_line(f"note on {result.job.name}: {note}", log)
    for name, reason in outcome.failed:
        print_line(f"not colorized: {name}: {reason}", log)
    if listing.ignored:
        print_line(describe_ignored(listing.ignored), log)


def _ask_mode(uri: str) -> str:
    """Ask for a mode; ChromatuneError if there is no champion, or no terminal to ask on."""
    from tuning.tracking.registry.model_choice import score_text
    from tuning.workflows.colorize import modes

    found = modes(uri)
    if not (sys.stdin.isatty() and log.is_terminal):
        raise ChromatuneError(f"--mode is missing; champions exist for {', '.join(found)}")
    for name, card in found.items():
        print_line(f"  {name}: {card.label}{score_text(card)}", log)
    names = list(found)
    try:
        return Prompt.ask(
            "mode", choices=names, default=names[0], console=log, case_sensitive=False
        )
    except EOFError:
        raise typer.Abort from None
