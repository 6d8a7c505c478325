"""A grid as the program behind the original paper trains it: one cell after another, from scratch.

Pictures are kept in memory as float64; each batch is converted to a float32 tensor and copied to
the device when it is needed. torch chooses the threads. No Ray, no MLflow, no checkpoints.
"""

from __future__ import annotations

import json
import time

import numpy as np
import torch

from benchmarks.ways.data import Floats, arguments, asked_data, asked_grid, load
from models import create_model

BATCH = 100


def main() -> None:
    asked = arguments()
    data, grid = asked_data(asked), asked_grid(asked)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, val = load(data, "train", asked.task), load(data, "val", asked.task)
    cells = []
    for model in grid.models:
        for head in grid.heads:
            for lr in grid.lrs:
                for epochs in grid.epochs:
                    started = time.perf_counter()
                    mse = train_cell(model, head, lr, epochs, train, val, device)
                    seconds = time.perf_counter() - started
                    name = f"{model}-{head}-{lr:g}-{epochs}"
                    cells.append({"cell": name, "val_mse": mse, "seconds": seconds})
    asked.out.write_text(json.dumps(cells, indent=1))


def train_cell(
    name: str,
    head: str,
    lr: float,
    epochs: int,
    train: tuple[Floats, Floats],
    val: tuple[Floats, Floats],
    device: torch.device,
) -> float:
    """Train one cell and return its MSE on val."""
    torch.manual_seed(0)
    model = create_model(name, head=head, image_size=train[0].shape[-1]).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=1e-5)
    L, target = train
    order = np.random.default_rng(0).permutation(len(L))
    for _ in range(epochs):
        for start in range(0, len(L) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            inputs = torch.tensor(L[rows], dtype=torch.float32).to(device)
            targets = torch.tensor(target[rows], dtype=torch.float32).to(device)
            optimizer.zero_grad()
            loss = model.loss(inputs, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss.item()
    model.eval()
    with torch.no_grad():
        predicted = model(torch.tensor(val[0], dtype=torch.float32).to(device)).cpu().numpy()
    return float(np.mean((predicted - val[1]) ** 2))


if __name__ == "__main__":
    main()
