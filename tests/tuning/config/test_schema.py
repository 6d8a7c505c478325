"""The layers of a configuration, and the error messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuning.config.schema import (
    REPORT_GRIDS,
    FinetuneLaunchConfig,
    GridLaunchConfig,
    TrainLaunchConfig,
    resolve,
)
from tuning.errors import ChromatuneError

DEFAULTS = {"grid": REPORT_GRIDS["regression"]}


def test_defaults_are_the_reports_grid() -> None:
    config = resolve(GridLaunchConfig, defaults=DEFAULTS)
    assert config.grid.models == ["cnn1", "cnn2", "cnn3"]
    assert config.grid.lrs == [1e-3, 1e-4, 1e-5]
    assert config.grid.epochs == [100, 300, 500]
    assert (config.training.batch_size, config.training.weight_decay) == (100, 1e-5)
    assert (config.data.size, config.data.split, config.data.augment) == (128, "random", 10)


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("training: {batch_size: 10, seed: 1}\ngrid: {epochs: [7]}\n")
    config = resolve(
        GridLaunchConfig,
        defaults=DEFAULTS,
        file=file,
        overrides=["training.seed=2", "grid.lrs=[1e-2]"],
        flags={"training.seed": 3, "training.weight_decay": None},
    )
    assert config.training.seed == 3  # flag over --set over YAML
    assert config.training.batch_size == 10  # YAML over default
    assert config.grid.lrs == [0.01]  # YAML 1.1 reads 1e-2 as a word; it is a number here
    assert config.grid.epochs == [7]
    assert config.training.weight_decay == 1e-5  # a flag not given changes nothing


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["trainng.seed=1"], "unknown key 'trainng'; did you mean 'training'?"),
        (["training.batchsize=1"], "unknown key 'training.batchsize'; did you mean 'batch_size'?"),
        (["grid.epochs=[0]"], "'grid.epochs.0' is wrong"),
        (["grid.lrs=[1e-3, 0.001]"], "values must be distinct"),
        (["grid.lrs=[.nan]"], "'grid.lrs.0' is wrong"),
        (["grid.heads=[relo]"], "'grid.heads.0' is wrong"),
        (["resources.gpus_per_trial=1.5"], "must be at most 1, or a whole number, got 1.5"),
        (["resources.gpus_per_trial.cnn4=1"], "unknown model 'cnn4'; did you mean 'cnn3'?"),
        (["resources.gpus_per_trial.cnn3=1.5"], "'resources.gpus_per_trial.cnn3' is wrong"),
        (["resources.backend=sereal"], "did you mean 'serial'?"),
        (["data.split=people"], "split must be one of random, group"),
        (["seed"], "--set takes key=value, but got 'seed'"),
        (["training.seed=[1"], "is not valid YAML"),
        (["training=3"], "'training' is wrong"),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_names_it(
    overrides: list[str], expected: str
) -> None:
    with pytest.raises(ChromatuneError) as caught:
        resolve(GridLaunchConfig, defaults=DEFAULTS, overrides=overrides)
    assert expected.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("'people'") < 2


def test_gpus_are_given_for_all_models_or_by_model() -> None:
    shares = ["resources.gpus_per_trial=0.25", "resources.gpus_per_trial.cnn3=0.5"]
    for overrides, expected in (
        (shares[:1], (0.25, 0.25)),
        (shares, (None, 0.5)),
        ([], (None,) * 2),
    ):
        resources = resolve(GridLaunchConfig, defaults=DEFAULTS, overrides=overrides).resources
        assert (resources.gpus_for("cnn1"), resources.gpus_for("cnn3")) == expected


def test_the_file_that_holds_the_mistake_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("finetune: {epoch: 3}\n")
    with pytest.raises(
        ChromatuneError, match=r"'finetune.epoch'; did you mean 'epochs'.*mine.yaml"
    ):
        resolve(FinetuneLaunchConfig, file=file)


def test_a_required_key_that_is_misspelled_is_unknown_rather_than_missing() -> None:
    with pytest.raises(ChromatuneError, match=r"'train.modle'; did you mean 'model'"):
        resolve(TrainLaunchConfig, overrides=["train.modle=unet", "train.head=tanh"])


def test_code_is_found_beside_the_yaml_file_and_options_add_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sub/net.py", "metric.py", "newer/net.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr("tuning.config.schema.import_code", lambda words: words)
    file = tmp_path / "sub" / "grid.yaml"
    for named in ("net.py", "[net.py]"):
        file.write_text(f"import: {named}\ngrid: {{models: [cnn1], heads: [relu], lrs: [1e-3]}}\n")

        def imports(*given: str) -> list[str]:
            flags = {"import": list(given) or None}
            config = resolve(GridLaunchConfig, defaults=DEFAULTS, file=file, flags=flags)
            return [str(Path(each).relative_to(tmp_path)) for each in config.imports]

        assert imports() == ["sub/net.py"]
        assert imports("metric.py") == ["sub/net.py", "metric.py"]
        assert imports("newer/net.py") == ["newer/net.py"]
    (tmp_path / "net.py").write_text("")
    (tmp_path / "sub" / "net.py").unlink()
    assert imports() == ["net.py"]
