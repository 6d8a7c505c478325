"""Tables II, IV, V and VI: what was measured on test, beside the report and the constant."""

from __future__ import annotations

from typing import Any

from tests.tuning.report.stores import make_cell, make_launch, make_store
from tuning.display.table import Row
from tuning.report._results import Results
from tuning.report._selection import choose
from tuning.tracking.registry.catalog import ModelCard

CONSTANT = {
    "test_mse": 1.4e-4,
    "test_mse_a": 7.34e-5,
    "test_mse_b": 2.07e-4,
    "test_psnr": 21.0,
    "test_psnr_a": 22.0,
    "test_psnr_b": 20.0,
}


def results_of(
    *launches: Any, role: str = "faces", task: str = "regression", **fields: Any
) -> Results:
    store = make_store(*launches, **fields)
    choice = choose(store)
    data = choice.source if role == "faces" else choice.target
    return Results(role, data, task, store, CONSTANT)


def mse(a: float, b: float) -> dict[str, float]:
    return {"test_mse_a": a, "test_mse_b": b, "test_mse": (a + b) / 2, "val_mse": (a + b) / 2}


def row_of(results: Results, label: str) -> Row:
    return next(row for row in results.table().rows if row.label == label)


def test_rows_are_those_of_the_report_in_its_order() -> None:
    finals = make_launch([make_cell("cnn2", "tanh", **mse(4e-5, 2e-4))], kind="finals")
    table = results_of(finals).table()
    assert table.caption.startswith("Table II")
    labels = [row.label for row in table.rows]
    assert labels == ["fc ReLU", "cnn2 ReLU", "cnn2 Tanh", "constant predictor"]
    assert table.columns == ("MSE a", "MSE b")
    missing = table.rows[0]
    assert [cell.text for cell in missing.cells] == ["not run", "not run"]
    assert missing.cells[0].below == ("published 4.68e-4",)
    assert missing.below == ("published: lr 1e-5, 100 epochs",)
    measured = table.rows[2]
    assert [cell.verdict for cell in measured.cells] == ["better", "worse"]
    assert measured.cells[0].below == ("published 4.40e-5", "constant 7.34e-5")
    assert [cell.text for cell in table.rows[3].cells] == ["7.34e-5", "2.07e-4"]


def test_what_does_not_beat_the_constant_is_crossed() -> None:
    finals = make_launch([make_cell("cnn2", "relu", **mse(7.34e-5, 1e-4))], kind="finals")
    a, b = row_of(results_of(finals), "cnn2 ReLU").cells
    assert a.fails
    assert a.below[-1] == "✗ constant 7.34e-5"
    assert not b.fails


def test_a_grids_cell_stands_in_and_says_so() -> None:
    promoted = make_cell("cnn2", "relu", epochs=25, published=500, **mse(6e-5, 2e-4))
    grid = make_launch([promoted, make_cell("cnn1", val_mse=1.0)])
    row = row_of(results_of(grid), "cnn2 ReLU")
    assert row.below == ("lr 1e-3, 25 epochs", "from a grid", "published: lr 1e-5, 500 epochs")
    finals = make_launch([make_cell("cnn2", "relu", epochs=9, **mse(9e-5, 2e-4))], kind="finals")
    both = results_of(grid, finals)
    assert row_of(both, "cnn2 ReLU").below[0] == "lr 1e-3, 9 epochs"
    assert [row.label for row in both.table().rows][3] == "cnn2 ReLU"  # the grid's, further down


def test_the_best_of_a_column_is_marked() -> None:
    cells = [make_cell("cnn2", "relu", **mse(6e-5, 2e-4)), make_cell("fc", **mse(7e-5, 1e-4))]
    results = results_of(make_launch(cells, kind="finals"))
    assert [cell.winner for cell in row_of(results, "cnn2 ReLU").cells] == ["all", None]
    assert [cell.winner for cell in row_of(results, "fc ReLU").cells] == [None, "all"]
    alone = results_of(make_launch(cells[:1], kind="finals"))
    assert [cell.winner for cell in row_of(alone, "cnn2 ReLU").cells] == [None, None]


