"""From a data configuration to the prepared pictures on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from data_prep import (
    DATASETS,
    DataError,
    PreparedDataset,
    PrepareSettings,
    dataset_folder,
    dataset_info,
    dataset_of_folder,
    default_variant,
    open_by_digest,
    prepare,
    variant_folders,
)
from data_prep import open_dataset as open_folder
from tuning.config.schema import DataConfig
from tuning.errors import ChromatuneError, nearest
from tuning.launch.folder import Launch

Log = Callable[[str], None]


def prepare_settings(data: DataConfig) -> PrepareSettings:
    """Translate the configuration; DataError says what is wrong with it."""
    return PrepareSettings(**data.model_dump(exclude={"root", "digest"}))


def open_prepared(data: DataConfig, log: Log | None = None) -> PreparedDataset:
    """Open the prepared dataset; a synthetic one is made on the spot if it is not there yet.

    A digest means the variant that has it. Where nothing but the dataset's name is configured, its
    only variant is meant, or of several the one with the default settings. `log` is called with a
    line that names a variant chosen by these rules. Raises ChromatuneError or DataError, listing
    the variants, if they choose none.
    """
    if data.digest is not None:
        opened = open_by_digest(data.root, data.digest)
        _report(log, f"using {opened.folder} (digest {opened.digest[:12]})")
        return opened
    settings = prepare_settings(data)
    folder = dataset_folder(settings, data.root)
    variants = variant_folders(data.root, settings.dataset)
    if data.model_fields_set <= {"dataset", "root", "digest"} and variants:
        chosen = default_variant(variants, settings.dataset)
        if chosen is None:
            raise ChromatuneError(
                f"{settings.dataset} is prepared in several variants, none of them with the "
                f"default settings: {_names(variants)}; choose one with --data, --size, --split, "
                f"--augment, --data-seed or --count: `chromatune datasets` lists their digests"
            )
        opened = open_folder(chosen)
        if len(variants) > 1:
            why = f"the default settings; {len(variants)} variants are prepared"
            _report(log, f"using {chosen} ({why}, --data chooses another)")
        elif chosen != folder:
            _report(log, f"using {chosen}, the only variant (digest {opened.digest[:12]})")
        return opened
    if dataset_info(settings.dataset).synthetic:
        return prepare(settings, data.root).dataset
    if settings.dataset not in DATASETS and not variants:
        raise ChromatuneError(_unknown(settings.dataset, data.root))
    try:
        return open_folder(folder)
    except DataError as error:
        if folder.exists() or not variants:
            raise
        raise DataError(
            f"{error}, or choose a prepared variant with --data: {_names(variants)}"
        ) from None


def _unknown(name: str, root: Path) -> str:
    """What is prepared instead of a dataset that is neither known nor prepared."""
    found = map(dataset_of_folder, (folder.name for folder in variant_folders(root)))
    prepared = sorted({each for each in found if each is not None})
    return (
        f"no prepared dataset '{name}' in {root}{nearest(name, {*prepared, *DATASETS})} (prepared: "
        f"{', '.join(prepared) or 'none'}; `chromatune prepare {name} --source …` prepares it)"
    )


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(folder.name for folder in folders)


def _report(log: Log | None, line: str) -> None:
    if log is not None:
        log(line)


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


def data_words(dataset: PreparedDataset) -> list[str]:
    """The options that mean this very dataset."""
    words = ["--dataset", dataset.name, "--data", dataset.digest[:12]]
    root = dataset.folder.parent
    is_usual = root.absolute() == DataConfig().root.absolute()
    return words if is_usual else [*words, "--data-root", str(root)]


def recorded(data: DataConfig, dataset: PreparedDataset) -> DataConfig:
    """The configuration that means this very dataset, whatever was left to defaults in `data`."""
    settings = dataset.manifest.settings.model_dump()
    return DataConfig(dataset=dataset.name, root=data.root.absolute(), **settings)
