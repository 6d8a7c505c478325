"""Tables II, IV, V and VI: models on test, beside the original paper and the constant."""

from __future__ import annotations

from typing import Any

from tests.tuning.report.stores import FakeArchive, make_cell, make_launch, make_store
from tuning.display.table import Row
from tuning.report._results import Results
from tuning.report._selection import choose
from tuning.report._showcases import Showcase
from tuning.tracking.registry.catalog import ModelCard

CONSTANT = {"test_mse": 1.4e-4, "test_mse_a": 7.34e-5, "test_mse_b": 2.07e-4, "test_psnr": 21.0}
GRID = make_launch([make_cell(val_mse=1.0)])


def results_of(
    *launches: Any, role: str = "faces", task: str = "regression", **fields: Any
) -> Results:
    store = make_store(*launches, **fields)
    choice = choose(store)
    showcase = Showcase(make_cell(), {"constant": CONSTANT}, FakeArchive())
    return Results(choice.source if role == "faces" else choice.target, task, store, [showcase])


def mse(a: float, b: float) -> dict[str, float]:
    return {"test_mse_a": a, "test_mse_b": b, "test_mse": (a + b) / 2, "val_mse": (a + b) / 2}


def finals(*cells: Any, **options: Any) -> Any:
    return make_launch(cells, kind="finals", **options)


def row_of(results: Results, label: str) -> Row:
    return next(row for row in results.table().rows if row.label == label)


def test_rows_are_the_published_ones_in_their_order() -> None:
    table = results_of(finals(make_cell("cnn2", "tanh", **mse(4e-5, 2e-4)))).table()
    assert table.caption.startswith("Table II")
    labels = [row.label for row in table.rows]
    assert labels == ["fc ReLU", "cnn2 ReLU", "cnn2 Tanh", "constant predictor"]
    assert table.columns == ("MSE a", "MSE b")
    missing, _, measured, constant = table.rows
    assert [cell.text for cell in missing.cells] == ["not run", "not run"]
    assert missing.cells[0].below == ("published 4.68e-4",)
    assert missing.below == ("published: lr 1e-5, 100 epochs",)
    assert [cell.verdict for cell in measured.cells] == ["better", "worse"]
    assert measured.cells[0].below == ("published 4.40e-5", "const. −46 %")
    assert [cell.fails for cell in measured.cells] == [False, False]
    assert [cell.text for cell in constant.cells] == ["7.34e-5", "2.07e-4"]


def test_a_grids_cell_stands_in_and_says_so() -> None:
    promoted = make_cell(epochs=25, published=500, **mse(6e-5, 2e-4))
    grid = make_launch([promoted, make_cell("cnn1", val_mse=1.0)])
    row = row_of(results_of(grid), "cnn2 ReLU")
    assert row.below == ("lr 1e-3, 25 epochs", "from a grid", "published: lr 1e-5, 500 epochs")
    both = results_of(grid, finals(make_cell(epochs=9, **mse(9e-5, 2e-4))))
    assert row_of(both, "cnn2 ReLU").below[0] == "lr 1e-3, 9 epochs"
    assert [row.label for row in both.table().rows][3] == "cnn2 ReLU"  # the grid's, further down


def test_the_best_of_a_column_is_marked() -> None:
    cells = [make_cell(**mse(6e-5, 2e-4)), make_cell("fc", **mse(7e-5, 1e-4))]
    results = results_of(finals(*cells))
    assert [cell.winner for cell in row_of(results, "cnn2 ReLU").cells] == ["all", None]
    assert [cell.winner for cell in row_of(results, "fc ReLU").cells] == [None, "all"]
    alone = results_of(finals(cells[0]))
    assert [cell.winner for cell in row_of(alone, "cnn2 ReLU").cells] == [None, None]


def test_transfer_compares_what_was_fine_tuned() -> None:
    parent = "models:/faces-regression/1"
    tuned = make_cell(parent=parent, suffix="-finetuned", **mse(2e-3, 4e-4))
    scratch = make_cell(suffix="-scratch", **mse(1e-3, 4e-4))
    launch = make_launch([tuned, scratch], kind="finetune", dataset="ncd")
    results = results_of(GRID, launch, role="ncd")
    rows = results.table().rows
    assert [row.label for row in rows] == [
        *("cnn2 ReLU", "cnn2 Tanh", "cnn2 ReLU", "constant predictor")
    ]
    assert rows[0].below[1] == "fine-tuned"
    assert [cell.verdict for cell in rows[0].cells] == ["worse", "better"]
    assert rows[2].below[1:] == ("from scratch", "beside the best published")
    assert [cell.verdict for cell in rows[2].cells] == ["better", "better"]
    words = results.findings()[0].text
    assert "starting from the faces' weights hurts: 1.20e-3 against 7.00e-4" in words
    assert "published models of the same name, 1 of 2 values are better and 1 worse" in words
    assert "from scratch, beside the best published values, 2 of 2 values are better" in words


def test_a_model_beyond_the_paper_stands_beside_its_best() -> None:
    alone = make_launch([make_cell("unet_mean", "tanh", **mse(4.3e-5, 3e-4))], kind="train")
    row = row_of(results_of(alone), "unet_mean Tanh")
    assert row.below == ("lr 1e-3, 500 epochs", "trained alone", "beside the best published")
    # The best of each column, whichever model of Table II has it.
    assert [cell.below[0] for cell in row.cells] == ["published 4.40e-5", "published 1.29e-4"]
    assert [cell.verdict for cell in row.cells] == ["better", "worse"]


def test_table_vi_compares_the_ssim_of_the_paper() -> None:
    figures = {"test_psnr": 24.0, "test_mse_a": 4e-3, "test_ssim_a_as_reported": 0.8}
    parent = "models:/faces-colorizer/1"
    cell = make_cell("autoencoder", "tanh", parent=parent, **figures, test_ssim_a=0.99)
    launch = make_launch([cell], kind="finetune", task="colorizer", dataset="ncd")
    table = results_of(GRID, launch, role="ncd", task="colorizer").table()
    assert table.columns == ("MSE a", "MSE b", "PSNR a, dB", "PSNR b, dB", "SSIM a*", "SSIM b*")
    texts = [cell.text for cell in table.rows[1].cells]
    assert texts == ["4.00e-3", "no value", "no value", "no value", "0.800", "no value"]
    assert table.rows[1].cells[4].below == ("published 0.803",)
    assert any("measured as in the original paper" in note for note in table.notes)


def test_the_best_model_is_the_champion_not_the_best_on_test() -> None:
    lucky = make_cell("cnn1", **{**mse(1e-6, 1e-6), "val_mse": 1.0})
    chosen = make_cell("cnn2", **{**mse(6e-5, 6e-5), "val_mse": 1e-5})
    launch = finals(lucky, chosen)
    name = "faces-regression"
    champion = ModelCard(
        f"models:/{name}/3", name, 3, "faces", "regression", run_id=launch.cells[0].run_id
    )
    for champions, model in (({}, "cnn2"), ({("faces", "regression"): champion}, "cnn1")):
        best = results_of(launch, champions=champions).best
        assert best is not None
        assert best.model == model
