"""Inference on planes: what the network sees, what is painted, and that L is kept."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from data_prep import rgb_to_lab
from models import ChromaModel, create_model, save_model
from tests.tuning.serve.builders import painter
from tuning.errors import ChromatuneError
from tuning.inference.image_metrics import compare
from tuning.inference.predict import Colorizer, chroma_planes, gray_picture, paint
from tuning.training.metrics import NonFinitePredictionError


@pytest.fixture
def network() -> ChromaModel:
    torch.manual_seed(0)
    return create_model("autoencoder", head="sigmoid", image_size=64).eval()


def test_at_the_network_s_size_its_planes_are_the_network_s(network: ChromaModel) -> None:
    L = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    prediction = Colorizer(network).predict(L)
    with torch.inference_mode():
        expected = network(torch.from_numpy(L)[None, None].float() / 255)[0].numpy()
    np.testing.assert_allclose(prediction.ab, expected, atol=1e-6)
    a, b = chroma_planes(prediction.ab, 64, 64)
    np.testing.assert_array_equal(a, np.rint(expected[0] * 255))
    np.testing.assert_array_equal(b, np.rint(expected[1] * 255))


@pytest.mark.parametrize("size", [(90, 70), (3, 500), (1, 1), (1000, 2)])
def test_a_picture_of_any_size_is_painted(network: ChromaModel, size: tuple[int, int]) -> None:
    L = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    assert paint(L, Colorizer(network).predict(L).ab).shape == (*size, 3)


@pytest.mark.parametrize("ab", [(0.5, 0.5), (0.56, 0.58), (0.3, 0.9), (1.0, 0.0)])
def test_lightness_survives_whatever_the_colours(ab: tuple[float, float]) -> None:
    """Even where the colour lies far outside sRGB, and by another library's reckoning."""
    L = np.linspace(0, 255, 256 * 4).reshape(4, 256).astype(np.uint8)
    rgb = paint(L, np.full((2, 64, 64), np.reshape(ab, (2, 1, 1)), np.float32))
    assert np.abs(rgb_to_lab(rgb)[..., 0].astype(int) - L).max() <= 1
    assert np.abs(rgb2lab(rgb)[..., 0] * 2.55 - L).max() < 2.5


def test_colours_inside_srgb_are_painted_as_predicted() -> None:
    L = np.full((8, 8), 140, np.uint8)
    lab = rgb_to_lab(paint(L, np.full((2, 4, 4), np.reshape([140, 150], (2, 1, 1)) / 255)))
    assert np.abs(lab[0, 0].astype(int) - (140, 140, 150)).max() <= 1


def test_colours_outside_srgb_turn_paler_but_keep_their_hue() -> None:
    L = np.full((8, 8), 240, np.uint8)
    lab = rgb_to_lab(paint(L, np.full((2, 4, 4), np.reshape([200, 180], (2, 1, 1)) / 255)))
    a, b = lab[0, 0, 1:].astype(float) - 128
    assert 3 < np.hypot(a, b) < np.hypot(72, 52) / 2
    assert abs(np.arctan2(b, a) - np.arctan2(52, 72)) < 0.25
    # Twice the colour would change L.
    more = np.array([[[240, 128 + a * 2, 128 + b * 2]]]).round().astype(np.uint8)
    assert abs(int(rgb_to_lab(cv2.cvtColor(more, cv2.COLOR_LAB2RGB))[0, 0, 0]) - 240) > 1


def test_without_colour_lightness_alone_is_shown() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    L = rgb_to_lab(np.stack([gray] * 3, axis=-1))[..., 0]
    shown = gray_picture(L)
    assert np.ptp(shown, axis=-1).max() <= 1
    assert np.abs(shown[..., 0].astype(int) - gray).max() <= 1


def test_each_network_sees_its_own_size_and_the_mean_is_the_regressor_s() -> None:
    L = np.zeros((100, 50), np.uint8)
    constant = painter("autoencoder", 0.4, 0.6, size=64)
    regressor = painter("cnn1", 0.5, 0.7, size=32)
    alone = Colorizer(constant).predict(L)
    both = Colorizer(constant, regressor).predict(L)
    assert both.ab.shape == (2, 64, 64)
    assert alone.mean_ab == alone.own_mean_ab == pytest.approx((0.4, 0.6))
    assert both.own_mean_ab == pytest.approx((0.4, 0.6))
    assert both.mean_ab == pytest.approx((0.5, 0.7))


def test_networks_of_the_other_task_and_nan_are_rejected() -> None:
    with pytest.raises(ChromatuneError, match="a colorizer model is needed, but cnn1"):
        Colorizer(create_model("cnn1"))
    with pytest.raises(ChromatuneError, match="a regression model is needed, but autoencoder"):
        Colorizer(create_model("autoencoder"), create_model("autoencoder"))
    broken = Colorizer(painter("autoencoder", float("nan"), 0.5))
    with pytest.raises(NonFinitePredictionError):
        broken.predict(np.zeros((8, 8), np.uint8))


@pytest.mark.filterwarnings("ignore::UserWarning")  # MLflow's, about its own type hints
def test_it_paints_what_the_served_model_predicts(tmp_path: Path, network: ChromaModel) -> None:
    from tuning.tracking.pyfunc import ServingModel

    class Context:
        artifacts = {"weights": str(tmp_path / "model.safetensors")}  # noqa: RUF012

    save_model(network, tmp_path / "model.safetensors")
    served = ServingModel()
    served.load_context(Context())
    L = np.random.default_rng(2).integers(0, 256, (200, 150), dtype=np.uint8)
    lab = served.predict(None, L[None], {"output": "lab"})[0]
    prediction = Colorizer(network).predict(L)
    np.testing.assert_array_equal(np.dstack(chroma_planes(prediction.ab, 200, 150)), lab[..., 1:])


@pytest.mark.parametrize("flat", [False, True])
def test_scores_are_those_of_scikit_image(flat: bool) -> None:
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 200, (9, 8, 3), dtype=np.uint8)
    original = cv2.resize(coarse, (90, 80), interpolation=cv2.INTER_CUBIC)
    if flat:  # where the variances are differences of nearly equal numbers
        original[:40] = (250, 240, 235)
    ab = rng.uniform(0.4, 0.6, (2, 64, 64)).astype(np.float32)
    lab = rgb_to_lab(original)
    made = paint(np.ascontiguousarray(lab[..., 0]), ab)
    scores = compare(made, ab, original)
    planes = np.dstack(chroma_planes(ab, 80, 90))
    assert scores == pytest.approx(
        {
            "psnr": peak_signal_noise_ratio(lab[..., 1:], planes, data_range=255),
            "ssim": structural_similarity(lab[..., 1:], planes, channel_axis=-1, data_range=255),
            "psnr_rgb": peak_signal_noise_ratio(original, made, data_range=255),
            "ssim_rgb": structural_similarity(original, made, channel_axis=-1, data_range=255),
        },
        rel=1e-4,
    )
