"""`chromatune colorize` from its words to its files."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_prep import rgb_to_lab
from tuning.workflows import colorize as workflow

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

PATIENCE_S = 240


def mean_ab(path: Path) -> Any:
    with Image.open(path) as image:
        return rgb_to_lab(np.asarray(image.convert("RGB")))[..., 1:].mean(axis=(0, 1))


def test_a_folder_is_colorized_by_the_champion(
    run: Any, champions: str, pictures: Path, tmp_path: Path
) -> None:
    where = ("--tracking-uri", champions, "--format", "json")
    status, out, err = run("colorize", str(pictures), "--mode", "Faces", *where)
    assert status == 0, err
    document = json.loads(out)
    assert document["colorizer"]["uri"] == "models:/faces-colorizer/2"
    assert document["regressor"]["uri"] == "models:/faces-regression/1"
    assert document["failed"] == []
    assert document["ignored"] == {}
    assert len(document["pictures"]) == 3
    for picture in document["pictures"]:
        made = tmp_path / picture["picture"]
        assert made.is_relative_to(tmp_path / "Recon")
        assert (tmp_path / picture["sheet"]).is_file()
        with Image.open(made) as after, Image.open(picture["source"]) as before:
            assert after.size == before.size
        assert mean_ab(made) == pytest.approx([0.52 * 255, 0.55 * 255], abs=2)
        assert picture["mean"]["a_255"] == pytest.approx(0.54 * 255, abs=0.01)
        assert picture["mean"]["b"] == pytest.approx(0.58 * 255 - 128, abs=0.01)
        assert picture["mean_of_colorizer"]["a"] == pytest.approx(0.52 * 255 - 128, abs=0.01)
    assert "faces-colorizer version 2 (test PSNR 31.50 dB) on cpu" in err
    assert "mean colors by faces-regression version 1" in err
    assert "3 of 3 images colorized" in err


def test_the_table_tells_every_mean_and_what_evaluation_found(
    run: Any, champions: str, pictures: Path
) -> None:
    words = ("colorize", str(pictures), "--mode", "synthetic-fruits", "--tracking-uri", champions)
    status, out, _ = run(*words, "--evaluate")
    assert status == 0
    for text in ("colour.jpg", "gray.png", "more/x.png", "30.10", "158.10", "PSNR", "mean of 2"):
        assert text in out
    status, out, _ = run(*words)
    assert status == 0
    assert "PSNR" not in out


def test_a_bad_file_is_told_and_the_rest_is_done(
    run: Any, champions: str, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "bad [1].png").write_text("words")
    (pictures / "raw.cr2").write_text("words")
    status, out, err = run(
        "colorize", str(pictures), "--mode", "faces", "--out", "made", "--tracking-uri", champions
    )
    assert status == 1
    assert f"not colorized: {pictures}/bad [1].png: not a readable image" in err
    assert "1 other file ignored: 1 .cr2" in err
    assert "3 of 4 images colorized" in err
    assert "bad" not in out
    assert len(list((tmp_path / "made").glob("*.png"))) == 2


def test_any_version_colorizes(run: Any, champions: str, pictures: Path, tmp_path: Path) -> None:
    words = ("colorize", str(pictures / "gray.png"), "--tracking-uri", champions)
    status, _, err = run(*words, "--model", "models:/faces-colorizer/1")
    assert status == 0, err
    assert "faces-colorizer version 1 on cpu" in err
    assert mean_ab(tmp_path / "Recon/gray.png") == pytest.approx([0.45 * 255, 0.6 * 255], abs=2)


def test_without_a_mode_there_is_nobody_to_ask(run: Any, champions: str, pictures: Path) -> None:
    status, out, err = run("colorize", str(pictures), "--tracking-uri", champions)
    assert (status, out) == (2, "")
    assert err == "error: --mode is missing; champions exist for faces, synthetic-fruits\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "name an image or a folder"),
        (("nothing.png",), "there is no image or folder nothing.png"),
        (("pictures", "--mode", "faces", "--model", "models:/x/1"), "give one of them"),
        (("pictures", "--mode", "faces", "--export", "x.pt"), "must end in .safetensors or .onnx"),
        (("pictures", "--mode", "faces"), "no champion for the mode 'faces' yet"),
        (("pictures", "--model", "models:/x/1"), "no model 'models:/x/1'"),
        (("pictures",), "there is no champion yet: `chromatune reproduce`"),
        (("pictures", "--tracking-uri", "sqlite:///no/mlflow.db"), "no MLflow store"),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_what_is_wrong_is_one_line(run: Any, store: str, words: Any, line: str) -> None:
    where = () if "--tracking-uri" in words else ("--tracking-uri", store)
    status, out, err = run("colorize", *words, *where)
    assert (status, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1


def test_ctrl_c_keeps_and_tells_what_is_written(
    run: Any, champions: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = workflow.colorize_files

    def struck(*arguments: Any, **options: Any) -> Iterator[Any]:
        yield next(whole(*arguments, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "colorize_files", struck)
    status, out, err = run(
        "colorize", str(pictures), "--mode", "faces", "--tracking-uri", champions
    )
    assert status == 130
    assert "colour.jpg" in out
    assert "gray.png" not in out
    assert "1 of 3 images colorized" in err


@pytest.mark.slow
def test_a_model_is_exported_without_pictures(run: Any, champions: str, tmp_path: Path) -> None:
    where = ("--tracking-uri", champions)
    status, out, err = run("colorize", "--mode", "faces", "--export", "it.safetensors", *where)
    assert status == 0, err
    assert out == "faces-colorizer version 2: it.safetensors\n"
    status, out, err = run(
        "colorize", "--model", "models:/faces-regression@champion", "--export", "mean.onnx", *where
    )
    assert (status, out) == (0, "faces-regression version 1: mean.onnx\n"), err
    assert {path.name for path in tmp_path.glob("*.*")} >= {"it.safetensors", "mean.onnx"}


def plain(screen: bytes) -> str:
    """What is on a screen, without its colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.decode(errors="replace"))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Run a command on a terminal of its own: `terminal(words, typed)` gives (status, screen)."""
    children: list[int] = []

    def call(words: list[str], wait_for: str, typed: str) -> tuple[int, str]:
        pid, screen = pty.fork()
        if pid == 0:
            os.chdir(tmp_path)
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
            os.environ["TERM"] = "xterm"
            os.execv(sys.executable, [sys.executable, "-m", "tuning", *words])
        children.append(pid)
        seen = b""
        while True:
            assert select.select([screen], [], [], PATIENCE_S)[0], seen
            try:
                seen += os.read(screen, 10_000)
            except OSError:  # the program has ended
                break
            if wait_for and wait_for in plain(seen):
                os.write(screen, typed.encode())
                wait_for = ""
        os.close(screen)
        children.remove(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), plain(seen)

    yield call
    for pid in children:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_on_a_terminal_it_asks_for_the_mode(
    terminal: Any, champions: str, pictures: Path, tmp_path: Path
) -> None:
    words = ["colorize", str(pictures / "gray.png"), "--tracking-uri", champions]
    status, screen = terminal(words, "mode [faces/synthetic-fruits] (faces)", "Synthetic-Fruits\n")
    assert status == 0, screen
    assert "faces: faces-colorizer version 2 (test PSNR 31.50 dB)" in screen
    assert mean_ab(tmp_path / "Recon/gray.png") == pytest.approx([0.5 * 255, 0.62 * 255], abs=2)
    status, screen = terminal(words, "mode [", "\x04")
    assert status == 130
    assert "Traceback" not in screen
