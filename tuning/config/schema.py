"""Configuration of a launch: typed, strict, layered as flag > --set > YAML > default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.dataclasses import dataclass

from tuning.config.imports import found_beside, import_code, joined, listed
from tuning.errors import ChromatuneError, nearest
from tuning.training.options import EvalMetrics, NotNegative, Positive, TrainingOptions
from tuning.training.tasks import TASKS as TASKS
from tuning.training.tasks import Task as Task
from tuning.utils.addresses import check_storage, check_store
from tuning.utils.environment import expanded
from tuning.utils.faults import describe_fault
from tuning.utils.safe_yaml import parse_yaml, read_yaml_file

Head = Literal["relu", "sigmoid", "tanh"]
Count = Annotated[int, Field(ge=1, le=10**9)]
_RESOLVING = "resolving"  # the context of validation in `resolve`
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def absolute_path(value: str) -> str:
    """Make a folder absolute, because trials and resumed launches run elsewhere; URIs stay.

    Raises ChromatuneError for a mistyped URI.
    """
    check_storage(value)
    return value if "://" in value else str(expanded(value).absolute())


def checked_url(value: str) -> str:
    """Return the URL of a web server; ChromatuneError if it is none."""
    check_store(value, "notify", ("http", "https"))
    if not value.startswith(("http://", "https://")):
        raise ChromatuneError("notify must be a URL such as https://example.org/hook")
    return value


def _shared_or_whole(gpus: float) -> float:
    if gpus > 1 and not gpus.is_integer():
        raise ValueError("must be at most 1, or a whole number")
    return gpus


_Gpus = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_shared_or_whole)]
# Tells pydantic which of the two was meant, so that only its error is shown.
_NUMBER, _MAPPING = "<number>", "<mapping>"
_GpusPerTrial = Annotated[
    Annotated[_Gpus, Tag(_NUMBER)] | Annotated[dict[str, _Gpus], Tag(_MAPPING)],
    Discriminator(lambda value: _MAPPING if isinstance(value, Mapping) else _NUMBER),
]


def _folder_or_uri(value: object) -> object:
    if isinstance(value, str) and "://" in value and not value.startswith("file://"):
        return value.rstrip("/")
    return expanded(value) if isinstance(value, str | Path) else value


def _known_split(value: str) -> str:
    from data_prep import check_split  # imports OpenCV, which takes a while

    if not value.lower().endswith(".csv"):
        check_split(value)
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Strict):
    """Which prepared dataset to train on; the defaults are those of the original paper.

    `digest`, or its beginning, picks a prepared variant whatever else is configured;
    `NAME@DIGEST` only one of this dataset.
    """

    dataset: str = "faces"
    root: Annotated[Path | str, BeforeValidator(_folder_or_uri)] = Path("data")
    size: Count = 128
    split: Annotated[str, AfterValidator(_known_split)] = "random"
    augment: Count = 10
    seed: Seed = 0
    count: Count | None = None
    group_by: str | None = None
    digest: str | None = None


class TrainingConfig(_Strict):
    """What all trainings of a launch share; the defaults are those of the original paper.

    `eval_metrics` are measured at every validation, such as `val_ssim`, or `all`, not of the cells
    alone; MSE, PSNR and what decides always are.
    """

    batch_size: Count = 100
    weight_decay: NotNegative = 1e-5
    seed: Seed = 0
    eval_every: Count | None = None
    eval_metrics: EvalMetrics = ()


class ResourcesConfig(_Strict):
    """Where trials run and what each one gets; None lets the backend decide.

    `gpus_per_trial` is a number for all models, or a mapping from model to number.
    """

    backend: Literal["ray", "serial"] = "ray"
    cpus_per_trial: Positive | None = None
    gpus_per_trial: _GpusPerTrial | None = None
    max_concurrent_trials: Count | None = None
    max_failures: Annotated[int, Field(ge=0)] = 2
    time_budget_s: Positive | None = None

    @field_validator("gpus_per_trial")
    @classmethod
    def _known_models(cls, value: Any, info: ValidationInfo) -> Any:
        # Not where a stored launch is read: its models may be registered elsewhere.
        if isinstance(value, Mapping) and info.context == _RESOLVING:
            from models import list_models  # imports torch, which takes seconds

            valid = list_models()
            for name in value:
                if name not in valid:
                    raise ValueError(f"unknown model '{name}'{nearest(name, valid)}")
        return value

    def gpus_for(self, model: str) -> float | None:
        """GPUs of a trial of `model`; None where neither the model nor all models have a number."""
        if isinstance(self.gpus_per_trial, Mapping):
            return self.gpus_per_trial.get(model)
        return self.gpus_per_trial


class GridConfig(_Strict):
    """Axes of a grid: every model x head x lr x epochs is a cell."""

    models: Annotated[list[str], Field(min_length=1)]
    heads: Annotated[list[Head], Field(min_length=1)]
    lrs: Annotated[list[Positive], Field(min_length=1)] = [1e-3, 1e-4, 1e-5]
    epochs: Annotated[list[Count], Field(min_length=1)] = [100, 300, 500]
    epoch_scale: Positive | None = None
    independent_cells: bool = False

    @field_validator("models", "heads", "lrs", "epochs")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError("values must be distinct")
        return values


class FinetuneConfig(_Strict):
    """Fine-tuning of a registered model on another dataset; defaults as in the original paper.

    With `force`, the result is promoted whatever the gate says.
    """

    source: str = "faces"
    model: str | None = None
    lr: Positive = 1e-3
    epochs: Count = 1000
    compare_scratch: bool = False
    force: bool = False


class FinalsConfig(_Strict):
    """The original paper's single trainings; None takes the best cell of the finished grid."""

    lr: Positive | None = None
    epochs: Count | None = None
    fc_lr: Positive = 1e-5
    fc_epochs: Count = 100


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainConfig(TrainingOptions):
    """One training, also validated after the epochs `validate_at`.

    `initial_model` names a registered model to start from instead of random weights; with
    `promote`, the result goes through the promotion gate, with `force` too whatever that says.
    """

    head: Head = "tanh"
    epochs: Count
    validate_at: tuple[Count, ...] = ()
    initial_model: str | None = None
    promote: bool = False
    force: bool = False


