"""A model as a file that is usable without this project: safetensors or ONNX."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from models import ChromaModel, save_model
from tuning.errors import ChromatuneError, nearest
from tuning.training.tasks import CRITERIA

SUFFIXES = (".safetensors", ".onnx")
_NEEDED = ("onnx", "onnxscript", "onnxruntime")
# Of values in [0, 1]; a level of 8-bit Lab is 4e-3.
_TOLERANCE = 1e-4


def check_export(path: Path) -> None:
    """Raise ChromatuneError if no model can be exported to `path`, before one is loaded."""
    if path.suffix not in SUFFIXES:
        raise ChromatuneError(
            f"--export {path}: the name must end in {' or '.join(SUFFIXES)}"
            f"{nearest(path.suffix, SUFFIXES)}"
        )
    if not path.parent.is_dir():
        raise ChromatuneError(f"--export {path}: there is no folder {path.parent}")
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if path.suffix == ".onnx" and missing:
        raise ChromatuneError(
            f"--export {path} needs {', '.join(missing)}: pip install 'chromatune[export]'"
        )


def export_model(model: ChromaModel, path: Path, label: str) -> None:
    """Write the model to `path`, whole or not at all.

    An .onnx file must predict what the model does: ChromatuneError if it does not, or if the file
    cannot be written.
    """
    model = model.cpu().eval()
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as scratch:
            draft = Path(scratch) / path.name
            if path.suffix == ".onnx":
                _write_onnx(model, draft, label)
                _check_onnx(model, draft, path)
            else:
                save_model(model, draft)
            draft.replace(path)
    except OSError as error:
        raise ChromatuneError(f"cannot write {path}: {error.strerror or error}") from None


def _write_onnx(model: ChromaModel, path: Path, label: str) -> None:
    size = int(model.spec["image_size"])
    # Two images, because a single one would be taken for the only possible number.
    example = (torch.zeros(2, 1, size, size),)
    shapes = {"L": {0: torch.export.Dim("images", min=1)}}
    # PyTorch's exporter logs about packages that are not needed here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            torch.export.export(model, example, dynamic_shapes=shapes),
            dynamo=True,
            input_names=["L"],
            output_names=["ab"],
            verbose=False,
        )
    assert program is not None
    predicts_planes = CRITERIA[model.task].predicts_planes
    what = "the a and the b plane" if predicts_planes else "mean a and mean b"
    program.model.doc_string = (
        f"{label} of Chromatune. L: L planes of OpenCV's 8-bit Lab, divided by 255. ab: {what} in "
        f"[0, 1]; 255 * ab - 128 are a* and b*."
    )
    program.save(path, external_data=False)


def _check_onnx(model: ChromaModel, draft: Path, path: Path) -> None:
    import onnxruntime

    size = int(model.spec["image_size"])
    session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        L = np.random.default_rng(count).random((count, 1, size, size), dtype=np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(L)).numpy()
        error = float(np.abs(session.run(None, {"L": L})[0] - expected).max())
        if not error <= _TOLERANCE:
            raise ChromatuneError(
                f"--export {path}: the exported model's predictions differ by up to {error:.2g}"
            )
