"""Exported models: every registered network, usable without the project, and refused if wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from models import ChromaModel, create_model, list_models, load_model, model_task
from tuning import colorize_export
from tuning.colorize_export import check_export, export_model
from tuning.errors import ChromatuneError

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


LOAD = """
import sys, json
import numpy as np
import {module}
assert not any(name.split(".")[0] in ("models", "tuning", "data_prep") for name in sys.modules)
import torch
L = torch.from_numpy(np.load("L.npy"))
np.save("ab.npy", {module}.predict({module}.load("{module}.safetensors"), L).numpy())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_safetensors_come_with_plain_pytorch_that_runs_anywhere(name: str, tmp_path: Path) -> None:
    model = small_model(name)
    files = export_model(model, tmp_path / "champion.safetensors", LABEL)
    assert [file.name for file in files] == ["champion.py", "champion.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name for file in files]
    L = planes(model, 5)
    np.save(tmp_path / "L.npy", L.numpy())
    # Isolated: neither the project's folder nor the environment's variables are seen.
    program = f"import sys; sys.path.insert(0, '.')\n{LOAD.format(module='champion')}"
    answer = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", program],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    with torch.inference_mode():
        np.testing.assert_allclose(np.load(tmp_path / "ab.npy"), model(L).numpy(), atol=1e-6)
    # It is a model of the project as well, under the names of its weights.
    assert load_model(tmp_path / "champion.safetensors").spec == model.spec
    assert set(load_file(tmp_path / "champion.safetensors")) == set(model.state_dict())


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoencoder", "cnn1"])
def test_the_exported_file_is_a_program(name: str, tmp_path: Path) -> None:
    model = small_model(name)
    export_model(model, tmp_path / "champion.safetensors", LABEL)
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    answer = subprocess.run(
        [sys.executable, "-I", "champion.py", "photo.png", "out.png"][: 5 - (name == "cnn1")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    if model_task(name) == "colorizer":
        assert cv2.imread(str(tmp_path / "out.png")).shape == (50, 70, 3)
    else:
        assert answer.stdout.startswith("a* ")


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
