"""Options that several commands share, each declared once, in the words of Ray and MLflow."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import typer

from tuning.cli.console import log, log_line
from tuning.cli.launched import begin, detach
from tuning.errors import ChromatuneError
from tuning.training.tasks import Task

if typing.TYPE_CHECKING:
    from pydantic import BaseModel

    from data_prep import PreparedDataset
    from tuning.config.schema import DataConfig, LaunchConfig
    from tuning.workflows.run_launch import Session

Config = TypeVar("Config", bound="BaseModel")


def option(text: str, *names: str, **details: Any) -> Any:
    """Declare an option by its help text; brackets in it are no markup."""
    return typer.Option(*names, help=text.replace("[", r"\["), **details)


def config_names(incomplete: str) -> list[str]:
    """Complete the name of a packaged configuration."""
    from tuning.config.packaged import packaged_configs

    return [name for name in packaged_configs() if name.startswith(incomplete)]


TaskArgument = Annotated[
    Task, typer.Argument(help="Predict mean colors, or every pixel's.", show_default=False)
]


def checked_notify(url: str | None) -> str | None:
    """Check the URL to notify."""
    from tuning.config.schema import checked_url

    return None if url is None else checked_url(url)


TrackingUri = Annotated[
    str | None,
    option("MLflow server or database [default: MLFLOW_TRACKING_URI, else ./mlruns/mlflow.db]."),
]
StoragePath = Annotated[
    str | None,
    option("Folder or URI for launches: checkpoints and results [default: ./ray_results]."),
]
Address = Annotated[
    str | None, option("Ray cluster to join [default: RAY_ADDRESS, else a local Ray].")
]
Backend = Annotated[
    Literal["ray", "serial"] | None,
    option(
        "Run trials with Ray, or one by one in this process, which writes to MLflow only with "
        "--tracking-uri or MLFLOW_TRACKING_URI [default: ray]."
    ),
]
Notify = Annotated[
    str | None,
    option(
        "URL to POST a small JSON to when the launch ends or has a new best cell; not stored.",
        envvar="CHROMATUNE_NOTIFY",
        callback=checked_notify,
        metavar="URL",
    ),
]
Imports = Annotated[
    list[str] | None,
    option(
        "Python file or module of your own that registers models, losses or metrics; repeatable.",
        "--import",
        callback=lambda values: values or None,
    ),
]
TrustCode = Annotated[
    bool, option("Run the code that a launch or a model brings: trust its author.", "--trust-code")
]
Format = Annotated[Literal["table", "json"], option("Output format.", "--format")]
Device = Annotated[Literal["auto", "cpu", "cuda"], option("Device to run on.")]
LearningRate = Annotated[float | None, option("Learning rate, the highest of a schedule.")]
Epochs = Annotated[int | None, option("Number of epochs.", min=1)]
Host = Annotated[str, option("Address to listen on.")]
AllowedHosts = Annotated[
    list[str] | None,
    option(
        "Hostnames accepted in requests, comma-separated [default: localhost].",
        *("--allowed-hosts", "--allowed-host"),
        callback=lambda values: [name for value in values or () for name in words(value) or ()],
    ),
]
data_option = functools.partial(option, rich_help_panel="Dataset")
_launch = functools.partial(option, rich_help_panel="Launch")
Detach = Annotated[
    bool,
    _launch(
        "Return when training begins; the launch outlives the terminal.",
        "--detach",
        callback=detach,
    ),
]

# Where the configuration has what an option sets, if not in the command's own section.
_KEYS = {
    **{
        name: f"data.{name}"
        for name in ("dataset", "size", "split", "augment", "count", "group_by")
    },
    **{"data_root": "data.root", "data_seed": "data.seed", "data": "data.digest"},
    **{"seed": "training.seed"},
    **{name: f"resources.{name}" for name in ("backend", "cpus_per_trial", "gpus_per_trial")},
    **{name: f"resources.{name}" for name in ("max_concurrent_trials", "max_failures")},
    **{"time_budget_s": "resources.time_budget_s"},
    **{"storage_path": "storage_path", "address": "address", "notify": "notify"},
    **{"import_": "imports"},
}
_NO_SETTINGS = ("config", "set_", "tracking_uri", "detach", "trust_code")


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which dataset, and how it is, or was, prepared.

    Of a subclass with a `section`, further options set the keys of this section of the
    configuration.
    """

    section: ClassVar[str]

    dataset: Annotated[str | None, data_option("Prepared dataset [default: faces].")] = None
    data_root: Annotated[
        str | None,
        data_option("Folder of the prepared datasets, or its URI [default: data]."),
    ] = None
    size: Annotated[
        int | None, data_option("Side of an image in pixels [default: 128].", min=1)
    ] = None
    split: Annotated[
        str | None,
        data_option("random | group | stratified | subject | given [default: random]."),
    ] = None
    augment: Annotated[
        int | None,
        data_option("Versions of each training image, 1 = no augmentation [default: 10].", min=1),
    ] = None
    data_seed: Annotated[
        int | None, data_option("Seed of the split and the augmentation [default: 0].", min=0)
    ] = None
    count: Annotated[int | None, data_option("Number of images of a synthetic dataset.", min=1)] = (
        None
    )

    def flags(self) -> dict[str, Any]:
        """Values by key path of the configuration, None where an option was not given."""
        names = [each.name for each in dataclasses.fields(self) if each.name not in _NO_SETTINGS]
        keys = {name: _KEYS.get(name) or f"{self.section}.{name}" for name in names}
        return {keys[name]: getattr(self, name) for name in names}

    def data_config(self) -> DataConfig:
        """The configuration of the dataset alone."""
        from tuning.config.schema import DataConfig, resolve

        flags = {key.removeprefix("data."): value for key, value in self.flags().items()}
        return resolve(DataConfig, flags=flags)


