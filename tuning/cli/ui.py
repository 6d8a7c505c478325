"""`chromatune ui`: the MLflow UI, and where in it to look."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuning.cli.console import results
from tuning.cli.options import TrackingUri
from tuning.errors import ChromatuneError

if TYPE_CHECKING:
    from tuning.tracking.ui.pages import Place

_Opened = Literal["experiment", "comparison", "champion", "nothing"]
_MISSING = {
    "experiment": "nothing is trained yet: start with `chromatune grid`",
    "comparison": "there are no two finished cells to compare yet",
    "champion": "there is no champion yet: `chromatune promote` makes one",
}


def register(app: typer.Typer) -> None:
    app.command()(ui)


def ui(
    tracking_uri: TrackingUri = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond loopback, MLflow asks for a login.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 5000,
    allowed_hosts: Annotated[
        str | None,
        typer.Option(help="name,name: what browsers may call this machine \\[default: localhost]."),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Experiment to show \\[default: the last trained in].")
    ] = None,
    open_: Annotated[
        _Opened | None,
        typer.Option(
            "--open",
            help="Page to open in the browser \\[default: experiment, where there is a display].",
        ),
    ] = None,
) -> None:
    """Serve the MLflow UI on the tracking store, and say where in it to look.

    --host 0.0.0.0 lets other machines in: it demands --allowed-hosts, and a password for the user
    admin in MLFLOW_AUTH_ADMIN_PASSWORD. Of a tracking server, which has a UI, only the pages are
    named.
    """
    from tuning.tracking.store import is_server, prepare_store
    from tuning.tracking.store import tracking_uri as resolve_uri
    from tuning.tracking.ui.pages import find_places
    from tuning.tracking.ui.serve import check_address, serve_ui

    uri = resolve_uri(tracking_uri)
    names = [name.strip() for name in (allowed_hosts or "").split(",") if name.strip()]
    address = None if is_server(uri) else check_address(host, port, names)
    prepare_store(uri)
    places = find_places(uri, experiment)
    opened = _opened(open_, places)
    if address is None:
        _show(_without_password(uri), places, opened)
    else:
        base, note = address.url, "Ctrl-C ends it"
        serve_ui(uri, address, lambda: _show(base, places, opened, note))


def _opened(wanted: _Opened | None, places: Mapping[str, Place]) -> str | None:
    """Which page to open in the browser, None for none."""
    if wanted is None:
        has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        return "experiment" if has_display and places else None
    if wanted != "nothing" and wanted not in places:
        raise ChromatuneError(f"--open {wanted}: {_MISSING[wanted]}")
    return wanted if wanted != "nothing" else None


def _show(base: str, places: Mapping[str, Place], opened: str | None, note: str = "") -> None:
    lines = [("MLflow UI", f"{base}{f' ({note})' if note else ''}")]
    lines += [(place.title, f"{base}/{place.path}") for place in places.values()]
    for title, url in lines:
        results.print(f"{title}: {url}", soft_wrap=True, markup=False)
    if opened is not None:
        webbrowser.open(f"{base}/{places[opened].path}")


def _without_password(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}".rstrip("/")