def test_transfer_compares_what_was_fine_tuned() -> None:
    parent = "models:/faces-regression/1"
    tuned = make_cell("cnn2", "relu", parent=parent, suffix="-finetuned", **mse(2e-3, 4e-4))
    scratch = make_cell("cnn2", "relu", suffix="-scratch", **mse(1e-3, 4e-4))
    launch = make_launch([tuned, scratch], kind="finetune", dataset="ncd")
    results = results_of(make_launch([make_cell(val_mse=1.0)]), launch, role="ncd")
    rows = results.table().rows
    assert [row.label for row in rows] == [
        *("cnn2 ReLU", "cnn2 Tanh", "cnn2 ReLU", "constant predictor")
    ]
    assert rows[0].below[1] == "fine-tuned"
    assert [cell.verdict for cell in rows[0].cells] == ["worse", "better"]
    assert rows[2].below[1] == "from scratch"
    assert rows[2].below[2] == "beside the best published"
    assert [cell.verdict for cell in rows[2].cells] == ["better", "better"]
    words = results.findings()[0].text
    assert "starting from the faces' weights hurts: 1.20e-3 against 7.00e-4" in words
    assert "1 of 2 published values are beaten by the models of the same name." in words
    assert words.count("fine-tuned") == 1
    assert "500 epochs, from scratch is better than the best published in 2 of 2 values." in words


def test_a_model_beyond_the_report_stands_beside_its_best() -> None:
    alone = make_launch([make_cell("unet_mean", "tanh", **mse(4.3e-5, 3e-4))], kind="train")
    results = results_of(alone)
    row = row_of(results, "unet_mean Tanh")
    assert row.below == ("lr 1e-3, 500 epochs", "trained alone", "beside the best published")
    # The best of each column, whichever model of Table II has it.
    assert [cell.below[0] for cell in row.cells] == ["published 4.40e-5", "published 1.29e-4"]
    assert [cell.verdict for cell in row.cells] == ["better", "worse"]
    words = results.findings()[0].text
    assert "500 epochs is better than the best published in 1 of 2 values." in words
    own = make_launch([make_cell("cnn2", "tanh", **mse(4.3e-5, 1e-4))], kind="finals")
    assert "best published" not in results_of(own).findings()[0].text


def test_table_vi_has_the_reports_own_ssim() -> None:
    figures = {
        "test_psnr": 24.0,
        "test_mse_a": 4e-3,
        "test_ssim_a": 0.99,
        "test_ssim_a_as_reported": 0.8,
    }
    cell = make_cell("autoencoder", "tanh", parent="models:/faces-colorizer/1", **figures)
    launch = make_launch([cell], kind="finetune", task="colorizer", dataset="ncd")
    grid = make_launch([make_cell(val_mse=1.0)])
    table = results_of(grid, launch, role="ncd", task="colorizer").table()
    assert table.columns == ("MSE a", "MSE b", "PSNR a, dB", "PSNR b, dB", "SSIM a*", "SSIM b*")
    row = table.rows[1]
    assert [cell.text for cell in row.cells] == [
        *("4.00e-3", "no value", "no value", "no value", "0.800", "no value")
    ]
    assert row.cells[4].below == ("published 0.803",)
    assert any("measured as in the original paper" in note for note in table.notes)


def test_the_best_model_is_the_champion_not_the_best_on_test() -> None:
    lucky = make_cell("cnn1", **{**mse(1e-6, 1e-6), "val_mse": 1.0})
    chosen = make_cell("cnn2", **{**mse(6e-5, 6e-5), "val_mse": 1e-5})
    launch = make_launch([lucky, chosen], kind="finals")
    assert results_of(launch).best.model == "cnn2"  # type: ignore[union-attr]
    run = launch.cells[0].run_id
    card = ModelCard(
        "models:/faces-regression/3", "faces-regression", 3, "faces", "regression", run_id=run
    )
    champions = {("faces", "regression"): card}
    assert results_of(launch, champions=champions).best.model == "cnn1"  # type: ignore[union-attr]


def test_other_pictures_have_no_verdict() -> None:
    cell = make_cell("cnn2", "relu", **mse(1e-6, 1e-6))
    drawn = make_launch([cell], kind="finals", dataset="synthetic-faces", source="synthetic")
    results = results_of(drawn)
    assert [cell.verdict for cell in row_of(results, "cnn2 ReLU").cells] == [None, None]
    assert "published" not in results.findings()[0].text


def test_nothing_measured_says_what_to_do() -> None:
    results = results_of()
    assert "No regression model has been measured" in results.notes()[0].text
    assert results.findings() == []
    assert {cell.text for row in results.table().rows[:-1] for cell in row.cells} == {"not run"}