def _absolute_files(words: list[str]) -> list[str]:
    return [str(path.absolute()) if (path := expanded(w)).is_file() else w for w in words]


class LaunchConfig(_Strict):
    """What every launch needs; each kind adds a section of its own.

    `imports` are files or modules that register models, losses and metrics; YAML files may call
    them `import`.
    """

    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    resources: ResourcesConfig = ResourcesConfig()
    # The default lies beside the MLflow store that shows it, not in Ray's ~/ray_results.
    storage_path: Annotated[str, AfterValidator(absolute_path), Field(validate_default=True)] = (
        "ray_results"
    )
    address: str | None = None
    notify: Annotated[str, AfterValidator(checked_url)] | None = None
    imports: Annotated[list[str], BeforeValidator(listed), AfterValidator(_absolute_files)] = []


class GridLaunchConfig(LaunchConfig):
    grid: GridConfig


class FinetuneLaunchConfig(LaunchConfig):
    finetune: FinetuneConfig = FinetuneConfig()


class TrainLaunchConfig(LaunchConfig):
    train: TrainConfig


class FinalsLaunchConfig(LaunchConfig):
    finals: FinalsConfig = FinalsConfig()


REPORT_GRIDS: Mapping[Task, dict[str, Any]] = {
    "regression": {"models": ["cnn1", "cnn2", "cnn3"], "heads": ["relu"]},
    "colorizer": {"models": ["autoencoder"], "heads": ["relu", "sigmoid", "tanh"]},
}

Config = TypeVar("Config", bound=BaseModel)


def resolve(
    schema: type[Config],
    *,
    defaults: Mapping[str, Any] | None = None,
    file: Path | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Build a configuration from its layers and validate it.

    `overrides` are `key.path=value` words, the values in YAML. `flags` maps key paths to values;
    None means that the flag was not given. Raises ChromatuneError with one line that names the
    misspelled or invalid key and where it came from.
    """
    merged: dict[str, Any] = {}
    _merge(merged, defaults or {})
    if file is not None:
        content = read_yaml(file)
        if "import" in content:
            content["imports"] = found_beside(content.pop("import"), file)
        _merge(merged, content)
    for word in overrides:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ChromatuneError(f"--set takes key=value, but got '{word}'")
        key = "imports" if key == "import" else key
        _assign(merged, key, parse_yaml(value, f"--set {key}: '{value}'"))
    named = merged.get("imports", [])
    for key, value in (flags or {}).items():
        if key in ("import", "imports") and value is not None:
            merged["imports"] = joined(named, value)
        elif value is not None:
            _assign(merged, key, value)
    if issubclass(schema, LaunchConfig):
        # First, because what they register is valid in the rest.
        words = listed(merged.get("imports", []))
        import_code([word for word in words if isinstance(word, str)])
    try:
        return schema.model_validate(merged, context=_RESOLVING)
    except ValidationError as error:
        where = f" (in {file})" if file is not None else ""
        raise ChromatuneError(describe_fault(error, schema) + where) from None


def configs_folder() -> Path:
    """The folder of YAML files that come with the program, installed or in the source tree."""
    installed = Path(__file__).parents[1] / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "configs"


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a YAML mapping; ChromatuneError if the file is missing, unreadable or not a mapping."""
    content = read_yaml_file(file, "configuration")
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ChromatuneError(
            f"{file} must hold `key: value` lines, not a {type(content).__name__}"
        )
    return content


def _merge(into: dict[str, Any], layer: Mapping[Any, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            _merge(into[key], value)
        else:
            into[key] = value


def _assign(into: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        if not isinstance(into.get(name), dict):
            into[name] = {}
        into = into[name]
    into[last] = value
