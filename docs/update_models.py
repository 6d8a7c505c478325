"""Write what was measured of champions into docs/models.md and their YAML files: `make docs`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import ablation, search_efficiency
from docs.pages import filled
from tuning.display.formatting import format_value

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "models.md"
CHAMPIONS = ROOT / "docs" / "results" / "champions.json"
_CONFIG_BEGIN, _CONFIG_END = "# Measured on the test set:", "#\n"

_SHOWN: Mapping[str, tuple[tuple[str, str], ...]] = {
    "regression": (("test_mse_a", "MSE a"), ("test_mse_b", "MSE b")),
    "colorizer": (
        *(("test_psnr_a", "PSNR a"), ("test_psnr_b", "PSNR b")),
        *(("test_ssim_a", "SSIM a"), ("test_ssim_b", "SSIM b"), ("test_psnr_rgb", "PSNR RGB")),
    ),
}


def updated_page() -> str:
    """docs/models.md as it must read with the committed results."""
    text = PAGE.read_text()
    champions = json.loads(CHAMPIONS.read_text())["champions"]
    text = filled(text, "champions", champions_markdown(champions))
    text = filled(text, "ablation", _table_of(ablation))
    return filled(text, "efficiency", _table_of(search_efficiency))


def updated_configs() -> dict[Path, str]:
    """Every champion's YAML file as its header must read."""
    found = {}
    for champion in json.loads(CHAMPIONS.read_text())["champions"]:
        path = ROOT / champion["config"]
        before, begin, rest = path.read_text().partition(_CONFIG_BEGIN)
        _, end, after = rest.partition(_CONFIG_END)
        lines = [_seed_line(champion["task"], run) for run in champion["runs"]]
        found[path] = before + begin + "\n" + "".join(f"#   {one}\n" for one in lines) + end + after
    return found


def champions_markdown(champions: Sequence[Mapping[str, Any]]) -> str:
    """One table for each champion: the report's best, the constant predictor, ours by seed."""
    parts = []
    for one in champions:
        shown = _SHOWN[one["task"]]
        split = ", no person on two sides" if one["split"] == "subject" else ""
        parts.append(f"### {one['task'].capitalize()} on {one['dataset']}{split}\n\n")
        parts.append(f"`{one['command']}`\n\n")
        parts.append("| | " + " | ".join(name for _, name in shown) + " | training |\n")
        parts.append("|---" * (len(shown) + 2) + "|\n")
        if one["published"] and one["split"] == "random":
            parts.append(_row("the report's best", one["published"], shown))
        parts.append(_row("constant predictor", one["constant"], shown))
        for run in one["runs"]:
            crown = ", champion" if run["champion"] else ""
            name = f"**ours, seed {run['seed']}{crown}**"
            parts.append(_row(name, run["test_metrics"], shown, f"{run['seconds'] / 60:.0f} min"))
        if len(one["runs"]) > 1:
            parts.append(f"\nThe seeds lie apart by {_spread(one['runs'], shown)}.\n")
        for run in one["runs"]:
            parts.append(_categories(run))
        parts.append("\n")
    hardware = next(run["hardware"] for one in champions for run in one["runs"])
    parts.append(
        f"Each model was trained on one thread of {hardware['processor']} ({hardware['cores']} "
        "cores, shared with other work, so that the times are upper bounds), and was loaded anew "
        "from MLflow by another process, which measured the same figures to the last digit.\n"
    )
    return "".join(parts)


def _categories(run: Mapping[str, Any]) -> str:
    """The categories from the easiest to the hardest, in one line."""
    ordered = sorted(run["categories"].items(), key=lambda pair: -float(pair[1]["psnr"]))
    if not ordered:
        return ""
    listed = ", ".join(f"{name} {one['psnr']:.1f} ({one['pictures']})" for name, one in ordered)
    return f"\nPSNR in dB by category, seed {run['seed']} (test pictures): {listed}.\n"


def _spread(runs: Sequence[Mapping[str, Any]], shown: Sequence[tuple[str, str]]) -> str:
    apart = []
    for key, name in shown:
        values = [run["test_metrics"][key] for run in runs]
        apart.append(f"{name} {format_value(key, max(values) - min(values))}")
    return ", ".join(apart)


def _row(
    name: str, metrics: Mapping[str, float], shown: Sequence[tuple[str, str]], last: str = ""
) -> str:
    values = [format_value(key, metrics[key]) if key in metrics else "" for key, _ in shown]
    return f"| {name} | {' | '.join(values)} | {last} |\n"


def _seed_line(task: str, run: Mapping[str, Any]) -> str:
    figures = ", ".join(
        f"{name} {format_value(key, run['test_metrics'][key])}" for key, name in _SHOWN[task]
    )
    return f"seed {run['seed']}: {figures} after {run['seconds'] / 60:.0f} minutes of training"


def _table_of(benchmark: Any) -> str:
    document = json.loads(benchmark.RESULTS.read_text())
    hardware = document["hardware"]
    return (
        f"`{document['command']}` on {hardware['processor']}, {hardware['cores']} cores, torch "
        f"{document['versions']['torch']}:\n\n{benchmark.table(document)}"
    )


if __name__ == "__main__":
    PAGE.write_text(updated_page())
    for path, text in updated_configs().items():
        path.write_text(text)
