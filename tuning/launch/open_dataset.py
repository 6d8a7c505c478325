"""From a data configuration to the prepared pictures on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep import (
    DATASETS,
    MANIFEST_NAME,
    DataError,
    PreparedDataset,
    PrepareSettings,
    command_for,
    dataset_folder,
    dataset_info,
    dataset_of_folder,
    default_variant,
    find_by_digest,
    prepare,
    read_manifests,
    stored_digest,
    variant_folders,
)
from data_prep import open_dataset as open_folder
from tuning.config.schema import DataConfig
from tuning.errors import ChromatuneError, nearest
from tuning.launch.remote_data import RemoteOrigin, manifests_in

if TYPE_CHECKING:  # a command that trains nothing does without torch
    from tuning.launch.folder import Launch
    from tuning.training.data import TaskData

Log = Callable[[str], None]


def prepare_settings(data: DataConfig) -> PrepareSettings:
    """Translate the configuration; DataError says what is wrong with it."""
    return PrepareSettings(**data.model_dump(exclude={"root", "digest"}))


def open_prepared(data: DataConfig, log: Log | None = None) -> PreparedDataset:
    """Open the prepared dataset; a synthetic one is made on the spot if it is not there yet.

    A digest means the variant that has it. Where nothing but the dataset's name is configured, its
    only variant is meant, or of several the one with the default settings. Other settings mean the
    variant with them and the defaults, or else the only variant with them. `log` is called with a
    line that names a variant chosen by these rules. Raises ChromatuneError or DataError, listing
    the variants, if they choose none. Data in a bucket are copied to this machine's disk, once.
    """
    if isinstance(data.root, Path):
        folder = _choose(data, data.root, log)
        is_drawn = dataset_info(data.dataset).synthetic
        if data.digest is None and is_drawn and not folder.exists():
            return prepare(prepare_settings(data), data.root).dataset
        return open_folder(folder)
    with manifests_in(data.root) as mirror:
        name = _choose(data, mirror, log).name
        if not (mirror / name / MANIFEST_NAME).exists():
            raise ChromatuneError(f"{data.root} has no {name}: prepare it, and copy it there")
    return open_folder(RemoteOrigin.of(f"{data.root}/{name}").folder())


def _choose(data: DataConfig, root: Path, log: Log | None) -> Path:
    """The folder that is meant below `root`; it may be missing if it is drawn, or remote."""
    if data.digest is not None:
        folder = find_by_digest(root, data.digest)
        _report(log, f"using {data.root}/{folder.name} (digest {_short_digest(folder)})")
        return folder
    settings = prepare_settings(data)
    folder = dataset_folder(settings, root)
    variants = variant_folders(root, settings.dataset)
    if data.model_fields_set <= {"dataset", "root", "digest"} and variants:
        chosen = default_variant(variants, settings.dataset)
        if chosen is None:
            raise ChromatuneError(
                f"{settings.dataset} is prepared in several variants, none of them with the "
                f"default settings: {_names(variants)}; choose one with --data, --size, --split, "
                f"--augment, --data-seed or --count: `chromatune datasets` lists their digests"
            )
        using = f"using {data.root}/{chosen.name}"
        if len(variants) > 1:
            why = f"the default settings; {len(variants)} variants are prepared"
            _report(log, f"{using} ({why}, --data chooses another)")
        elif chosen != folder:
            _report(log, f"{using}, the only variant (digest {_short_digest(chosen)})")
        return chosen
    if folder.exists() or dataset_info(settings.dataset).synthetic:
        return folder
    given = data.model_fields_set - {"dataset", "root", "digest"}
    manifests, _ = read_manifests(root, arrays=False)
    matching = [
        variant
        for variant in set(variants) & manifests.keys()
        if all(getattr(manifests[variant].settings, key) == getattr(settings, key) for key in given)
    ]
    if len(matching) == 1:
        _report(
            log,
            f"using {data.root}/{matching[0].name}, the only variant with these settings "
            f"(digest {_short_digest(matching[0])})",
        )
        return matching[0]
    if settings.dataset not in DATASETS and not variants:
        raise ChromatuneError(_unknown(settings.dataset, root, data.root))
    others = f", or choose a prepared variant with --data: {_names(variants)}" if variants else ""
    raise DataError(
        f"no prepared dataset in {data.root}/{folder.name}: run `{command_for(folder.name)}` first"
        f"{others}"
    )


def _unknown(name: str, root: Path, shown: Path | str) -> str:
    """What is prepared instead of a dataset that is neither known nor prepared."""
    found = map(dataset_of_folder, (folder.name for folder in variant_folders(root)))
    prepared = sorted({each for each in found if each is not None})
    hint = nearest(name, {*prepared, *DATASETS})
    return (
        f"no prepared dataset '{name}' in {shown}{hint} (prepared: "
        f"{', '.join(prepared) or 'none'}; `chromatune prepare {name} --source …` prepares it)"
    )


def _short_digest(folder: Path) -> str:
    return (stored_digest(folder) or "unknown")[:12]


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
    if isinstance(data.root, Path) and not data.root.exists():
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
    is_usual = root.absolute() == Path(DataConfig().root).absolute()
    return words if is_usual else [*words, "--data-root", str(root)]


def recorded(data: DataConfig, dataset: PreparedDataset) -> DataConfig:
    """The configuration that means this very dataset, whatever was left to defaults in `data`."""
    settings = dataset.manifest.settings.model_dump()
    root = data.root.absolute() if isinstance(data.root, Path) else data.root
    return DataConfig(dataset=dataset.name, root=root, **settings)


def task_data(
    data: DataConfig, dataset: PreparedDataset, task: str, *, planes: bool = False
) -> TaskData:
    """Load what a task trains on; other machines get data in a bucket from there."""
    from tuning.training.data import load_task_data

    loaded = load_task_data(dataset, task, planes=planes)
    if isinstance(data.root, Path):
        return loaded
    name = dataset.manifest.settings.full(dataset.name).folder_name
    origin = RemoteOrigin(f"{data.root}/{name}", dataset.digest)
    return loaded.found_at(lambda _: origin)


def local_root(data: DataConfig) -> Path:
    """The data root to prepare in; ChromatuneError if it is a bucket."""
    if isinstance(data.root, Path):
        return data.root
    raise ChromatuneError(
        f"cannot prepare in {data.root}: prepare in a folder, and copy its subfolder there"
    )
