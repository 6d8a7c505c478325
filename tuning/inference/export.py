"""A model as files usable without this project: ONNX, or safetensors with plain PyTorch."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import re
import runpy
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models import ChromaModel, save_model
from tuning.errors import ChromatuneError, nearest
from tuning.inference.export_source import MARK, python_source, trace

SUFFIXES = (".safetensors", ".onnx")
_NEEDED = ("onnx", "onnxscript", "onnxruntime")
# Of values in [0, 1]; a level of 8-bit Lab is 4e-3.
_TOLERANCE = 1e-4
_NOISY_LOGGER = "torch.onnx"

Floats = npt.NDArray[np.float32]


def check_export(path: Path) -> None:
    """Raise ChromatuneError if no model can be exported to `path`, before one is loaded."""
    if path.suffix not in SUFFIXES:
        raise ChromatuneError(
            f"--export {path}: the name must end in {' or '.join(SUFFIXES)}"
            f"{nearest(path.suffix, SUFFIXES)}"
        )
    if not re.fullmatch(r"[\w.-]+", path.name):
        raise ChromatuneError(
            f"--export {path}: the name may hold letters, digits, '.', '_' and '-' only"
        )
    if not path.parent.is_dir():
        raise ChromatuneError(f"--export {path}: there is no folder {path.parent}")
    if path.suffix == ".onnx":
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise ChromatuneError(
                f"--export {path} needs {', '.join(missing)}: pip install 'chromatune[export]'"
            )
        return
    program = path.with_suffix(".py")
    if program.exists() and not program.read_bytes().startswith(MARK.encode()):
        raise ChromatuneError(
            f"--export {path} writes {program} too, and one is there that was not exported: "
            f"choose another name"
        )


def export_model(model: ChromaModel, path: Path, label: str) -> list[Path]:
    """Write the model to `path` and return the files that were written.

    An .onnx file is one; a .safetensors file gets a Python file of its name beside it, which
    holds the network as plain PyTorch. Each is loaded again and must predict what the model does
    before it appears under its name: ChromatuneError if it does not.
    """
    model = model.cpu().eval()
    try:
        # In a folder of its own, so that an interrupted export leaves nothing under its name.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as scratch:
            draft = Path(scratch) / path.name
            if path.suffix == ".onnx":
                _write_onnx(model, draft, label)
                _check(model, _onnx_predict(draft), path)
            else:
                save_model(model, draft)
                draft.with_suffix(".py").write_text(
                    python_source(model, label=label, module=path.stem, weights=path.name)
                )
                _check(model, _python_predict(draft.with_suffix(".py")), path)
            # The file that was asked for comes last: with it the other is there too.
            written = sorted(Path(scratch).iterdir())
            return [file.replace(path.parent / file.name) for file in written]
    except OSError as error:
        raise ChromatuneError(f"cannot write {path}: {error.strerror or error}") from None


def _write_onnx(model: ChromaModel, path: Path, label: str) -> None:
    with _quiet():
        program = torch.onnx.export(
            trace(model), dynamo=True, input_names=["L"], output_names=["ab"], verbose=False
        )
    assert program is not None
    is_colorizer = model.task == "colorizer"
    what = "the a and the b plane" if is_colorizer else "mean a and mean b"
    program.model.doc_string = (
        f"{label} of Chromatune. L: L planes of OpenCV's 8-bit Lab, divided by 255. ab: {what} in "
        f"[0, 1]; 255 * ab - 128 are a* and b*."
    )
    program.save(path, external_data=False)


def _onnx_predict(path: Path) -> Callable[[Floats], Floats]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda L: np.asarray(session.run(None, {"L": L})[0])


def _python_predict(path: Path) -> Callable[[Floats], Floats]:
    functions: dict[str, Any] = runpy.run_path(str(path))
    weights = functions["load"]()
    return lambda L: np.asarray(functions["predict"](weights, torch.from_numpy(L)))


def _check(model: ChromaModel, predict: Callable[[Floats], Floats], path: Path) -> None:
    size = int(model.spec["image_size"])
    for count in (1, 3):
        L = np.random.default_rng(count).random((count, 1, size, size), dtype=np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(L)).numpy()
        error = float(np.abs(predict(L) - expected).max())
        if not error <= _TOLERANCE:
            raise ChromatuneError(
                f"--export {path}: the exported model predicts something else, by up to {error:.2g}"
            )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what PyTorch's exporter has to say about packages that nothing here needs."""
    logger = logging.getLogger(_NOISY_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
