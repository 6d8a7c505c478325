from __future__ import annotations

import pytest

from tuning.display.formatting import (
    format_count,
    format_duration,
    format_lr,
    format_value,
    higher_is_better,
    metric_heading,
    metric_title,
)
from tuning.errors import ChromatuneError


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("val_mse", 0.000108, "1.08e-4"),
        ("val_mse", 0.1877, "1.88e-1"),
        ("val_mse_a", 0.0, "0.00e0"),
        ("train_loss", 9.999e-5, "1.00e-4"),
        ("val_psnr", 35.75838, "35.76"),
        ("test_psnr_a_as_reported", 100.0, "100.00"),
        ("val_ssim_rgb", 0.80334, "0.803"),
        ("val_rmse_lab_a", 3.6512, "3.65"),
        ("seconds", 12.34567, "12"),
        ("val_mse", float("nan"), "nan"),
        ("val_psnr", float("inf"), "inf"),
    ],
)
def test_values(metric: str, value: float, text: str) -> None:
    assert format_value(metric, value) == text


def test_learning_rates_durations_and_counts() -> None:
    lrs = (0.00025, 1.0, 0.1 * 0.1 * 0.1, 2e-10)
    assert [format_lr(lr) for lr in lrs] == ["2.5e-4", "1e0", "1e-3", "2e-10"]
    durations = [format_duration(seconds) for seconds in (0, 59.4, 59.6, 3787, 90000)]
    assert durations == ["0 s", "59 s", "1:00", "1:03:07", "25:00:00"]
    assert [format_count(n, "trial") for n in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]


@pytest.mark.parametrize(
    ("metric", "title", "heading"),
    [
        ("val_mse", "validation MSE", "MSE"),
        ("test_psnr_a", "test PSNR, dB (channel a)", "PSNR a, dB"),
        ("val_ssim_rgb", "validation SSIM (in RGB)", "SSIM rgb"),
        ("val_rmse_lab_b", "validation RMSE, Lab units (channel b)", "RMSE b, Lab units"),
        (
            *("test_ssim_b_as_reported", "test SSIM (channel b, as in the original paper)"),
            "SSIM b*",
        ),
        ("train_loss", "training loss", "loss"),
    ],
)
def test_names(metric: str, title: str, heading: str) -> None:
    assert metric_title(metric) == title
    assert metric_heading(metric) == heading


def test_direction() -> None:
    assert higher_is_better("val_psnr_as_reported")
    assert higher_is_better("test_ssim_a")
    assert not higher_is_better("val_rmse_lab_a")
    assert not higher_is_better("train_loss")
    with pytest.raises(ChromatuneError, match=r"'val_psrn'.*did you mean 'val_psnr'"):
        higher_is_better("val_psrn")
