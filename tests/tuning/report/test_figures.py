"""Loss curves, samples, closer looks, the search and the speedup: what is there is shown."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep import PrepareSettings, prepare
from tests.tuning.report.stores import (
    make_cell,
    make_launch,
    make_store,
    picture_file,
    showcase_files,
)
from tuning.display.table import Table
from tuning.errors import ChromatuneError
from tuning.report import Report, build_report, read_published_curves
from tuning.report._best_models import by_category
from tuning.report._document import Block, Figure, Text, Tiles
from tuning.report._showcases import read_showcases
from tuning.tracking.stored_runs import StoredSpeedup

Make = Callable[..., Any]
CURVE = "CNN_Regressor_train_loss_Faces_ReLU.csv"


def section(report: Report, number: str) -> list[Block]:
    return list(next(one for one in report.sections if number in (one.number, one.anchor)).blocks)


def texts(blocks: list[Block]) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, Text))


def curves_of(blocks: list[Block]) -> dict[str, str]:
    return {block.name: block.caption for block in blocks if isinstance(block, Figure)}


@pytest.fixture
def trained(archive: Any) -> Any:
    launch = make_launch([make_cell("cnn2", "relu", epochs=3, val_mse=1e-4)], kind="finals")
    run = launch.cells[0].run_id
    archive.histories[run, "train_loss"] = [(1, 0.3), (2, 0.1), (3, 0.05)]
    archive.histories[run, "val_mse"] = [(1, 0.2), (3, 0.04)]
    return launch


def test_a_training_has_its_figure_with_the_published_curve_behind(
    trained: Any, archive: Any, tmp_path: Path
) -> None:
    blocks = section(build_report(make_store(trained), archive), "III")
    caption = "Fig. 2: training loss of cnn2 ReLU, lr 1e-3, 3 epochs"
    assert curves_of(blocks) == {"figure-02": f"{caption}."}
    assert "Fig. 1 (fc ReLU, not run), Fig. 3 (cnn2 Tanh, not run)" in texts(blocks)

    (tmp_path / CURVE).write_text("0.27\n0.16\n\n0.006\n")
    curves = read_published_curves(tmp_path)
    assert curves == {2: [0.27, 0.16, 0.006]}
    report = build_report(make_store(trained), archive, published_curves=curves)
    behind = section(report, "III")
    assert curves_of(behind) == {"figure-02": f"{caption}; dashed: the published curve."}
    pngs = {block.png for block in (*blocks, *behind) if isinstance(block, Figure)}
    assert len(pngs) == 2


def test_invalid_curves_are_rejected(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ChromatuneError, match="none of the nine files is there"):
            read_published_curves(folder)
    for content, complaint in (("0.1\nloss\n", "'loss'"), ("nan\n", "finite"), ("", "finite")):
        (tmp_path / CURVE).write_text(content)
        with pytest.raises(ChromatuneError, match=complaint):
            read_published_curves(tmp_path)


@pytest.fixture(scope="module")
def showcase(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a regressor's run holds under `test/`."""
    settings = PrepareSettings(dataset="synthetic-fruits", count=120, size=32, augment=1)
    folder = tmp_path_factory.mktemp("showcase")
    return showcase_files(
        "cnn2", prepare(settings, tmp_path_factory.mktemp("data")).dataset, folder
    )


@pytest.fixture
def measured(showcase: dict[str, bytes], archive: Any) -> Callable[..., Any]:
    """A store's launch with two measured models; `photographs` is what their scores say."""

    def make(photographs: bool = False) -> Any:
        figures = {"test_mse": 1e-3, "test_mse_a": 1e-3, "test_mse_b": 1e-3, "val_mse": 1e-3}
        cells = [make_cell("cnn2", head, **figures) for head in ("relu", "tanh")]
        name = "faces" if photographs else "synthetic-faces"
        source = "folder" if photographs else "synthetic"
        launch = make_launch(cells, kind="finals", dataset=name, source=source)
        for cell in launch.cells:
            for file, content in showcase.items():
                archive.files[cell.run_id, f"test/{file}"] = content
            document = json.loads(showcase["scores.json"]) | {"photographs": photographs}
            archive.files[cell.run_id, "test/scores.json"] = json.dumps(document).encode()
        return launch

    return make


