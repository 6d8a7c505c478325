"""Options that several commands share, with the words that Ray and MLflow use for them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tuning.config.schema import Config, Task, resolve
from tuning.errors import ChromatuneError

TaskArgument = Annotated[Task, typer.Argument(help="What is predicted.", show_default=False)]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help="MLflow tracking server or database \\[default: MLFLOW_TRACKING_URI, "
        "else mlruns/mlflow.db here].",
        show_default=False,
    ),
]
StoragePath = Annotated[
    str | None,
    typer.Option(
        "--storage-path",
        help="Where Ray keeps launches, a folder or a URI \\[default: ray_results here].",
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Ray cluster to join \\[default: RAY_ADDRESS, else a local Ray].",
        show_default=False,
    ),
]
Format = Annotated[
    Literal["table", "json"], typer.Option("--format", help="How results are printed.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to measure.")
]


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which prepared dataset; the same words as for `chromatune prepare`."""

    dataset: Annotated[
        str | None,
        typer.Option(help="Prepared dataset \\[default: faces].", show_default=False),
    ] = None
    data_root: Annotated[
        Path | None,
        typer.Option(help="Folder of the prepared datasets \\[default: data].", show_default=False),
    ] = None
    size: Annotated[
        int | None, typer.Option(help="Side of a picture in pixels \\[default: 128].", min=1)
    ] = None
    split: Annotated[
        str | None, typer.Option(help="random | subject \\[default: random].", show_default=False)
    ] = None
    augment: Annotated[
        int | None,
        typer.Option(help="Copies of each training picture, 1 = none \\[default: 10].", min=1),
    ] = None
    data_seed: Annotated[
        int | None, typer.Option(help="Seed of split and augmentation \\[default: 0].", min=0)
    ] = None
    count: Annotated[
        int | None, typer.Option(help="Number of pictures of a synthetic dataset.", min=1)
    ] = None

    def flags(self) -> dict[str, Any]:
        """Key paths of the configuration, None where the option was not given."""
        return {
            "data.dataset": self.dataset,
            "data.root": self.data_root,
            "data.size": self.size,
            "data.split": self.split,
            "data.augment": self.augment,
            "data.seed": self.data_seed,
            "data.count": self.count,
        }


@dataclasses.dataclass(frozen=True)
class LaunchOptions(DataOptions):
    """What every launch on Ray takes."""

    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="YAML configuration.", show_default=False),
    ] = None
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Override a key: --set training.batch_size=50.", show_default=False
        ),
    ] = None
    seed: Annotated[
        int | None, typer.Option(help="Seed of weights and batch order \\[default: 0].", min=0)
    ] = None
    backend: Annotated[
        Literal["ray", "serial"] | None,
        typer.Option(
            help="Run trials with Ray, or one after the other in this process \\[default: ray].",
            show_default=False,
        ),
    ] = None
    cpus_per_trial: Annotated[
        float | None, typer.Option(help="Cores of a trial \\[default: 1].", show_default=False)
    ] = None
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(
            help="GPUs of a trial, e.g. 0.25 \\[default: 0.25 where there are GPUs].",
            show_default=False,
        ),
    ] = None
    max_concurrent_trials: Annotated[
        int | None, typer.Option(help="Trials at once \\[default: as many as fit].", min=1)
    ] = None
    pack: Annotated[
        int | None,
        typer.Option(
            help="Trainings of one model that share a trial, its process and its share of a GPU "
            "\\[default: 1].",
            min=1,
        ),
    ] = None
    max_failures: Annotated[
        int | None, typer.Option(help="Retries of a crashed trial \\[default: 2].", min=0)
    ] = None
    time_budget_s: Annotated[
        float | None, typer.Option(help="Stop all trials after so many seconds.")
    ] = None
    storage_path: StoragePath = None
    address: Address = None
    tracking_uri: TrackingUri = None

    def flags(self) -> dict[str, Any]:
        return {
            **super().flags(),
            "training.seed": self.seed,
            "resources.backend": self.backend,
            "resources.cpus_per_trial": self.cpus_per_trial,
            "resources.gpus_per_trial": self.gpus_per_trial,
            "resources.max_concurrent_trials": self.max_concurrent_trials,
            "resources.pack": self.pack,
            "resources.max_failures": self.max_failures,
            "resources.time_budget_s": self.time_budget_s,
            "storage_path": self.storage_path,
            "address": self.address,
        }

    def resolve(
        self,
        schema: type[Config],
        flags: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        file: Path | None = None,
    ) -> Config:
        """Build the configuration of a command from these options and its own `flags`.

        `file` is read where the user names none.
        """
        return resolve(
            schema,
            defaults=defaults,
            file=self.config or file,
            overrides=self.set_ or (),
            flags={**self.flags(), **flags},
        )


def takes(options: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command all fields of the dataclass `options` as options of its own.

    The command receives them as one object in its last parameter, `options`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        fields = dataclasses.fields(options)
        hints = typing.get_type_hints(options, include_extras=True)
        own_hints = typing.get_type_hints(command, include_extras=True)
        own = [
            parameter.replace(annotation=own_hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(command).parameters.items()
            if name != "options"
        ]
        shared = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=hints[field.name],
            )
            for field in fields
        ]

        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            bundle = options(**{field.name: values.pop(field.name) for field in fields})
            command(**values, options=bundle)

        signature = inspect.Signature(own + shared)
        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__annotations__ = {
            name: parameter.annotation for name, parameter in signature.parameters.items()
        }
        return wrapper

    return decorate


def numbers(option: str, text: str | None, kind: type[int] | type[float]) -> list[Any] | None:
    """Parse `1,3,5`; ChromatuneError names the option and the word that is no number."""
    if text is None:
        return None
    values = []
    for word in text.split(","):
        try:
            values.append(kind(word.strip()))
        except ValueError:
            raise ChromatuneError(
                f"{option} takes numbers separated by commas, but got '{word}' in '{text}'"
            ) from None
    return values


def words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",")]
