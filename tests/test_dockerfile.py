"""The image for clusters: what Docker would do, where there is no Docker, as a script."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from chromatune import ROOT

FOLDER = Path(ROOT)
DOCKERFILE = FOLDER / "Dockerfile"
INSTRUCTIONS = {"ARG", "FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "CMD"}


def instructions() -> Iterator[tuple[str, str]]:
    """Each instruction and its arguments, its lines joined, without comments."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line:
            name, _, rest = line.partition(" ")
            yield name, rest


def sent_to_docker() -> list[Path]:
    """The files and folders that .dockerignore lets through."""
    lines = (FOLDER / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    return [FOLDER / line.removeprefix("!") for line in lines if line.startswith("!")]


def test_the_file_is_well_formed() -> None:
    found = list(instructions())
    assert {name for name, _ in found} <= INSTRUCTIONS
    assert found[:2] == [("ARG", "BASE=ubuntu:24.04"), ("FROM", "${BASE}")]
    steps = [rest for name, rest in found if name == "RUN"]
    for command in itertools.chain.from_iterable(re.split("&&|;", step) for step in steps):
        if "apt-get install" in command:
            assert {"--yes", "--no-install-recommends"} <= set(command.split())
        if "pip install" in command:
            assert "--no-cache-dir --constraint /tmp/chromatune/constraints.txt" in command
    (user,) = (rest for name, rest in found if name == "USER")
    assert user != "root"


def test_the_manifest_runs_the_image_for_gpus() -> None:
    shown = re.findall(r"docker build .*", DOCKERFILE.read_text())
    manifest = (FOLDER / "kuberay_rayjob.yaml").read_text()
    (command,) = re.findall(r"docker build .*", manifest)
    assert command in shown
    assert "BASE=nvidia/cuda" in command
    built = command.split()[3]
    assert set(re.findall(r"image: (\S+)", manifest)) == {built}


@pytest.mark.slow
def test_the_steps_run_as_a_script(tmp_path: Path) -> None:
    """Debian's packages are recorded; the libraries are those of this environment."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel")
    root, tools, wheels = (tmp_path / name for name in ("root", "tools", "wheels"))
    for folder in (root / "tmp/chromatune", root / "usr/local/bin", root / "opt", tools, wheels):
        folder.mkdir(parents=True)
    for path in sent_to_docker():
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, root / "tmp/chromatune" / path.name)
    for name in ("torch", "boto3"):
        _empty_wheel(wheels, name)
    (tools / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/debian\n')
    (tools / "apt-get").chmod(0o755)
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (tools / "python3").symlink_to(base)
    steps = [rest for name, rest in instructions() if name == "RUN"]
    inside = re.compile(r"(?<![\w.])/(?=(?:tmp|opt|usr|var)/)")
    libraries = Path(torch.__file__).parents[1]
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_DEPS": "1",
        "PIP_IGNORE_INSTALLED": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip takes a no for an answer to "with isolation?"
        "PYTHONPATH": str(libraries),
    }

    def run(command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for step in steps:
        run(inside.sub(f"{root}/", step))
    assert "update\ninstall --yes" in (tmp_path / "debian").read_text()
    installed = {path.name for path in root.glob("opt/venv/lib/*/site-packages/*.dist-info")}
    assert {"torch-2.13.0.dist-info", "boto3-1.44.5.dist-info"} <= installed
    assert "synthetic-fruits" in run(f"{root}/usr/local/bin/chromatune prepare --help")
    assert "grid_colorizer" in run(f"{root}/usr/local/bin/chromatune configs")


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(3600)
def test_docker_builds_the_image() -> None:
    if shutil.which("docker") is None or subprocess.run(["docker", "info"]).returncode:
        pytest.skip("needs Docker")
    image = subprocess.check_output(["docker", "build", "--quiet", ROOT], text=True).strip()
    command = ["docker", "run", "--rm", image, "chromatune", "configs"]
    assert "grid_colorizer" in subprocess.check_output(command, text=True)


def _empty_wheel(folder: Path, name: str) -> None:
    """A package of the version in constraints.txt, without content."""
    (version,) = re.findall(rf"^{name}==(\S+)$", (FOLDER / "constraints.txt").read_text(), re.M)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        about, lines = f"{name}-{version}.dist-info", f"Name: {name}\nVersion: {version}\n"
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\n{lines}")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
