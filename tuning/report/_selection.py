"""Which of a store's data and launches a report shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from data_prep import DATASETS
from tuning.display.published import published_cell
from tuning.errors import ChromatuneError, nearest
from tuning.tracking.stored_runs import Store, StoredCell, StoredLaunch

_SHORT_DIGEST = 12
_OWN_ROLES = ("source", "target")


@dataclasses.dataclass(frozen=True)
class Data:
    """One prepared dataset and its launches.

    `role` is the dataset of the original paper that it stands for; one of the user's own stands for
    none and is shown without published values: its role is `source` or `target`.
    """

    role: str
    name: str
    digest: str
    launches: tuple[StoredLaunch, ...] = ()

    @property
    def short_digest(self) -> str:
        return self.digest[:_SHORT_DIGEST]

    @property
    def is_own(self) -> bool:
        """Whether the dataset is the user's own."""
        return self.role in _OWN_ROLES

    @property
    def is_published(self) -> bool:
        """Whether the published values are of these very pictures."""
        return self.name == self.role

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest of the newest launch that has one, else empty."""
        found = (launch.document.get("dataset_manifest") for launch in reversed(self.launches))
        return next(filter(None, found), {})

    def by_kind(self, kind: str) -> list[StoredLaunch]:
        """The launches of a kind, the oldest first."""
        return [launch for launch in self.launches if launch.kind == kind]

    def cells(self, task: str) -> list[StoredCell]:
        return [cell for launch in self.launches if launch.task == task for cell in launch.cells]

    def baseline(self, task: str) -> Mapping[str, float]:
        """The constant predictor's metrics on val; empty if no launch has them."""
        found = (run.baseline for run in reversed(self.launches) if run.task == task)
        return next(filter(None, found), {})


@dataclasses.dataclass(frozen=True)
class Choice:
    """The data of the report's first part (faces) and of its transfer learning (NCD).

    A part that the store holds nothing for has no launches; `others` are what is not shown.
    """

    source: Data
    target: Data
    others: tuple[Data, ...]

    @property
    def shown(self) -> list[Data]:
        return [data for data in (self.source, self.target) if data.launches]


def choose(store: Store, dataset: str | None = None, target: str | None = None) -> Choice:
    """Choose the data to report on; a name may be followed by `@` and the digest's beginning.

    Without names, pictures of persons make the first part and pictures by category the second;
    photographs win over drawn pictures, then data with more finished cells, then newer data. A
    grid on other pictures stands in for a first part that is missing. Raises ChromatuneError if
    the store holds nothing of the name.
    """
    grouped: dict[tuple[str, str], list[StoredLaunch]] = {}
    for launch in store.launches:
        grouped.setdefault((launch.dataset, launch.dataset_digest), []).append(launch)
    datas = [Data("", *key, tuple(launches)) for key, launches in grouped.items()]
    faces = [data for data in datas if _likely_role(data) == "faces"]
    grids = [data for data in datas if data.by_kind("grid")]
    sources = _named(datas, dataset, "--dataset") if dataset else faces or grids
    source = max(sources, key=_amount, default=Data("faces", "faces", ""))
    rest = [data for data in datas if data.name != source.name]
    targets = [data for data in rest if _likely_role(data) == "ncd"]
    is_own = source.name not in DATASETS
    if is_own:  # a second part of its own only where its models were fine-tuned
        targets = [data for data in rest if _descends(data, source)]
    aim = max(
        _named(rest, target, "--target") if target else targets,
        key=lambda data: (_descends(data, source), *_amount(data)),
        default=Data("target", "", "") if is_own else Data("ncd", "ncd", ""),
    )
    return Choice(
        dataclasses.replace(source, role="source" if is_own else "faces"),
        dataclasses.replace(aim, role="ncd" if aim.name in DATASETS else "target"),
        tuple(data for data in datas if data not in (source, aim)),
    )


def grid_launches(data: Data, task: str) -> list[StoredLaunch]:
    """The launches that make up the published grid: all of one recipe, whatever their seeds.

    Of several recipes (batch size, share of the epochs, …) it is the one with the most finished
    cells of the published grid, then with the most finished ones, then the newest.
    """
    by_recipe: dict[str, list[StoredLaunch]] = {}
    for launch in data.by_kind("grid"):
        if launch.task == task:
            by_recipe.setdefault(_recipe(launch), []).append(launch)

    def rank(launches: list[StoredLaunch]) -> tuple[int, int, int]:
        finished = [cell for launch in launches for cell in launch.finished]
        places = {
            (cell.model, cell.head, cell.lr, cell.published_epochs or cell.epochs)
            for cell in finished
        }
        published = [place for place in places if published_cell(task, *place) is not None]
        return len(published), len(finished), launches[-1].created

    return max(by_recipe.values(), key=rank, default=[])


def _likely_role(data: Data) -> str:
    """Which part of the original paper a dataset is like; an unknown one by what was done."""
    if data.name in DATASETS:
        return "faces" if DATASETS[data.name].grouping == "subject" else "ncd"
    return "ncd" if len(data.by_kind("finetune")) == len(data.launches) else "faces"


def _named(datas: list[Data], wanted: str, option: str) -> list[Data]:
    name, _, digest = wanted.partition("@")
    found = [data for data in datas if data.name == name and data.digest.startswith(digest)]
    if not found:
        known = sorted(f"{data.name}@{data.short_digest}" for data in datas)
        held = f" (it holds {', '.join(known)})" if known else ""
        raise ChromatuneError(
            f"{option} {wanted}: no such launches in the tracking store"
            f"{nearest(wanted, [*known, *(data.name for data in datas)])}{held}"
        )
    return found


def _amount(data: Data) -> tuple[bool, int, bool, int]:
    finished = sum(len(launch.finished) for launch in data.launches)
    has_cells = any(launch.cells for launch in data.launches)
    photographs = any(launch.photographs for launch in data.launches)
    return bool(finished) and photographs, finished, has_cells, data.launches[-1].created


def _descends(data: Data, source: Data) -> bool:
    """Whether its models were fine-tuned from those of `source`."""
    parents = [str(launch.document.get("parent_model") or "") for launch in data.launches]
    return any(parent.startswith(f"models:/{source.name}-") for parent in parents)


def _recipe(launch: StoredLaunch) -> str:
    """What must agree for cells of two launches to stand in one table."""
    config = launch.document.get("config") or {}
    training = {**(config.get("training") or {}), "seed": None}
    return repr((sorted(training.items()), (config.get("grid") or {}).get("epoch_scale")))
