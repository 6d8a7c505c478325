"""Where a launch is told to whom to post, and that nothing keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import PrepareSettings, prepare
from tests.commands import refusal, run
from tests.receiver import Receiver, receiver

__all__ = ["receiver"]


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    settings = PrepareSettings("synthetic-faces", size=32, augment=1, count=12)
    prepare(settings, tmp_path / "data")
    return ["--storage-path", f"{tmp_path}/launches", "--backend", "serial"]


def test_a_launch_notifies_and_keeps_no_address(
    where: list[str], tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "grid.yaml"
    grid = "{models: [fc], lrs: [1.0e-3], epochs: [1, 2]}"
    hook = f"http://{receiver.host}/hook-5117"
    file.write_text(f"notify: {hook}\ndata: {{dataset: synthetic-faces}}\ngrid: {grid}\n")
    trained = run(
        *("grid", "regression", "-c", str(file), "--data-root", f"{tmp_path}/data", *where)
    )
    assert trained.status == 0, trained.err
    assert receiver.events[-1][0] == "finished"
    assert {event for event, _ in receiver.events[:-1]} == {"best"}
    assert receiver.posts[-1][2]["done"] == 2
    for path in (tmp_path / "launches").rglob("*.json"):
        assert "hook-5117" not in path.read_text()

    # A resumed launch is told again, here by the environment.
    (folder,) = (tmp_path / "launches").iterdir()
    (cell,) = folder.glob("*/cells/*-e2/cell.json")
    cell.unlink()
    receiver.posts.clear()
    monkeypatch.setenv("CHROMATUNE_NOTIFY", hook)
    assert run("resume", "last", *where).status == 0
    assert receiver.events[-1][0] == "finished"


@pytest.mark.parametrize("url", ["example.org/hook", "file:///etc/passwd", "htp://example.org"])
def test_only_the_address_of_a_web_server_is_taken(url: str, where: list[str]) -> None:
    for words in (("grid", "regression"), ("resume", "last")):
        assert "notify" in refusal(*words, *where, "--notify", url)
