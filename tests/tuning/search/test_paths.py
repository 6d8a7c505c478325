"""A search is gone on with from any folder, and never with a study that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tuning.cli import app
from tuning.config.schema import resolve
from tuning.config.search import SearchLaunchConfig
from tuning.errors import ChromatuneError


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("st.journal", "{here}/st.journal"),
        ("sqlite:///st.db", "sqlite:///{here}/st.db"),
        ("sqlite:////elsewhere/st.db", "sqlite:////elsewhere/st.db"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_the_place_of_a_study_is_kept_whole(
    given: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    search = {"space": {"model": "cnn1", "lr": 1e-3}, "study_storage": given}
    config = resolve(SearchLaunchConfig, defaults={"search": search})
    assert config.search.study_storage == kept.format(here=tmp_path)


def test_a_misspelled_choice_names_the_nearest() -> None:
    search = {"space": {"model": "cnn1"}, "sampler": "tppe"}
    with pytest.raises(ChromatuneError, match="did you mean 'tpe'"):
        resolve(SearchLaunchConfig, defaults={"search": search})


def test_an_extension_has_no_dry_run() -> None:
    answer = CliRunner().invoke(app, ["search", "colorizer", "--extend", "last", "--dry-run"])
    assert isinstance(answer.exception, ChromatuneError)
    assert "does not go with --extend" in str(answer.exception)
