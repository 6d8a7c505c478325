"""What a training step gains by keeping freed memory: processor time without / with.

    python -m benchmarks.allocation

Each side runs in processes of its own, in turns; counted is the processor time of a step, the
kernel's share included, which is where pages are mapped and cleared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.measuring import write
from models import create_model
from tuning.training.memory import keep_freed_memory

MODELS = ("cnn1", "cnn2", "cnn3", "autoencoder")


def main() -> None:
    asked = _arguments()
    if asked.one:
        print(json.dumps(_steps(asked.one, keeps=asked.keeps)))
        return
    rows = []
    for name in MODELS:
        sides: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(asked.repetitions):
            for keeps, values in sides.items():
                values.append(statistics.median(_in_a_process(name, keeps)))
        rows.append({"model": name, "without_s": sides[False], "with_s": sides[True]})
    write("allocation", [], steps=rows)
    print(table({"steps": rows}))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table, a row for each network."""
    lines = [
        "| step of 100 pictures | without | with | without / with: median | min | max | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["steps"]:
        pairs = zip(row["without_s"], row["with_s"], strict=True)
        ratios = [without / kept for without, kept in pairs]
        times = " | ".join(
            f"{1e3 * statistics.median(row[key]):.0f} ms" for key in ("without_s", "with_s")
        )
        lines.append(
            f"| {row['model']} | {times} | {statistics.median(ratios):.2f} | {min(ratios):.2f} | "
            f"{max(ratios):.2f} | {len(ratios)} |"
        )
    return "\n".join(lines) + "\n"


def _in_a_process(name: str, keeps: bool) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.allocation", "--one", name]
    done = subprocess.run(
        [*command, *(["--keeps"] if keeps else [])], capture_output=True, text=True, check=True
    )
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def _steps(name: str, *, keeps: bool) -> list[float]:
    """Processor seconds of some steps, as `fit()` makes them."""
    torch.set_num_threads(1)
    if keeps:
        keep_freed_memory()
    model = create_model(name, head="tanh").to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5, fused=True)
    L = torch.rand(100, 1, 128, 128)
    target = torch.rand_like(model(L))
    seconds = []
    for _ in range(15):
        started = time.process_time()
        loss = model.loss(L, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seconds.append(time.process_time() - started)
    return seconds[5:]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--one", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--keeps", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
