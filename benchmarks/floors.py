"""How far each network's step is from what one core of this machine, or a GPU, could do at best.

    python -m benchmarks.floors --data-root data

The arithmetic floor is a step's floating-point operations over the rate of a large matrix product;
the traffic floor its bytes over the rate of a large copy: every activation and its gradient written
and read once, every parameter read twice, and its gradient and Adam's two moments read and written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import write
from models import create_model, model_task
from tuning.config.schema import DataConfig
from tuning.launch.datasets import open_prepared
from tuning.training.config import FitConfig
from tuning.training.data import load_task_data
from tuning.training.loop import fit

BATCH = 100
MODELS = ("cnn1", "cnn2", "cnn3", "fc", "autoencoder")


def main() -> None:
    asked = _arguments()
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    flops, bandwidth = _peak_flops(device), _bandwidth(device)
    rows = [_row(name, asked, device, flops, bandwidth) for name in MODELS]
    write("floors", [], device=str(device), flops=flops, bytes_per_second=bandwidth, steps=rows)
    print(table({"flops": flops, "bytes_per_second": bandwidth, "steps": rows}))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table, a row for each network."""
    lines = [
        f"A large matrix product runs at {results['flops'] / 1e9:.0f} GFLOP/s, a large copy at "
        f"{results['bytes_per_second'] / 1e9:.1f} GB/s.\n",
        f"| step of {BATCH} pictures | GFLOP | MB | arithmetic floor | traffic floor | measured "
        "| the higher floor's share |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["steps"]:
        share = max(row["arithmetic_s"], row["traffic_s"]) / row["measured_s"]
        lines.append(
            f"| {row['model']} | {row['flop'] / 1e9:.2f} | {row['bytes'] / 1e6:.0f} | "
            f"{1e3 * row['arithmetic_s']:.1f} ms | {1e3 * row['traffic_s']:.1f} ms | "
            f"{1e3 * row['measured_s']:.1f} ms | {share:.0%} |"
        )
    return "\n".join(lines) + "\n"


def _row(
    name: str, asked: argparse.Namespace, device: torch.device, flops: float, bandwidth: float
) -> dict[str, Any]:
    flop, traffic = _flop(name), _bytes(name)
    return {
        "model": name,
        "flop": flop,
        "bytes": traffic,
        "arithmetic_s": flop / flops,
        "traffic_s": traffic / bandwidth,
        "measured_s": _measured(name, asked, device),
    }


def _measured(name: str, asked: argparse.Namespace, device: torch.device) -> float:
    """Seconds of one step inside `fit()`: the fastest epoch's, the first one left out."""
    dataset = open_prepared(
        DataConfig(dataset=asked.dataset, root=str(asked.data_root), augment=asked.augment)
    )
    data = load_task_data(dataset, model_task(name))
    config = FitConfig(
        model=name,
        head="tanh",
        lr=1e-4,
        milestones=(1 + asked.epochs,),
        image_size=dataset.size,
        batch_size=BATCH,
        eval_every=1 + asked.epochs,
    )
    epochs = [result.record["seconds"] for result in fit(config, data, device=device)]
    return min(epochs[1:]) / (len(data.train) // BATCH)


def _flop(name: str) -> int:
    model, L = _meta(name)
    with FlopCounterMode(display=False) as counter:
        model(L).sum().backward()
    return int(counter.get_total_flops())


def _bytes(name: str) -> int:
    model, L = _meta(name)
    activations = L.numel()

    def count(_: nn.Module, __: Any, output: Tensor) -> None:
        nonlocal activations
        activations += output.numel()

    for module in model.modules():
        if not any(module.children()):
            module.register_forward_hook(count)
    model(L)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return 4 * (4 * activations + (2 + 2 + 4 + 1) * parameters)


def _meta(name: str) -> tuple[nn.Module, Tensor]:
    with torch.device("meta"):
        return create_model(name, head="tanh"), torch.empty(BATCH, 1, 128, 128)


def _peak_flops(device: torch.device, side: int = 2048) -> float:
    a, b = (torch.rand(side, side, device=device) for _ in range(2))
    return 2 * side**3 / _fastest(lambda: torch.mm(a, b), device)


def _bandwidth(device: torch.device, count: int = 1 << 26) -> float:
    source = torch.rand(count, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * count / _fastest(lambda: target.copy_(source), device)


def _fastest(act: Callable[[], object], device: torch.device, repetitions: int = 10) -> float:
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--dataset", default="faces")
    parser.add_argument("--augment", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