def test_best_and_worst_pictures_are_shown_with_their_scores(
    measured: Make, archive: Any, showcase: dict[str, bytes]
) -> None:
    report = build_report(make_store(measured()), archive)
    tiles = {block.name: block for block in section(report, "closer") if isinstance(block, Tiles)}
    scores = sorted(one["mse"] for one in json.loads(showcase["scores.json"])["pictures"])
    for name, score in (("best", scores[0]), ("worst", scores[-1])):
        sheet = tiles[f"{name}-faces-regression"]
        assert len(sheet.rows) == 10
        assert sheet.columns == ("grayscale", "predicted mean colour", "true mean colour", "true")
        mantissa, exponent = f"{score:.2e}".split("e")
        assert sheet.rows[0].caption.endswith(f"MSE {mantissa}e{int(exponent)}")
        assert all(tile.startswith(b"\xff\xd8\xff") for row in sheet.rows for tile in row.tiles)


def test_the_pipeline_shows_planes_and_each_kind_of_copy_once(measured: Make, archive: Any) -> None:
    report = build_report(make_store(measured()), archive)
    tiles = {block.name: block for block in section(report, "II") if isinstance(block, Tiles)}
    assert tiles["planes-faces"].columns == ("picture", "L", "a", "b")
    names = [row.caption for row in tiles["copies-faces"].rows]
    assert names[:2] == ["original", "flip (3 times)"]
    assert len(names) == 8
    assert "with none of these" in tiles["copies-faces"].caption


def test_photographs_are_left_out_on_request_and_drawn_pictures_stay(
    measured: Make, archive: Any
) -> None:
    def shown(is_real: bool, **options: bool) -> tuple[int, str]:
        archive.files.clear()
        report = build_report(make_store(measured(is_real)), archive, **options)
        blocks = [block for one in report.sections for block in one.blocks]
        return sum(isinstance(block, Tiles) for block in blocks), texts(blocks)

    everything, _ = shown(True)
    assert everything == 4
    none, words = shown(True, photographs=False)
    assert none == 0
    assert words.count("photographs are left out") == 3
    drawn, words = shown(False, photographs=False)
    assert drawn == everything
    assert "left out" not in words


def test_categories_are_means_over_their_pictures(
    measured: Make, archive: Any, showcase: dict[str, bytes]
) -> None:
    (one, _) = read_showcases(measured().cells, archive)
    pictures = json.loads(showcase["scores.json"])["pictures"]
    expected: dict[str, list[float]] = {}
    for picture in pictures:
        expected.setdefault(picture["category"], []).append(picture["mse"])
    best, *_ = found = by_category(one, "regression")
    means = {f"{name} ({len(mses)})": np.mean(mses) for name, mses in expected.items()}
    assert {name: own for name, own, _ in found} == pytest.approx(means)
    assert best[1] == min(own for _, own, _ in found)
    as_psnr = by_category(one, "colorizer")
    assert as_psnr[0][1] == pytest.approx(-10 * np.log10(best[1]))


@pytest.mark.parametrize("damage", ["scores.json", "best.png"])
def test_damaged_artifacts_are_told_not_raised(measured: Make, archive: Any, damage: str) -> None:
    launch = measured()
    for cell in launch.cells:
        archive.files[cell.run_id, f"test/{damage}"] = b"\x89PNG but not really"
    report = build_report(make_store(launch), archive)
    words = texts(section(report, "closer"))
    assert "cannot be read" in words or "holds no test pictures and scores" in words


