"""From a data configuration to the prepared pictures on this machine."""

from __future__ import annotations

from data_prep import DATASETS, PreparedDataset, PrepareSettings, dataset_folder, prepare
from data_prep import open_dataset as open_folder
from tuning.config.schema import DataConfig
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch


def prepare_settings(data: DataConfig) -> PrepareSettings:
    """Translate the configuration; DataError says what is wrong with it."""
    return PrepareSettings(**data.model_dump(exclude={"root"}))


def open_prepared(data: DataConfig) -> PreparedDataset:
    """Open the prepared dataset; a synthetic one is made on the spot if it is not there yet.

    Where nothing but the dataset's name is configured, the only preparation of it is meant.
    Raises ChromatuneError if there are several, none of them with the default settings.
    """
    settings = prepare_settings(data)
    folder = dataset_folder(settings, data.root)
    if not folder.exists() and data.model_fields_set <= {"dataset", "root"}:
        manifests = sorted(data.root.glob(f"{settings.dataset}-*px-*/manifest.json"))
        others = [manifest.parent for manifest in manifests]
        if len(others) == 1:
            return open_folder(others[0])
        if others:
            raise ChromatuneError(
                f"{settings.dataset} is prepared in several ways, none of them with the default "
                f"settings: {', '.join(other.name for other in others)}; choose one with --size, "
                f"--split, --augment, --data-seed and --count"
            )
    if DATASETS[settings.dataset].synthetic:
        return prepare(settings, data.root).dataset
    return open_folder(folder)


def open_recorded(launch: Launch) -> PreparedDataset:
    """Open the data of a launch, in the default folder if the launch was copied from elsewhere.

    Raises ChromatuneError if they are no longer those that the launch was made on.
    """
    data = launch.config.data
    if not data.root.exists():
        data = data.model_copy(update={"root": DataConfig().root})
    dataset = open_prepared(data)
    if dataset.digest != launch.document["dataset_digest"]:
        raise ChromatuneError(
            f"launch {launch.launch_id} was made on data with digest "
            f"{launch.document['dataset_digest']}, but the prepared data now has {dataset.digest}: "
            f"prepare the original images again"
        )
    return dataset


def recorded(data: DataConfig, dataset: PreparedDataset) -> DataConfig:
    """The configuration that means this very dataset, whatever was left to defaults in `data`."""
    settings = dataset.manifest.settings.model_dump()
    return DataConfig(dataset=dataset.name, root=data.root.absolute(), **settings)
