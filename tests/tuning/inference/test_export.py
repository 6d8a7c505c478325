"""Exported models: every registered network as a file for other programs, refused if wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models import ChromaModel, create_model, list_models, load_model
from tuning.errors import ChromatuneError
from tuning.inference import export
from tuning.inference.export import check_export, export_model

LABEL = "faces-colorizer version 2"
SMALL: dict[str, dict[str, Any]] = {"fc": {"hidden": (16, 8), "image_size": 16}}


def small_model(name: str) -> ChromaModel:
    """Any registered network at its smallest, with BatchNorm statistics that are not the first."""
    torch.manual_seed(0)
    model = create_model(name, **{"image_size": 64, **SMALL.get(name, {})})
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(4, 1, model.spec["image_size"], model.spec["image_size"]))
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_onnx_takes_any_number_of_images(name: str, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    model = small_model(name)
    file = tmp_path / "champion.onnx"
    export_model(model, file, LABEL)
    assert [path.name for path in tmp_path.iterdir()] == ["champion.onnx"]
    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [put.name for put in (*session.get_inputs(), *session.get_outputs())] == ["L", "ab"]
    assert LABEL in onnx.load(file).doc_string
    size = model.spec["image_size"]
    for count in (1, 2, 7):
        L = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(count))
        with torch.inference_mode():
            expected = model(L).numpy()
        np.testing.assert_allclose(session.run(None, {"L": L.numpy()})[0], expected, atol=1e-5)


def test_safetensors_hold_the_weights_under_their_names(tmp_path: Path) -> None:
    model = small_model("autoencoder")
    export_model(model, tmp_path / "it.safetensors", LABEL)
    torch.testing.assert_close(load_file(tmp_path / "it.safetensors"), model.state_dict())
    assert load_model(tmp_path / "it.safetensors").spec == model.spec


def test_a_model_that_predicts_something_else_does_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = export._write_onnx
    other = create_model("cnn1", image_size=64).eval()
    monkeypatch.setattr(export, "_write_onnx", lambda _, *rest: write(other, *rest))
    with pytest.raises(ChromatuneError, match=r"predictions differ by up to 0\."):
        export_model(small_model("cnn1"), tmp_path / "champion.onnx", LABEL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("champion.pt", r"must end in \.safetensors or \.onnx"),
        ("champion.onx", r"did you mean '\.onnx'\?"),
        ("no/champion.onnx", "there is no folder"),
        ("champion.onnx", r"needs no_such_package: pip install 'chromatune\["),
    ],
)
def test_what_cannot_be_exported_is_refused_at_once(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(ChromatuneError, match=message):
        check_export(tmp_path / name)
    check_export(tmp_path / "champion.safetensors")
