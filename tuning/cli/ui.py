"""`chromatune ui`: the MLflow UI and links to its pages, or a study in optuna-dashboard."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from tuning.cli.console import print_line
from tuning.cli.options import (
    AllowedHosts,
    Host,
    StoragePath,
    TrackingUri,
    option,
    resolve_storage,
    resolve_uri,
)
from tuning.errors import ChromatuneError

if TYPE_CHECKING:
    from tuning.tracking.ui.pages import Place

_Opened = Literal["experiment", "charts", "champion", "nothing"]
_MISSING = {
    "experiment": "no run yet: start with `chromatune grid colorizer`",
    "charts": "no run yet: start with `chromatune grid colorizer`",
    "champion": "no champion yet: run `chromatune promote colorizer`",
}


def ui(
    tracking_uri: TrackingUri = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, option("Port to listen on.", min=1, max=65535)] = 5000,
    allowed_hosts: AllowedHosts = None,
    study: Annotated[
        str | None,
        option(
            "Show the study of this search in optuna-dashboard instead: launch id, its folder, or "
            "`last`. Only to this machine, and only to read.",
            metavar="LAUNCH",
        ),
    ] = None,
    storage_path: StoragePath = None,
    experiment: Annotated[
        str | None, option("Experiment to link to [default: the last one with a run].")
    ] = None,
    open_: Annotated[
        _Opened | None,
        option(
            "Page to open in the browser [default: experiment, where there is a display].", "--open"
        ),
    ] = None,
) -> None:
    """Start the MLflow UI on the tracking store and print links to its pages.

    To listen beyond this machine, as with --host 0.0.0.0, it requires --allowed-hosts and a
    password for the user "admin" in MLFLOW_AUTH_ADMIN_PASSWORD. With a tracking server, which has
    its own UI, only the links are printed.
    """
    if study is not None:
        if tracking_uri or experiment or open_:
            raise ChromatuneError("--tracking-uri, --experiment and --open do not go with --study")
        _serve_study(study, resolve_storage(storage_path), host, port, allowed_hosts or [])
        return
    from tuning.tracking.reader import ui_address
    from tuning.tracking.store import is_server, prepare_store
    from tuning.tracking.ui.pages import find_places
    from tuning.tracking.ui.server import check_address, serve_ui

    uri = resolve_uri(tracking_uri)
    names = allowed_hosts or []
    address = None if is_server(uri) else check_address(host, port, names)
    prepare_store(uri)
    places = find_places(uri, experiment)
    opened = _opened(open_, places)
    if address is None:
        _show(ui_address(uri), places, opened)
    else:
        base, note = address.url, " (Ctrl-C stops it)"
        serve_ui(uri, address, lambda: _show(base, places, opened, note))


def _serve_study(name: str, storage_path: str, host: str, port: int, names: list[str]) -> None:
    from tuning.search.dashboard import serve_dashboard
    from tuning.tracking.ui.server import check_address
    from tuning.utils.hosts import is_loopback
    from tuning.workflows.search_study import find_study

    if not is_loopback(host):
        raise ChromatuneError(
            f"--host {host}: optuna-dashboard has no login; from another machine, use ssh -L"
        )
    address = check_address(host, port, names)
    storage, number = find_study(name, storage_path)
    page = f"{address.url}/dashboard/studies/{number}"
    serve_dashboard(
        *(storage, host, port, address.allowed_hosts),
        lambda: print_line(f"optuna-dashboard: {page} (Ctrl-C stops it)"),
    )


def _opened(wanted: _Opened | None, places: Mapping[str, Place]) -> str | None:
    """Which page to open in the browser, None for none."""
    if wanted is None:
        has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        return "experiment" if has_display and places else None
    if wanted != "nothing" and wanted not in places:
        raise ChromatuneError(f"--open {wanted}: {_MISSING[wanted]}")
    return wanted if wanted != "nothing" else None


def _show(base: str, places: Mapping[str, Place], opened: str | None, note: str = "") -> None:
    print_line(f"MLflow UI: {base}{note}")
    for place in places.values():
        print_line(f"{place.title}: {base}/{place.path}")
    if opened is not None:
        webbrowser.open(f"{base}/{places[opened].path}")
