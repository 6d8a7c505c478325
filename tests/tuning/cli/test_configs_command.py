"""Packaged configurations are listed, printed, copied and found by their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import refusal, resolved, run
from tuning.cli.options import config_names
from tuning.config.packaged import packaged_configs
from tuning.config.schema import configs_folder

NAMES = [file.stem for file in sorted(configs_folder().glob("*.yaml"))]


def test_every_file_is_listed_with_its_first_line() -> None:
    rows = json.loads(run("configs", "--format", "json").out)
    assert [row["name"] for row in rows] == NAMES
    for row in rows:
        first = (configs_folder() / f"{row['name']}.yaml").read_text().splitlines()[0]
        assert f"# {row['description']}" == first
        assert row["description"].endswith(".")
    table = run("configs")
    assert [line.split()[0] for line in table.out.splitlines()] == NAMES
    assert config_names("grid") == ["grid_colorizer", "grid_regression"]


@pytest.mark.parametrize("name", ["finals", "finals.yaml"])
def test_a_file_is_printed_as_it_is(name: str) -> None:
    assert run("configs", name).out == (configs_folder() / "finals.yaml").read_text()


def test_files_are_copied_and_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "mine"
    copied = run("configs", "finals", "--copy", str(folder))
    assert (copied.status, copied.out) == (0, f"{folder}/finals.yaml\n")
    (folder / "finals.yaml").write_text("mine")
    assert "finals.yaml exists" in refusal("configs", "--copy", str(folder))
    assert sorted(file.name for file in folder.iterdir()) == ["finals.yaml", "schemas"]
    assert [file.name for file in (folder / "schemas").iterdir()] == ["finals.json"]
    assert (folder / "finals.yaml").read_text() == "mine"
    assert run("configs", "--copy", str(tmp_path / "all")).status == 0
    for name, file in packaged_configs().items():
        assert (tmp_path / "all" / f"{name}.yaml").read_bytes() == file.read_bytes()
    assert "cannot copy into" in refusal("configs", "--copy", str(folder / "finals.yaml" / "x"))


@pytest.mark.parametrize(
    "name",
    [
        "grid_regression",
        "grid_regression.yaml",
        "configs/grid_regression.yaml",
        "./grid_regression",
    ],
)
def test_a_launch_takes_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved("grid", "regression", "-c", name) == resolved("grid", "regression")
    (tmp_path / "grid_regression").mkdir()  # a folder is no configuration
    assert resolved("grid", "regression", "-c", name) == resolved("grid", "regression")


@pytest.mark.parametrize("file", ["grid_regression", "grid_regression.yaml"])
def test_a_file_of_the_user_comes_before_a_packaged_one(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text("grid: {lrs: [0.5]}")
    assert resolved("grid", "regression", "-c", "grid_regression").grid.lrs == [0.5]


@pytest.mark.parametrize("words", [["configs"], ["grid", "regression", "-c"]])
def test_a_misspelled_name_lists_what_there_is(words: list[str]) -> None:
    line = refusal(*words, "grid_regresion")
    assert "did you mean 'grid_regression'?" in line
    assert all(name in line for name in NAMES)


def test_a_missing_file_in_another_folder_is_no_name(tmp_path: Path) -> None:
    line = refusal("grid", "regression", "-c", str(tmp_path / "grid_regression.yaml"))
    assert str(tmp_path) in line
    assert "packaged" not in line
