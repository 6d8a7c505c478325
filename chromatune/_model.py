"""Registered models: promoted, loaded, at work on arrays and files."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import numpy.typing as npt

from chromatune._keywords import Files, PreparedKeywords, Task, as_files, as_options
from chromatune._process import unchanged
from data_prep import rgb_to_lab
from models import ChromaModel
from tuning.cli.console import log, log_line
from tuning.cli.options import PreparedDataOptions, resolve_uri
from tuning.config.imports import allow_code
from tuning.display.formatting import format_value
from tuning.errors import ChromatuneError
from tuning.inference.predict import paint, predict_plane
from tuning.tracking.registry.catalog import ModelCard, find_model
from tuning.training.tasks import checked_task
from tuning.utils.environment import expanded
from tuning.workflows.colorize import Outcome

Device = Literal["auto", "cpu", "cuda"]
_LEVELS, _NEUTRAL = 255, 128  # of 8-bit Lab


class Model:
    """A model of the registry. Made by `load_model` and `promote`.

    `decision` says what the gate decided about it, if it has passed through it.
    """

    def __init__(self, card: ModelCard, network: ChromaModel, device: str, decision: str) -> None:
        self._card = card
        self._network = network.to(device).eval()
        self._device = device
        self.decision = decision

    @property
    def name(self) -> str:
        return self._card.name

    @property
    def version(self) -> int | None:
        """Its number in the registry; None if it is not registered."""
        return self._card.version

    @property
    def task(self) -> str:
        return self._card.task

    @property
    def is_champion(self) -> bool:
        """Whether it had the alias `champion` when it was loaded."""
        return self._card.is_champion

    @property
    def metrics(self) -> Mapping[str, float]:
        """Its finite metrics on val and test, and the constant predictor's `constant_test_…`."""
        return dict(self._card.scores)

    def colorize(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Color an image: uint8 gray (H, W) or RGB (H, W, 3) to uint8 RGB (H, W, 3).

        Only its lightness is used, and kept. Raises ChromatuneError for another array, or if the
        model predicts means alone.
        """
        if self.task != "colorizer":
            raise ChromatuneError(f"{self._card.label} predicts mean colors: use predict_mean")
        plane = _lightness(image)
        return paint(plane, predict_plane(self._network, plane, self._device))

    def predict_mean(self, image: npt.NDArray[np.uint8]) -> tuple[float, float]:
        """Predict the mean a* and b* of an image, in Lab units; the image as for `colorize`."""
        predicted = predict_plane(self._network, _lightness(image), self._device)
        mean = predicted.reshape(2, -1).mean(axis=1, dtype=np.float64) * _LEVELS - _NEUTRAL
        return float(mean[0]), float(mean[1])

    def __repr__(self) -> str:
        champion = ", champion" if self.is_champion else ""
        return f"<Model {self._card.label}{champion}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{format_value(name, value)}</td></tr>"
            for name, value in self.metrics.items()
        )
        title = html.escape(repr(self).strip("<>"))
        return f"<p><b>{title}</b> {html.escape(self.decision)}</p><table>{rows}</table>"


@unchanged()
def load_model(
    model: str,
    *,
    device: Device = "auto",
    tracking_uri: str | None = None,
    import_: Files = (),
    trust_code: bool = False,
) -> Model:
    """Load a registered model, such as `faces-colorizer@champion` or `faces-colorizer/3`.

    One that brings code needs the same files in `import_`, or `trust_code`. Raises ChromatuneError
    if there is no such model.
    """
    allow_code(as_files(import_), trust=trust_code)
    return _load(f"models:/{model.removeprefix('models:/')}", resolve_uri(tracking_uri), device)


@unchanged()
def promote(
    task: Task,
    *,
    run_id: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    device: Device = "auto",
    tracking_uri: str | None = None,
    import_: Files = (),
    trust_code: bool = False,
    **keywords: Unpack[PreparedKeywords],
) -> Model:
    """Evaluate the best cell on the test set, register it, and make it champion if it wins.

    The model's `decision` says what was decided, `is_champion` whether it is champion now. With
    `dry_run` nothing is registered. Keywords say which dataset. Raises ChromatuneError if there is
    nothing to promote.
    """
    from tuning.tracking.registry.promotion import promote as promote_run
    from tuning.training.devices import pick_device

    checked_task(task)
    dataset = as_options(PreparedDataOptions, keywords).open_data()
    allow_code(as_files(import_), trust=trust_code)
    uri = resolve_uri(tracking_uri)
    settings: dict[str, Any] = {"run_id": run_id, "force": force, "dry_run": dry_run}
    promotion = promote_run(dataset, task, uri, device=pick_device(device), **settings)
    log_line(promotion.sentence)
    version = promotion.version
    model = f"{promotion.name}/{version}" if version is not None else promotion.cell.model_id
    return _load(f"models:/{model}", uri, device, promotion.measured.decision)


@unchanged()
def colorize(
    images: Files = (),
    *,
    mode: str | None = None,
    model: str | None = None,
    out: str | Path = "Recon",
    evaluate: bool = False,
    export: str | Path | None = None,
    device: Device = "auto",
    tracking_uri: str | None = None,
    import_: Files = (),
    trust_code: bool = False,
) -> Outcome:
    """Colorize image files and folders into `out`, with the champion of the dataset `mode`.

    `model` is another registered model; `export` also writes the model to a .safetensors or .onnx
    file. Returns what was `colorized`, with the scores of `evaluate`, and what `failed`, with the
    reason. Raises ChromatuneError if there is no such image or model, KeyboardInterrupt after
    Ctrl-C.
    """
    from tuning.inference.export import check_export
    from tuning.inference.inputs import list_jobs
    from tuning.tracking.registry.model_choice import choose_mode, choose_model, load_colorizer
    from tuning.tracking.store import open_store
    from tuning.training.devices import pick_device
    from tuning.workflows.colorize import colorize_listing, export_card

    if (mode is None) == (model is None):
        raise ChromatuneError("give either mode, a dataset with a champion, or model")
    paths = as_files(images)
    if not paths and export is None:
        raise ChromatuneError("there is nothing to do: give images, export or both")
    listing = list_jobs([expanded(path) for path in paths], expanded(out)) if paths else None
    file = None if export is None else expanded(export)
    if file is not None:
        check_export(file)
    allow_code(as_files(import_), trust=trust_code)
    uri = resolve_uri(tracking_uri)
    open_store(uri)
    if file is not None and model is not None and listing is None:
        log_line(export_card(find_model(model, uri), file, uri))  # of either task
        return Outcome([], [])
    choice = choose_mode(mode.lower(), uri) if mode is not None else choose_model(str(model), uri)
    if file is not None:
        log_line(export_card(choice.colorizer, file, uri))
    if listing is None:
        return Outcome([], [])
    colorizer, note = load_colorizer(choice, uri, pick_device(device))
    if note:
        log_line(note)
    outcome = colorize_listing(listing, choice, colorizer, evaluate=evaluate, console=log)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome


@unchanged()
def report(
    *,
    out: str | Path = "report",
    format_: str | Sequence[str] = ("html", "pdf"),
    dataset: str | None = None,
    target: str | None = None,
    published_curves: str | Path | None = None,
    photographs: bool = True,
    mlflow_url: str | None = None,
    tracking_uri: str | None = None,
) -> list[Path]:
    """Write a report of the tracking store into the folder `out`; return its files.

    Keywords are the options of `chromatune report`. Raises ChromatuneError if the store holds
    nothing to report.
    """
    from tuning.report import (
        build_report,
        check_report_folder,
        checked_format,
        read_published_curves,
        write_report,
    )
    from tuning.tracking.reader import read_store

    words = [format_] if isinstance(format_, str) else format_
    formats = [checked_format(word) for word in words]
    check_report_folder(Path(out))
    url = "" if mlflow_url == "none" else mlflow_url
    curves = read_published_curves(Path(published_curves)) if published_curves else {}
    made = build_report(
        *read_store(resolve_uri(tracking_uri), url),
        dataset=dataset,
        target=target,
        photographs=photographs,
        published_curves=curves,
    )
    return list(write_report(made, Path(out), formats))


def _load(model_uri: str, tracking_uri: str, device: str, decision: str | None = None) -> Model:
    from tuning.tracking.fetch_weights import load_registered
    from tuning.tracking.store import open_store
    from tuning.training.devices import pick_device

    open_store(tracking_uri)
    card, where = find_model(model_uri, tracking_uri), pick_device(device)
    network = load_registered(card.uri, tracking_uri, where)
    return Model(card, network, where, card.decision if decision is None else decision)


def _lightness(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The L plane of a gray or an RGB image, 8-bit Lab; ChromatuneError for another array."""
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ChromatuneError(
            f"an image is a uint8 array (H, W) or (H, W, 3), but got {pixels.dtype} {pixels.shape}"
        )
    rgb = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels
    if rgb.shape[2] != 3:
        raise ChromatuneError(f"a color image has the shape (H, W, 3), but got {rgb.shape}")
    return np.ascontiguousarray(rgb_to_lab(np.ascontiguousarray(rgb))[..., 0])
