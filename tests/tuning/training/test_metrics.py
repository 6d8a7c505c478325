"""Every metric against scikit-image or a formula written out here."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from data_prep import lab_to_rgb
from models import create_model
from tests.tuning.training.builders import MakeData
from tuning.training import metrics as metrics_module
from tuning.training.color_metrics import ciede2000, colorfulness
from tuning.training.data import Split
from tuning.training.metrics import (
    NonFinitePredictionError,
    colorizer_metrics,
    constant_baseline,
    evaluate,
    psnr,
    regression_metrics,
    reported_metrics,
    to_bytes,
)
from tuning.training.ssim import ssim


def noisy(split: Split, level: float = 0.05) -> np.ndarray:
    """Predictions near the truth, more wrong in b than in a and worse from picture to picture."""
    rng = np.random.default_rng(3)
    true = np.stack(split.planes, axis=1) / 255
    growing = np.linspace(0.2, 2, len(split))[:, None, None, None]
    noise = rng.normal(0, level, true.shape) * growing * np.array([1, 2])[:, None, None]
    return (true + noise).clip(0, 1).astype(np.float32)


def rgb_of(split: Split) -> list[np.ndarray]:
    """The true pictures."""
    return [lab_to_rgb(*planes) for planes in zip(split.L, *split.planes, strict=True)]


def unit(plane: np.ndarray | None) -> np.ndarray:
    assert plane is not None
    return (plane / 255).astype(np.float32)


def test_psnr_of_known_errors() -> None:
    assert psnr(1.0) == 0
    assert psnr(0.01) == pytest.approx(20)
    assert psnr(0.0) == psnr(1e-300) == 100.0


def test_planes_are_measured_as_by_scikit_image(make_data: MakeData) -> None:
    val = make_data("colorizer").val
    predicted = noisy(val)
    metrics = colorizer_metrics(predicted, val)
    for channel, (name, plane) in enumerate(zip("ab", val.planes, strict=True)):
        true, made = unit(plane), predicted[:, channel]
        assert metrics[f"mse_{name}"] == pytest.approx(mean_squared_error(true, made))
        whole = peak_signal_noise_ratio(true, made, data_range=1)
        assert metrics[f"psnr_{name}"] == pytest.approx(whole)
        each = [structural_similarity(*pair, data_range=1) for pair in zip(true, made, strict=True)]
        assert metrics[f"ssim_{name}"] == pytest.approx(np.mean(each))
    both = mean_squared_error(np.stack([unit(p) for p in val.planes], axis=1), predicted)
    assert metrics["mse"] == pytest.approx(both)
    assert metrics["psnr"] == pytest.approx(-10 * math.log10(both))
    assert metrics["ssim"] == pytest.approx((metrics["ssim_a"] + metrics["ssim_b"]) / 2)
    # Not the mean of PSNRs, neither of channels nor of pictures.
    assert metrics["psnr"] < (metrics["psnr_a"] + metrics["psnr_b"]) / 2 - 0.1


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(
    "spread", [(0, 0), (0, 0.01), (0.01, 0.01), (0.2, 0.2)], ids=lambda spread: f"{spread}"
)
def test_ssim_is_that_of_scikit_image(spread: tuple[float, float], axes: int) -> None:
    """Also of flat pictures, where float32 is least exact."""
    rng = np.random.default_rng(1)
    true, made = (
        (center + rng.normal(0, level, (9, 40, 33))).clip(0, 1).astype(np.float32)
        for center, level in zip((0.52, 0.47), spread, strict=True)
    )
    pairs = [(made, true)] if axes == 3 else list(zip(made, true, strict=True))
    exact = [structural_similarity(*np.float64(pair), data_range=2) for pair in pairs]
    measured = ssim(made, true, data_range=2, axes=axes)
    assert np.atleast_1d(measured) == pytest.approx(exact, abs=1e-6)


def test_rgb_metrics_compare_8_bit_pictures_made_with_the_true_lightness(
    make_data: MakeData,
) -> None:
    val = make_data("colorizer").val
    predicted = noisy(val)
    metrics = colorizer_metrics(predicted, val)
    rounded = np.round(predicted.astype(np.float64) * 255).astype(np.uint8)
    true, made = (
        np.stack([cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) for lab in np.stack([val.L, *ab], axis=-1)])
        for ab in (val.planes, rounded.swapaxes(0, 1))
    )
    whole = peak_signal_noise_ratio(true, made, data_range=255)
    assert metrics["psnr_rgb"] == pytest.approx(whole, rel=1e-6)
    pairs = zip(true, made, strict=True)
    each = [structural_similarity(*pair, channel_axis=2, data_range=255) for pair in pairs]
    assert metrics["ssim_rgb"] == pytest.approx(np.mean(each))


def test_reported_ssim_takes_a_channel_for_one_volume_of_range_two(make_data: MakeData) -> None:
    val = make_data("colorizer").val
    predicted = noisy(val)
    metrics = reported_metrics(predicted, val)
    volumes = [
        structural_similarity(unit(plane), predicted[:, channel], data_range=2)
        for channel, plane in enumerate(val.planes)
    ]
    assert metrics["ssim_a_as_reported"] == pytest.approx(volumes[0])
    assert metrics["ssim_b_as_reported"] == pytest.approx(volumes[1])
    assert metrics["ssim_as_reported"] == pytest.approx(np.mean(volumes))
    # Where the window does not fit, there is none.
    few = make_data("colorizer", val=6).val
    names = {"psnr_as_reported", "psnr_a_as_reported", "psnr_b_as_reported"}
    assert reported_metrics(noisy(few), few).keys() == names


def test_perfect_predictions_give_finite_metrics(make_data: MakeData) -> None:
    val = make_data("colorizer").val
    perfect = np.stack([unit(plane) for plane in val.planes], axis=1)
    metrics = colorizer_metrics(perfect, val) | reported_metrics(perfect, val)
    colorful = metrics.pop("colorfulness")
    assert colorful == pytest.approx(np.mean([colorfulness(rgb) for rgb in rgb_of(val)]))
    for name, value in metrics.items():
        is_error = name.startswith(("mse", "ciede", "colorfulness"))
        best = 0.0 if is_error else 100.0 if name.startswith("psnr") else 1.0
        assert value == pytest.approx(best), name


def test_ciede2000_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.uniform(0.4, 0.6, (2, 3, 2, 20, 20)), rng.uniform(0, 1, (2, 3, 2, 20, 20))
    planes = np.concatenate([near, far], axis=1).astype(np.float32)
    planes[0, 0, :, :10] = 128 / 255  # gray, whose hue is none
    lab = [np.insert(plane * 255.0 - 128, 0, 50.0, axis=1) for plane in planes.astype(np.float64)]
    expected = deltaE_ciede2000(*lab, channel_axis=1).mean()
    assert ciede2000(*planes) == pytest.approx(expected, rel=1e-4)


def test_colorfulness_is_that_of_its_paper() -> None:
    assert colorfulness(np.full((4, 4, 3), 77, np.uint8)) == 0
    rgb = np.zeros((1, 4, 3), np.uint8)
    rgb[0, :2, 0] = 255  # half of it red, half black: rg is 255 or 0, yb 127.5 or 0
    assert colorfulness(rgb) == pytest.approx(math.hypot(127.5, 63.75) * 1.3)


def test_the_difference_in_colorfulness_is_that_of_each_picture(make_data: MakeData) -> None:
    val = make_data("colorizer").val
    planes = np.stack([unit(plane) for plane in val.planes], axis=1)
    swapped = planes[::-1].copy()  # as colorful on the whole, were L the same
    made = rgb_of(dataclasses.replace(val, a=val.planes[0][::-1], b=val.planes[1][::-1]))
    expected = [
        abs(colorfulness(x) - colorfulness(y)) for x, y in zip(made, rgb_of(val), strict=True)
    ]
    measured = colorizer_metrics(swapped, val)["colorfulness_difference"]
    assert measured == pytest.approx(np.mean(expected))


def test_regression_metrics_and_their_lab_units(make_data: MakeData) -> None:
    val = make_data("regression").val
    predicted = val.mean_ab + np.array([2 / 255, -5 / 255], dtype=np.float32)
    assert regression_metrics(predicted, val) == pytest.approx(
        {
            "mse": ((2 / 255) ** 2 + (5 / 255) ** 2) / 2,
            "mse_a": (2 / 255) ** 2,
            "mse_b": (5 / 255) ** 2,
            "rmse_lab_a": 2.0,  # two steps of 8-bit a, which are two units of Lab
            "rmse_lab_b": 5.0,
        },
        rel=1e-4,
    )


@pytest.mark.parametrize(("model", "task"), [("cnn1", "regression"), ("autoencoder", "colorizer")])
def test_evaluate_changes_neither_model_nor_random_numbers(
    model: str, task: str, make_data: MakeData
) -> None:
    net = create_model(model, image_size=64).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    rng = torch.get_rng_state()
    val = make_data(task).val
    once = evaluate(net, val, task, batch_size=3)
    assert evaluate(net, val, task, batch_size=3) == once
    assert evaluate(net, val, task) == pytest.approx(once, rel=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), rng)
    assert net.training


def test_evaluate_uses_running_statistics_and_the_report_those_of_the_split(
    make_data: MakeData,
) -> None:
    val = make_data("colorizer").val
    torch.manual_seed(0)
    net = create_model("autoencoder", head="tanh", image_size=64)
    with torch.no_grad():
        for parameter in net.body[20:].parameters():
            parameter.mul_(4)  # a decoder that passes on what reaches it
        net.train()(torch.rand(4, 1, 64, 64) * 0.1)  # running statistics unlike those of val
    metrics = evaluate(net, val, "colorizer", prefix="x_", batch_size=3)

    L = torch.from_numpy(unit(val.L)).unsqueeze(1)
    true = np.stack([unit(plane) for plane in val.planes], axis=1)
    with torch.no_grad():
        in_evaluation = net.eval()(L).numpy()
        in_training = net.train()(L).numpy()
    assert metrics["x_mse"] == pytest.approx(mean_squared_error(true, in_evaluation), rel=1e-5)
    reported = peak_signal_noise_ratio(true, in_training, data_range=1)
    assert metrics["x_psnr_as_reported"] == pytest.approx(reported, rel=1e-5)
    assert metrics["x_psnr_as_reported"] != pytest.approx(metrics["x_psnr"], rel=1e-3)
    volume = structural_similarity(true[:, 1], in_training[:, 1], data_range=2)
    assert metrics["x_ssim_b_as_reported"] == pytest.approx(volume, rel=1e-5)


def test_a_single_picture_can_be_evaluated(make_data: MakeData) -> None:
    val = make_data("colorizer", val=1).val
    metrics = evaluate(create_model("autoencoder", image_size=64), val, "colorizer")
    assert metrics["val_psnr_as_reported"] == metrics["val_psnr"]


def test_constant_baseline_measures_that_constant_under_the_same_names(
    make_data: MakeData,
) -> None:
    for task, model in (("regression", "cnn1"), ("colorizer", "autoencoder")):
        val = make_data(task).val
        names = evaluate(create_model(model, image_size=64), val, task).keys()
        assert constant_baseline(val, (0.5, 0.6), task).keys() == names

    data = make_data("colorizer")
    baseline = constant_baseline(data.val, data.baseline_ab, "colorizer", "test_")
    a, b = (unit(plane).astype(np.float64) for plane in data.val.planes)
    mean_a, mean_b = data.baseline_ab
    assert baseline["test_mse_a"] == pytest.approx(np.mean((a - mean_a) ** 2), rel=1e-5)
    assert baseline["test_mse_b"] == pytest.approx(np.mean((b - mean_b) ** 2), rel=1e-5)
    assert baseline["test_psnr_as_reported"] == baseline["test_psnr"]


def test_a_model_that_predicts_nan_is_an_error(make_data: MakeData) -> None:
    net = create_model("cnn1", image_size=64)
    with torch.no_grad():
        next(net.parameters()).fill_(math.nan)
    with pytest.raises(NonFinitePredictionError, match="predicts NaN or infinity"):
        evaluate(net, make_data("regression").val, "regression")


def test_rounding_to_bytes() -> None:
    values: Any = np.array([-0.2, 0, 127.4 / 255, 127.6 / 255, 1, 1.7], dtype=np.float32)
    assert to_bytes(values).tolist() == [0, 0, 127, 128, 255, 255]


def test_large_splits_are_measured_in_parts(
    make_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same results but for rounding, and without the metrics of a whole batch."""
    split = make_data("colorizer", val=23, size=64).val
    model = create_model("autoencoder", head="tanh", image_size=64)
    torch.manual_seed(0)
    whole, constant = evaluate(model, split, "colorizer"), (0.5, 0.55)
    baseline = constant_baseline(split, constant, "colorizer")
    monkeypatch.setattr(metrics_module, "MOST_AS_REPORTED", 5)
    for measured, expected in (
        (evaluate(model, split, "colorizer", batch_size=3), whole),
        (constant_baseline(split, constant, "colorizer"), baseline),
    ):
        assert {name for name in expected if name not in measured} == {
            name for name in expected if name.endswith("_as_reported")
        }
        for name, value in measured.items():
            assert value == pytest.approx(expected[name], rel=1e-5), name