def test_a_search_is_shown_with_its_plots_and_its_best(archive: Any) -> None:
    cells = [make_cell(val_mse=1e-4), make_cell("cnn1", outcome="pruned")]
    launch = make_launch(cells, kind="search")
    archive.files[launch.run_id, "search/top10.json"] = b'{"objectives": ["x"], "trials": [{}]}'
    bare = section(build_report(make_store(launch), archive), "search")
    assert "holds no plots" in texts(bare)
    assert not any(isinstance(block, Table) for block in bare)

    trial = {
        "trial": 4,
        "in_pareto_set": True,
        "outcome": "finished",
        "values": [1.2e-4],
        "epochs": 9,
        "kept_epoch": 7,
        "params": {"lr": 0.00123456, "model": "unet"},
    }
    worse = {**trial, "trial": 2, "in_pareto_set": False, "outcome": "failed", "values": []}
    document = {"objectives": ["val_mse:min"], "baseline": {"val_mse": 1.65e-4}}
    top = {**document, "trials": [trial, {**worse, "kept_epoch": None}]}
    archive.files[launch.run_id, "search/top10.json"] = json.dumps(top).encode()
    archive.files[launch.run_id, "search/slice.png"] = picture_file("PNG")
    archive.files[launch.run_id, "search/pareto.png"] = picture_file("PNG")[:60]
    blocks = section(build_report(make_store(launch), archive), "search")
    assert "2 trials (1 finished, 1 pruned)" in texts(blocks)
    assert [block.caption for block in blocks if isinstance(block, Figure)] == ["Search: slice."]
    (table,) = [block for block in blocks if isinstance(block, Table)]
    assert table.columns == ("MSE", "epochs", "ended")
    first, second = table.rows
    assert (first.label, first.below) == ("4", ("lr 0.00123, model unet",))
    assert [cell.text for cell in first.cells] == ["1.20e-4", "7 of 9", "finished"]
    assert first.cells[0].winner == "all"
    assert [cell.text for cell in second.cells] == ["–", "–", "failed"]
    assert table.notes[-1] == "Constant predictor: 1.65e-4"


def test_a_search_says_whether_the_gap_exceeds_the_spread_over_seeds(archive: Any) -> None:
    values = {1e-3: (1.0e-4, 1.2e-4), 1e-2: (1.5e-4, 1.9e-4)}
    cells = [
        make_cell(lr=lr, seed=seed, val_mse=value, suffix=f"-seed{seed}")
        for lr, pair in values.items()
        for seed, value in enumerate(pair)
    ]
    lucky = make_cell(lr=1e-4, val_mse=0.9e-4)  # one seed, which is not confirmed
    launch = make_launch([*cells, lucky], kind="search")
    words = texts(section(build_report(make_store(launch), archive), "search"))
    assert "cnn2 ReLU, lr 1e-3, 500 epochs wins with a validation MSE of 1.10e-4" in words
    # The standard deviation of 1.5 and 1.9 is 0.4 / sqrt(2).
    assert "Over 2 seeds each, the gap of 6.00e-5 exceeds the spread" in words
    assert "(standard deviation 2.83e-5)" in words


def speedup(cpu: float, gpu: float, created: int = 0) -> StoredSpeedup:
    params = {"model": "cnn2", "epochs": "30"}
    return StoredSpeedup("r", "7", created, "faces", params, cpu, gpu, "a CPU", "a GPU")


@pytest.mark.parametrize(
    ("speedups", "words", "first_column"),
    [
        (
            [speedup(600.0, 50.0), speedup(300.0, math.nan, 9)],
            *("12 times faster", ["10:00", "50 s", "12 times"]),
        ),
        (
            [speedup(600.0, math.nan)],
            *("Only the CPU half has been measured", ["10:00", "not run", "no GPU"]),
        ),
        ([], "No comparison of CPU and GPU", []),
    ],
)
def test_the_factor_stands_beside_the_published_one(
    archive: Any, speedups: list[StoredSpeedup], words: str, first_column: list[str]
) -> None:
    blocks = section(build_report(make_store(speedups=speedups), archive), "VI")
    assert words in texts(blocks)
    rows = [row for block in blocks if isinstance(block, Table) for row in block.rows]
    assert [row.cells[0].text for row in rows] == first_column
    if rows:
        assert rows[0].cells[1].text == "20 s"
        assert rows[2].cells[0].below == ("published 8.5 times",)
