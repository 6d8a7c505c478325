"""What the registry offers to whoever uses a model, and what is said where it offers nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tuning.errors import ChromatuneError
from tuning.tracking.registry.catalog import (
    RegistryError,
    find_champion,
    find_model,
    list_models,
    pinned,
)
from tuning.tracking.registry.model_choice import (
    champions,
    choose_mode,
    choose_model,
    load_colorizer,
    mode_label,
    score_text,
)
from tuning.workflows.colorize import modes

Promote = Callable[..., Any]


def test_versions_come_with_their_aliases_and_scores(promote: Promote, store: str) -> None:
    promote("faces-colorizer", (0.5, 0.5), test_psnr=31.5, val_psnr=math.nan)
    promote("faces-colorizer", (0.5, 0.5), champion=False, constant=27.0)
    promote("ncd-colorizer", (0.5, 0.5))
    promote("faces-regression", (0.5, 0.5))
    new, old, ncd = list_models(store, "colorizer")
    assert [card.uri for card in (new, old, ncd)] == [
        "models:/faces-colorizer/2",
        "models:/faces-colorizer/1",
        "models:/ncd-colorizer/1",
    ]
    assert old.aliases == ("champion",)
    assert new.aliases == ()
    assert old.scores == {"test_psnr": 31.5}
    assert new.scores == {"constant_test_psnr": 27.0}
    assert champions([new, old, ncd]) == {"faces": old, "ncd": ncd}
    assert find_champion(store, "faces", "colorizer") == old
    assert find_model("models:/faces-colorizer@champion", store) == old
    assert find_model("models:/faces-colorizer/2", store) == new
    assert score_text(old) == " (test PSNR 31.50 dB)"
    assert score_text(new) == ""
    names = ("faces", "ncd", "synthetic-faces")
    assert list(map(mode_label, names)) == ["Faces", "NCD", "Synthetic faces"]


def test_models_of_others_are_none_of_ours(store: str, client: MlflowClient) -> None:
    for name in ("it's-colorizer", "colorizer", "chat-model"):
        client.create_registered_model(name)
    assert list_models(store, "colorizer") == []


def test_a_mode_is_its_champions(promote: Promote, store: str) -> None:
    promote("ncd-colorizer", (0.4, 0.6))
    alone = choose_mode("ncd", store)
    assert (alone.colorizer.label, alone.regressor) == ("ncd-colorizer version 1", None)
    promote("ncd-regression", (0.5, 0.7))
    both = choose_mode("ncd", store)
    assert both.regressor is not None
    assert both.regressor.label == "ncd-regression version 1"
    colorizer, note = load_colorizer(both, store, "cpu")
    assert (colorizer.has_regressor, note) == (True, "")


def test_a_regressor_that_is_gone_leaves_the_colorizer(
    promote: Promote, store: str, tmp_path: Path
) -> None:
    promote("ncd-colorizer", (0.4, 0.6))
    promote("ncd-regression", (0.5, 0.7))
    choice = choose_mode("ncd", store)
    (weights,) = (tmp_path / "artifacts" / "ncd-regression").glob("**/model.safetensors")
    weights.unlink()
    colorizer, note = load_colorizer(choice, store, "cpu")
    assert not colorizer.has_regressor
    assert note.startswith("the means are the colorizer's own, ncd-regression version 1 cannot be")


def test_where_there_is_no_champion_the_command_that_makes_one_is_named(
    promote: Promote, store: str
) -> None:
    with pytest.raises(ChromatuneError, match="`chromatune grid colorizer --dataset faces "):
        choose_mode("faces", store)
    with pytest.raises(ChromatuneError, match=r"unknown mode 'face'; did you mean 'faces'\?"):
        choose_mode("face", store)
    promote("synthetic-faces-colorizer", (0.5, 0.5))
    with pytest.raises(ChromatuneError, match="champions exist for synthetic-faces"):
        choose_mode("ncd", store)


def test_any_model_can_be_chosen_but_no_regressor(promote: Promote, store: str) -> None:
    promote("faces-colorizer", (0.4, 0.6), champion=False)
    promote("faces-regression", (0.4, 0.6))
    choice = choose_model("models:/faces-colorizer/1", store)
    assert choice.regressor is not None
    with pytest.raises(ChromatuneError, match="its task is regression: use a colorizer, such as"):
        choose_model("models:/faces-regression/1", store)


def test_a_logged_model_knows_its_dataset(promote: Promote, store: str) -> None:
    version = promote("faces-colorizer", (0.4, 0.6))
    model_id = Path(version.source).parent.name
    uri = f"models:/{model_id}"
    card = choose_model(uri, store).colorizer
    assert (card.dataset, card.task, card.version) == ("faces", "colorizer", None)
    assert card.label == uri


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/facs-colorizer/1", r"did you mean 'faces-colorizer'\?"),
        ("models:/faces-colorizer/7", "no model 'models:/faces-colorizer/7'"),
        ("models:/faces-colorizer@best", "no model 'models:/faces-colorizer@best'"),
        ("models:/m-0123", "no model 'models:/m-0123'"),
        ("runs:/abc/model", "is not a model: use models:/<name>/<version>"),
        ("models:/", "is not a model: use models:/<name>/<version>"),
        ("models:/a/b/c", "no model 'models:/a/b/c'"),
    ],
)
def test_what_is_not_there_is_one_line(
    store: str, client: MlflowClient, uri: str, message: str
) -> None:
    client.create_registered_model("faces-colorizer")
    with pytest.raises(ChromatuneError, match=message) as caught:
        find_model(uri, store)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, RegistryError)


def test_a_server_out_of_reach_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for ask in (
        lambda: list_models("http://127.0.0.1:9", "colorizer"),
        lambda: find_champion("http://127.0.0.1:9", "faces", "colorizer"),
        lambda: find_model("models:/faces-colorizer/1", "http://127.0.0.1:9"),
    ):
        with pytest.raises(RegistryError, match="cannot read the model registry"):
            ask()


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: choose_mode("faces", store),
        lambda store: find_model("models:/faces-colorizer@champion", store),
        lambda store: pinned("models:/faces-colorizer@champion", store),  # as `finetune` asks
        modes,  # as `colorize` and `serve` ask without a mode
    ],
    ids=["mode", "model", "fine-tuning", "no mode"],
)
def test_a_champion_whose_alias_was_removed_is_told_from_a_model_that_is_not_there(
    ask: Callable[[str], Any], promote: Promote, store: str
) -> None:
    with pytest.raises(ChromatuneError) as absent:
        ask(store)
    promote("faces-colorizer", (0.5, 0.6), test_psnr=31.5)
    ask(store)
    MlflowClient(store, store).delete_registered_model_alias("faces-colorizer", "champion")
    with pytest.raises(ChromatuneError) as removed:
        ask(store)
    said = "the registered model 'faces-colorizer' is there, but no version of it has the alias"
    assert said in str(removed.value)
    command = f"`chromatune promote colorizer --dataset faces --tracking-uri {store}` sets it"
    assert command in str(removed.value)
    assert said not in str(absent.value)
