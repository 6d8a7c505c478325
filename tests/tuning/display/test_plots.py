from __future__ import annotations

import io
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tuning.display.grid_table import GridPanels
from tuning.display.plots import _heatmap, grid_heatmap, loss_curve
from tuning.display.plots import _loss_curve as _curve
from tuning.display.plots._canvas import as_png

ROWS, COLUMNS = ["100", "300", "500"], ["1e-3", "1e-4", "1e-5"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Figures, as the drawing functions hand them over for writing."""
    figures: list[Any] = []

    def keep(figure: Any) -> bytes:
        figures.append(figure)
        return as_png(figure)

    for module in (_curve, _heatmap):
        monkeypatch.setattr(module, "as_png", keep)
    return figures


def test_curve_sorts_epochs_and_takes_the_later_record(drawn: list[Any]) -> None:
    history = [
        {"epoch": 1, "train_loss": 0.3},
        {"epoch": 2, "train_loss": 0.25, "val_mse": 0.4},
        {"epoch": 3, "train_loss": math.nan},
        {"epoch": 2, "train_loss": 0.2, "val_mse": 0.1},
    ]
    loss_curve(history, "cnn2 $relu$", published=[0.5, 0.4, 0.0])
    lines = {line.get_label(): line.get_xydata().tolist() for line in drawn[0].axes[0].lines}
    assert lines == {
        "training loss, published": [[1, 0.5], [2, 0.4]],
        "training loss": [[1, 0.3], [2, 0.2]],
        "validation MSE": [[2, 0.1]],
    }
    assert drawn[0].axes[0].get_yscale() == "log"
    assert len(drawn[0].axes) == 1  # no PSNR axis for a regressor


def test_psnr_axis_reads_the_same_points(drawn: list[Any]) -> None:
    history = [
        {"epoch": e, "train_loss": 4 * 10**-e, "val_mse": 10**-e, "val_psnr": 10.0 * e}
        for e in (1, 2, 3)
    ]
    loss_curve(history, "autoencoder", head="tanh")
    left, right = drawn[0].axes
    heights = [left.transData.transform((0, 10**-e))[1] for e in (1, 2, 3)]
    on_right = [right.transData.transform((0, 10.0 * e))[1] for e in (1, 2, 3)]
    np.testing.assert_allclose(on_right, heights, atol=1e-6)
    train = {line.get_label(): line for line in left.lines}["training loss / 4"]
    np.testing.assert_allclose(train.get_ydata(), [0.1, 0.01, 0.001])


@pytest.mark.parametrize("history", [[], [{"epoch": 1, "train_loss": math.inf}]])
def test_curve_of_nothing_says_so(drawn: list[Any], history: list[dict[str, Any]]) -> None:
    loss_curve(history, "diverged at once")
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["no finite loss recorded"]


def test_heatmap_shows_every_number_and_marks_the_best(drawn: list[Any]) -> None:
    values = {
        "cnn1": [[3e-4, 2e-4, 0.19], [3.1e-4, 2.1e-4, 0.15], [3.2e-4, 2.2e-4, np.nan]],
        "cnn2": [[1.6e-4, 1.3e-4, 1.4e-4], [1.35e-4, np.inf, 1.2e-4], [1.3e-4, 1.3e-4, 1.1e-4]],
    }
    grid_heatmap("grid", GridPanels(ROWS, COLUMNS, values), "val_mse")
    texts = [{t.get_position(): t.get_text() for t in axes.texts} for axes in drawn[0].axes]
    assert [len(found) for found in texts] == [8, 8]  # what is not finite has no number
    assert texts[0][1.5, 0.5] == "2.00e-4"
    assert texts[1][2.5, 2.5] == "★\n1.10e-4"
    assert sum("★" in text for found in texts for text in found.values()) == 1


@pytest.mark.parametrize(
    ("metric", "row"), [("val_psnr", [34.0, 35.0, 36.0]), ("val_mse", [3e-4, 2e-4, 1e-4])]
)
def test_better_cells_are_darker(drawn: list[Any], metric: str, row: list[float]) -> None:
    grid_heatmap("g", GridPanels(["100"], COLUMNS, {"m": [row]}), metric)
    (mesh,) = drawn[0].axes[0].collections
    luminances = mesh.to_rgba(mesh.get_array())[..., :3].reshape(-1, 3) @ (0.299, 0.587, 0.114)
    assert luminances[0] > luminances[1] > luminances[2]


@pytest.mark.parametrize("metric", ["val_mse", "val_psnr"])
@pytest.mark.parametrize(
    "values", [[[math.nan] * 3], [[1e-4, math.nan, math.nan]], [[0.0, 1e-4, 1.0]], [[1e-4] * 3]]
)
def test_heatmap_of_odd_grids(values: list[list[float]], metric: str) -> None:
    content = grid_heatmap("grid", GridPanels(["100"], COLUMNS, {"m": values}), metric)
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        assert np.asarray(picture).std() > 1


def test_drawing_in_threads_gives_the_same_pictures() -> None:
    history = [{"epoch": e, "train_loss": 1 / e, "val_psnr": 20.0 + e} for e in range(1, 20)]
    with ThreadPoolExecutor(4) as pool:
        drawings = [*pool.map(lambda _: loss_curve(history, "same"), range(4))]
    assert set(drawings) == {loss_curve(history, "same")}
