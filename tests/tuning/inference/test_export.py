"""Exported models: every registered network, usable without the project, and refused if wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from models import ChromaModel, create_model, list_models, load_model
from tuning.errors import ChromatuneError
from tuning.inference import export as colorize_export
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


def planes(model: ChromaModel, count: int) -> torch.Tensor:
    size = model.spec["image_size"]
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(count))


# Isolated: neither the project's folder nor the environment's variables are seen. One interpreter
# for all of them: PyTorch takes seconds to import.
USE = """
import importlib, json, runpy, sys
sys.path.insert(0, ".")
import numpy as np, torch
for name in json.loads(sys.argv[1]):
    module = importlib.import_module(name)
    L = torch.from_numpy(np.load(f"{name}-L.npy"))
    np.save(f"{name}-ab.npy", module.predict(module.load(f"{name}.safetensors"), L).numpy())
for sys.argv in (["autoencoder.py", "photo.png", "out.png"], ["cnn1.py", "photo.png"]):
    runpy.run_path(sys.argv[0], run_name="__main__")
assert not any(name.split(".")[0] in ("models", "tuning", "data_prep") for name in sys.modules)
"""


@pytest.mark.slow
def test_safetensors_come_with_plain_pytorch_that_runs_anywhere(tmp_path: Path) -> None:
    models = {name: small_model(name) for name in list_models()}
    for name, model in models.items():
        files = export_model(model, tmp_path / f"{name}.safetensors", LABEL)
        assert [file.name for file in files] == [f"{name}.py", f"{name}.safetensors"]
        # It is a model of the project as well, under the names of its weights.
        assert load_model(tmp_path / f"{name}.safetensors").spec == model.spec
        assert set(load_file(tmp_path / f"{name}.safetensors")) == set(model.state_dict())
    assert {path.stem for path in tmp_path.iterdir()} == set(models)

    for name, model in models.items():
        np.save(tmp_path / f"{name}-L.npy", planes(model, 5).numpy())
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    answer = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", USE, json.dumps(list(models))],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    for name, model in models.items():
        with torch.inference_mode():
            expected = model(planes(model, 5)).numpy()
        made = np.load(tmp_path / f"{name}-ab.npy")
        np.testing.assert_allclose(made, expected, atol=1e-6, err_msg=name)
    assert cv2.imread(str(tmp_path / "out.png")).shape == (50, 70, 3)
    assert answer.stdout.splitlines()[-1].startswith("a* ")


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_onnx_takes_any_number_of_pictures(name: str, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    model = small_model(name)
    (file,) = export_model(model, tmp_path / "champion.onnx", LABEL)
    assert [path.name for path in tmp_path.iterdir()] == ["champion.onnx"]
    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [put.name for put in (*session.get_inputs(), *session.get_outputs())] == ["L", "ab"]
    assert LABEL in onnx.load(file).doc_string
    for count in (1, 2, 7):
        L = planes(model, count)
        with torch.inference_mode():
            expected = model(L).numpy()
        np.testing.assert_allclose(session.run(None, {"L": L.numpy()})[0], expected, atol=1e-5)


def test_what_predicts_something_else_does_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = colorize_export.python_source
    monkeypatch.setattr(
        colorize_export,
        "python_source",
        lambda *args, **names: source(*args, **names).replace("return x", "return 0.9 * x"),
    )
    with pytest.raises(ChromatuneError, match=r"predicts something else, by up to 0\."):
        export_model(small_model("cnn1"), tmp_path / "champion.safetensors", LABEL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("champion.pt", r"must end in \.safetensors or \.onnx"),
        ("champion.onx", r"did you mean '\.onnx'\?"),
        ("no/champion.onnx", "there is no folder"),
        ('a"b.onnx', "letters, digits"),
        ("taken.safetensors", r"writes .*taken\.py too"),
    ],
)
def test_a_wrong_name_is_refused_at_once(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "taken.py").write_text("print('mine')")
    with pytest.raises(ChromatuneError, match=message):
        check_export(tmp_path / name)


def test_an_earlier_export_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "champion.py").write_text(f"{colorize_export.MARK}\nold")
    check_export(tmp_path / "champion.safetensors")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colorize_export, "_NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(ChromatuneError, match=r"needs no_such_package: pip install 'chromatune\["):
        check_export(tmp_path / "champion.onnx")
    check_export(tmp_path / "champion.safetensors")
