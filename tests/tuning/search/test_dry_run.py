"""A dry run shows what a search would do, and writes nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from tuning.config import resolve
from tuning.search.config import SearchLaunchConfig
from tuning.search.cost import expected_epochs
from tuning.search.dry_run import dry_run_table
from tuning.search.plan import plan_search

SPACE = yaml.safe_load((Path(__file__).parent / "space.yaml").read_text())


def config_of(tmp_path: Path, **search: Any) -> SearchLaunchConfig:
    return resolve(
        SearchLaunchConfig,
        defaults={
            "data": {
                "dataset": "synthetic-faces",
                "count": 12,
                "size": 64,
                "augment": 1,
                "root": str(tmp_path / "data"),
            },
            "storage_path": str(tmp_path / "launches"),
            "search": {"space": SPACE, **search},
        },
    )


def test_a_dry_run_shows_the_first_suggestions_that_the_search_will_make(
    tmp_path: Path, script: Any
) -> None:
    options = {"sampler": "random", "points": [{"lr": 5e-3}], "num_samples": 4}
    config = config_of(tmp_path, **options)
    table = dry_run_table("colorizer", config)
    search = script(sampler="random", total=4)
    search.study.enqueue_trial({"lr": 5e-3})
    numbers = [search.next().number for _ in range(4)]
    assert [dict(one) for one in table.suggestions] == [
        search.trial(number).params for number in numbers
    ]
    assert not (tmp_path / "launches").exists()

    console = Console(file=io.StringIO(), width=100)
    console.print(table.rich())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for words in (
        "float 0.0001 to 0.01, log",
        "model unet",
        "4 trials by random for val_psnr:max, scheduler asha",
        "36 epochs or ",
        "with asha at epochs 1, 3, 9",
    ):
        assert words in shown
    document = table.to_json()
    assert document["cost"]["epochs"] == 36
    assert document["cost"]["hours"] == pytest.approx(
        36 * document["cost"]["seconds_per_epoch"] / 3600
    )
    assert document["cost"]["seconds_per_epoch"] > 0
    assert "| model_kwargs.width | int 16 to 48, step 8 | model unet |" in table.markdown()


def test_what_asha_leaves_of_a_training_on_average(tmp_path: Path) -> None:
    plan = plan_search("colorizer", config_of(tmp_path), 64)
    # Rungs at 1, 3 and 9: all train one epoch, a third two more, a ninth six more.
    assert expected_epochs(plan, 9) == pytest.approx(1 + 2 / 3 + 6 / 9)
    uncut = plan_search("colorizer", config_of(tmp_path, scheduler="none"), 64)
    assert expected_epochs(uncut, 9) == 9
