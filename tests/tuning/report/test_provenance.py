"""Where the figures come from: digests, seeds, hours, commands, and nobody's folders."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tuning.report.stores import make_cell, make_launch, make_store
from tuning.display.table import Table
from tuning.report import build_report
from tuning.report._document import Facts, Text
from tuning.report._provenance import without_paths
from tuning.report._write import write_report


def facts_of(report: Any) -> dict[str, str]:
    (facts,) = [block for block in report.sections[-1].blocks if isinstance(block, Facts)]
    return dict(facts.facts)


def test_everything_to_judge_and_repeat_the_figures_is_there(archive: Any) -> None:
    launches = [
        make_launch([make_cell(seed=seed, val_mse=1e-4, train_seconds=1800.0)], age=seed)
        for seed in (0, 1)
    ]
    report = build_report(make_store(*launches), archive)
    facts = facts_of(report)
    assert facts["data faces"] == f"digest {'f' * 64}"
    assert facts["seeds"] == "training 0, 1; split and augmentation 0"
    assert facts["versions"] == "torch 2.13.0"
    assert facts["device time"] == "1.00 device-hours of training (1.00 h on cpu)"
    *_, commands = report.sections[-1].blocks
    assert commands == Text("$ chromatune grid regression --data-root PATH/data", "commands")
    (table,) = [block for block in report.sections[-1].blocks if isinstance(block, Table)]
    assert [cell.text for cell in table.rows[0].cells] == ["2023-11-14", "1 of 1", "30:00"]
    assert table.rows[0].cells[0].below == ("22:13 UTC, commit aaaaaaa",)


def test_what_is_left_out_is_counted(archive: Any) -> None:
    done = [make_cell(val_mse=1e-4)]
    drawn = make_launch(done, dataset="synthetic-faces", source="synthetic")
    store = make_store(make_launch(done), drawn, foreign_runs=3, broken_runs=("x",))
    assert facts_of(build_report(store, archive))["store"] == (
        "launches on the data shown: 1; launches on synthetic-faces@dddddddddddd, not shown: 1; "
        "runs of other programs, left out: 3; runs without tags or parameters, left out: 1"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("chromatune grid --data-root /home/me/my/data", "chromatune grid --data-root PATH/data"),
        ("--tracking-uri sqlite:////srv/x/mlflow.db", "--tracking-uri sqlite:///PATH/mlflow.db"),
        ("--tracking-uri=http://me:secret@host/x", "'--tracking-uri=http://***@host/x'"),
        ("chromatune grid --lrs 1e-3,1e-4", "chromatune grid --lrs 1e-3,1e-4"),
        ("-c configs/reproduce_quick.yaml", "-c configs/reproduce_quick.yaml"),
        ("--data=/srv/pictures --set a=/b", "--data=PATH/pictures --set a=PATH/b"),
        ("--data '/with space/data'", "--data PATH/data"),
    ],
)
def test_folders_of_a_machine_are_not_told(text: str, shown: str) -> None:
    assert without_paths(text) == shown


def test_no_file_of_the_report_tells_a_folder(archive: Any, tmp_path: Any) -> None:
    report = build_report(make_store(make_launch([make_cell(val_mse=1.0)])), archive)
    for path in write_report(report, tmp_path, ("html", "md")):
        assert "/home/someone" not in path.read_text()
