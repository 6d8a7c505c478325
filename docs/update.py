"""Write what was measured into the marked blocks of the pages: `make docs`.

A block lies between `<!-- NAME: begin -->` and `<!-- NAME: end -->`. Its content comes from the
files in benchmarks/results and docs/results alone, so that no figure is typed in by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import dataset_size, grid_time, real_search, scaling
from benchmarks.harness import markdown, table
from benchmarks.search import report as search
from tuning.display.formatting import format_value

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks" / "results"
RESULTS = ROOT / "docs" / "results"
NAMES = (
    "grid_time",
    "orchestration",
    "validation_share",
    "commands",
    "first_run",
    "scaling",
    "dataset_size",
)  # what `make bench` runs

# The metrics shown of a champion, by task, with the titles of their columns.
_SHOWN: Mapping[str, Mapping[str, str]] = {
    "regression": {"test_mse_a": "MSE a", "test_mse_b": "MSE b"},
    "colorizer": {
        "test_psnr_a": "PSNR a",
        "test_psnr_b": "PSNR b",
        "test_ssim_a": "SSIM a",
        "test_ssim_b": "SSIM b",
        "test_psnr_rgb": "PSNR RGB",
    },
}


def updated() -> dict[Path, str]:
    """Every page with generated parts, and the text that it must have."""
    pages = {ROOT / "docs" / name: blocks for name, blocks in _BLOCKS.items()}
    return {path: _filled(path.read_text(), blocks) for path, blocks in pages.items()}


def champions() -> list[dict[str, Any]]:
    """What `make champions` measured."""
    found: list[dict[str, Any]] = _read(RESULTS / "champions.json")["champions"]
    return found


def _filled(text: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    for name, content in blocks.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"the page has no block {begin} … {end}")
        text = f"{before}{begin}\n{content()}{end}{after}"
    return text


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _benchmark(name: str) -> dict[str, Any]:
    document: dict[str, Any] = _read(BENCHMARKS / f"{name}.json")
    return document


def _origin(names: Sequence[str]) -> str:
    """Where and when benchmarks were run, a line each."""
    lines = []
    for document in map(_benchmark, names):
        hardware, versions = document["hardware"], document["versions"]
        lines.append(
            f"- `{document['command']}`, {document['created'][:10]}: {hardware['processor']}, "
            f"{hardware['cores']} cores, {hardware['memory']}, GPUs: {hardware['gpus']}; Python "
            f"{versions['python']}, torch {versions['torch']}, Ray {versions['ray']}, MLflow "
            f"{versions['mlflow']}\n"
        )
    return "".join(lines)


def _scaling() -> str:
    return f"{scaling.table(_benchmark('scaling'))}\n{_origin(['scaling'])}"


def _searches() -> str:
    """What the default must reach, then every method on each dataset."""
    documents = _of_space("recipe")
    return "\n".join([search.bars(list(documents.values())), *_search_tables(documents, "###")])


def _networks() -> str:
    return "\n".join(_search_tables(_of_space("networks"), "####"))


def _of_space(space: str) -> dict[str, dict[str, Any]]:
    """The results on each dataset, by the name of their file."""
    names = [path.stem for path in sorted(BENCHMARKS.glob(f"search-*-{space}.json"))]
    return {name: _benchmark(name) for name in names}


def _search_tables(documents: Mapping[str, Mapping[str, Any]], level: str) -> list[str]:
    return [
        f"{level} On {document['dataset']}\n\n{search.tables(document)}\n"
        f"{search.libraries(document)}. {_origin([name])[2:]}"
        for name, document in documents.items()
    ]


def _real_search() -> str:
    return f"{real_search.table(_benchmark('real_search'))}\n{_origin(['real_search'])}"


def _champion_tables() -> str:
    parts = [_champion_table(champion) for champion in champions()]
    hardware = next(run["hardware"] for champion in champions() for run in champion["runs"])
    parts.append(
        f"Each model was trained on one thread of {hardware['processor']} ({hardware['cores']} "
        "cores, shared with other work, so the times are upper bounds). Another process loaded it "
        "from MLflow and measured the same figures to the last digit.\n"
    )
    return "\n".join(parts)


def _champion_table(champion: Mapping[str, Any]) -> str:
    """The published best, the constant predictor and each seed's training."""
    shown = _SHOWN[champion["task"]]
    is_by_subject = champion["split"] == "subject"
    title = f"### {champion['task'].capitalize()} on {champion['dataset']}"
    rows = [("constant predictor", champion["constant"], "")]
    if champion["published"] and not is_by_subject:
        rows.insert(0, ("published best", champion["published"], ""))
    for run in champion["runs"]:
        name = f"**seed {run['seed']}{', champion' if run['champion'] else ''}**"
        rows.append((name, run["test_metrics"], f"{run['seconds'] / 60:.0f} min"))
    cells = [
        [name, *(format_value(key, has[key]) if key in has else "" for key in shown), training]
        for name, has, training in rows
    ]
    parts = [
        f"{title}{', split by person' if is_by_subject else ''}\n\n`{champion['command']}`\n\n",
        markdown(("", *shown.values(), "training"), cells),
    ]
    spread = []
    for key, name in shown.items():
        values = [run["test_metrics"][key] for run in champion["runs"]]
        spread.append(f"{name} {format_value(key, max(values) - min(values))}")
    parts.append(f"\nDifference between the seeds: {', '.join(spread)}.\n")
    return "".join([*parts, *map(_categories, champion["runs"])])


def _categories(run: Mapping[str, Any]) -> str:
    """The categories from the easiest to the hardest, in one line."""
    ordered = sorted(run["categories"].items(), key=lambda pair: -float(pair[1]["psnr"]))
    if not ordered:
        return ""
    listed = ", ".join(
        f"{name} {found['psnr']:.1f} ({found['pictures']})" for name, found in ordered
    )
    return f"\nPSNR in dB by category, seed {run['seed']} (test images): {listed}.\n"


def _long_tests(name: str) -> str:
    """A row for each promise of a results file that a long test wrote."""
    document = _read(RESULTS / f"{name}.json")
    hardware, versions = document["hardware"], document["versions"]
    rows = []
    for promise in document["promises"]:
        figures = (f"{name}: {number:,}" for name, number in promise["figures"].items())
        rows.append((promise["promise"], ", ".join(figures)))
    return (
        f"Measured on {document['measured']} with `{document['command']}` in "
        f"{document['minutes']} minutes on {hardware['cores']} cores ({hardware['processor']}), "
        f"Ray {versions['ray']}, MLflow {versions['mlflow']}.\n\n"
        f"{markdown(('promise', 'figures'), rows)}"
    )


_BLOCKS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "performance.md": {
        "measurements": lambda: table([_benchmark(name) for name in NAMES]),
        "grid_time": lambda: grid_time.table(_benchmark("grid_time")),
        "dataset_size": lambda: dataset_size.sizes_table(_benchmark("dataset_size")),
        "origin": lambda: _origin(NAMES),
    },
    "scaling.md": {
        "scaling": _scaling,
        "limits": lambda: scaling.limits(_benchmark("scaling")),
    },
    "models.md": {"champions": _champion_tables},
    "search.md": {"methods": _searches, "networks": _networks, "real_search": _real_search},
    "reliability.md": {
        "soak": lambda: _long_tests("soak"),
        "cluster": lambda: _long_tests("cluster"),
    },
}


if __name__ == "__main__":
    for page, text in updated().items():
        page.write_text(text)
