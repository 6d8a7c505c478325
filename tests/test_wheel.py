"""What the wheel holds: an installation has no source tree beside it."""

from __future__ import annotations

import configparser
import zipfile
from pathlib import Path

import pytest

from chromatune import PACKAGES, ROOT


def test_the_wheel_holds_every_file_of_the_packages_and_the_configurations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = pytest.importorskip("hatchling.build", reason="hatchling, which builds the wheel")
    root = Path(ROOT)
    monkeypatch.chdir(root)
    with zipfile.ZipFile(tmp_path / build.build_wheel(str(tmp_path))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        commands = configparser.ConfigParser()
        commands.read_string(wheel.read(entry_points).decode())
    copied = [*(root / "configs").rglob("*.*"), *(root / "examples").iterdir()]
    expected = {f"tuning/{file.relative_to(root)}" for file in copied}
    for package in ("chromatune", *PACKAGES):
        files = [file for file in (root / package).rglob("*") if file.is_file()]
        expected |= {
            str(file.relative_to(root)) for file in files if file.parent.name != "__pycache__"
        }
    assert names == expected
    assert dict(commands["console_scripts"]) == {"chromatune": "chromatune:main"}