@dataclasses.dataclass(frozen=True)
class PreparedDataOptions(DataOptions):
    """Which prepared dataset, by how it was prepared or by its digest."""

    data: Annotated[
        str | None,
        data_option(
            "Beginning of the digest of a prepared variant: see `chromatune datasets`. Without it, "
            "and without --size, --split, --augment, --data-seed and --count, also in the "
            "configuration: the only variant, or of several the one with the default settings.",
            metavar="DIGEST",
        ),
    ] = None

    def flags(self) -> dict[str, Any]:
        flags = super().flags()
        if self.data is not None:
            for name in ("size", "split", "augment", "data_seed", "count"):
                if getattr(self, name) is not None:
                    word = name.replace("_", "-")
                    raise ChromatuneError(f"--data picks a prepared variant: omit --{word}")
            if self.dataset is not None:
                flags["data.digest"] = f"{self.dataset}@{self.data}"
        return flags

    def open_data(self) -> PreparedDataset:
        """Open the dataset; a line names the one that was chosen among what is prepared."""
        from tuning.launch.open_dataset import open_prepared

        return open_prepared(self.data_config(), log_line)


@dataclasses.dataclass(frozen=True)
class LaunchOptions(DataOptions):
    """What all launches take."""

    config: Annotated[
        Path | None,
        _launch(
            "YAML configuration file, or the name of a packaged one: see `chromatune configs`.",
            *("--config", "-c"),
            autocompletion=config_names,
        ),
    ] = None
    set_: Annotated[
        list[str] | None,
        _launch("Override a configuration key: --set training.batch_size=50.", "--set"),
    ] = None
    seed: Annotated[
        int | None, _launch("Seed of the weights and the batch order [default: 0].", min=0)
    ] = None
    backend: Backend = None
    cpus_per_trial: Annotated[float | None, _launch("CPU cores per trial [default: 1].")] = None
    gpus_per_trial: Annotated[
        float | None,
        _launch(
            "GPUs per trial [default: 0.25 where there are GPUs]. By model: "
            "--set resources.gpus_per_trial.cnn3=0.5."
        ),
    ] = None
    max_concurrent_trials: Annotated[
        int | None, _launch("Trials at the same time [default: as many as fit].", min=1)
    ] = None
    max_failures: Annotated[
        int | None, _launch("Retries of a failed trial [default: 2].", min=0)
    ] = None
    time_budget_s: Annotated[float | None, _launch("Stop the launch after this many seconds.")] = (
        None
    )
    storage_path: StoragePath = None
    address: Address = None
    tracking_uri: TrackingUri = None
    notify: Notify = None
    detach: Detach = False
    import_: Imports = None
    trust_code: TrustCode = False

    def session(self, config: LaunchConfig) -> Session:
        """How the launch is run; the serial backend tracks only where a store is named."""
        from tuning.workflows.run_launch import Session

        is_named = self.tracking_uri is not None or "MLFLOW_TRACKING_URI" in os.environ
        if config.resources.backend == "serial" and not is_named:
            return Session(None, log, begin, notify=config.notify)
        return Session(resolve_uri(self.tracking_uri), log, begin, notify=config.notify)

    def resolve(
        self,
        schema: type[Config],
        flags: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        file: Path | None = None,
    ) -> Config:
        """Build the configuration of a command from these options and further `flags`.

        `file` is read where the user names none.
        """
        from tuning.config.imports import allow_code
        from tuning.config.packaged import find_config
        from tuning.config.schema import resolve

        allow_code((), trust=self.trust_code)
        return resolve(
            schema,
            defaults=defaults,
            file=find_config(self.config) if self.config else file,
            overrides=self.set_ or (),
            flags={**self.flags(), **(flags or {})},
        )


@dataclasses.dataclass(frozen=True)
class PreparedLaunchOptions(PreparedDataOptions, LaunchOptions):
    """What a launch on prepared data takes."""


def takes(options: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command all fields of the dataclass `options` as options of its own.

    The command receives them as one object in its last parameter, `options`. A parameter of the
    command replaces the option of the same name.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        fields = {field.name: field.default for field in dataclasses.fields(options)}
        hints = typing.get_type_hints(options, include_extras=True)
        hints |= typing.get_type_hints(command, include_extras=True)
        signature = inspect.signature(command).parameters.values()
        own = {each.name: each.default for each in signature if each.name != "options"}
        parameters = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name]
            )
            for name, default in {**own, **fields, **own}.items()
        ]

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            bundle = options(**{name: values[name] for name in fields})
            command(**{name: values[name] for name in own}, options=bundle)

        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in parameters}
        return wrapper

    return decorate


def words(text: str | None) -> list[str] | None:
    """Split `a, b` at its commas."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def resolve_uri(tracking_uri: str | None) -> str:
    """The tracking URI that an option gives, else the environment, else the default."""
    from tuning.tracking.address import tracking_uri as resolve

    return resolve(tracking_uri)


def resolve_storage(storage_path: str | None) -> str:
    """The absolute folder or the URI that an option gives, else the default."""
    from tuning.config.schema import LaunchConfig, absolute_path

    return absolute_path(storage_path or LaunchConfig.model_fields["storage_path"].default)
