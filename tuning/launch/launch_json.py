"""What `launch.json` must hold before anything is done with it: the folder is untrusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic.dataclasses
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from tuning.config.schema import LaunchConfig, Task
from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage
from tuning.utils.faults import describe_fault
from tuning.utils.identifiers import Name

DOCUMENT = "launch.json"
TRAINING = "training.json"
FORMAT = 1


@pydantic.dataclasses.dataclass(frozen=True, config=ConfigDict(strict=False))
class Cell:
    """One row of a launch's table: a training read off after `epochs` epochs.

    `published_epochs` is the published cell that a cell with scaled epochs stands for.
    """

    cell_id: Name
    epochs: StrictInt
    published_epochs: StrictInt | None = None


class TrainingDocument(BaseModel):
    """A training as launch folders hold it; whether it can be trained here is checked elsewhere.

    `confirms` is the number of the search's trial that it repeats with another seed.
    """

    model_config = ConfigDict(strict=True)

    training_id: Name
    params: dict[str, Any]
    milestones: Annotated[list[int], Field(min_length=1)]
    cells: Annotated[list[Cell], Field(min_length=1)]
    initial_weights: Name | None
    confirms: int | None = None


class _CodeFile(BaseModel):
    """A file of the folder `code`."""

    name: Annotated[str, Field(pattern=r"^[\w-][\w .-]*\.py$", max_length=110)]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    launch_id: Name
    kind: Literal["grid", "finals", "finetune", "train", "search"]
    task: Task
    dataset: Name
    dataset_digest: str
    experiment: Name
    created: int
    config: dict[str, Any]
    tracking_uri: str
    baseline: dict[str, float]
    parent_model: str | None
    trainings: list[dict[str, Any]]
    code: list[_CodeFile] = []


def read_header(storage: LaunchStorage) -> dict[str, Any]:
    """Read the document of the launch in `storage`, its trainings unchecked: that takes torch.

    Raises ChromatuneError if it is missing, of another version, or holds anything that a launch
    cannot have, such as a name that leads out of its folder.
    """
    where = f"{storage.uri}/{DOCUMENT}"
    document = storage.read_json(DOCUMENT)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ChromatuneError(f"{where} was not written by this version")
    try:
        _Document.model_validate(document)
        launch_config(document)
    except ValidationError as error:
        raise ChromatuneError(f"{where} is damaged: {describe_fault(error)}") from None
    return document


def read_trainings(storage: LaunchStorage, document: Mapping[str, Any]) -> list[Any]:
    """The documents of all trainings: a search writes each into a folder of its own."""
    if listed := document["trainings"]:
        return list(listed)
    paths = [f"{name}/{TRAINING}" for name in storage.list_dir()]
    return [storage.read_json(path) for path in paths if storage.exists(path)]


def current_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration without options that only older versions had."""
    current = {name: dict(v) if isinstance(v, Mapping) else v for name, v in config.items()}
    if isinstance(resources := current.get("resources"), dict):
        resources.pop("pack", None)  # the trainings of a pack are the same one by one
    if isinstance(search := current.get("search"), dict):
        search.pop("perturbation_interval", None)
    return current


def launch_config(document: Mapping[str, Any]) -> LaunchConfig:
    """What all kinds of launches share of the configuration."""
    config = current_config(document["config"])
    return LaunchConfig.model_validate(
        {key: config[key] for key in LaunchConfig.model_fields if key in config}
    )
