"""LPIPS (Zhang et al. 2018, AlexNet) as a metric, with weights that you bring.

Make the file of weights once, where the package lpips is installed:

    import lpips, safetensors.torch
    state = lpips.LPIPS(net="alex").state_dict()
    state = {name: tensor for name, tensor in state.items() if not name.startswith("lins.")}
    safetensors.torch.save_file(state, "lpips.safetensors")

$ LPIPS_WEIGHTS=/shared/lpips.safetensors chromatune search colorizer --import lpips_metric.py \\
      --objective val_lpips:min --dataset my-photos

On a cluster, every node needs the file and the variable.
"""

import os

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from chromatune import register_metric

WEIGHTS = load_file(os.environ["LPIPS_WEIGHTS"])
SHIFT = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
SCALE = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
# Of each layer: its name, its stride and padding, and whether the images are halved before it.
LAYERS = (
    ("net.slice1.0", 4, 2, False),
    ("net.slice2.3", 1, 2, True),
    ("net.slice3.6", 1, 1, True),
    ("net.slice4.8", 1, 1, False),
    ("net.slice5.10", 1, 1, False),
)
BATCH = 32


@register_metric(task="colorizer", mode="min")
def lpips(predicted, true):
    """Return the mean distance of the images, uint8 (N, H, W, 3)."""
    with torch.inference_mode():
        parts = [
            distances(predicted[start : start + BATCH], true[start : start + BATCH])
            for start in range(0, len(true), BATCH)
        ]
    return torch.cat(parts).mean().item()


def distances(predicted, true):
    x, y = (
        (torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1 - SHIFT) / SCALE
        for images in (predicted, true)
    )
    total = torch.zeros(len(x))
    for number, (name, stride, padding, halved) in enumerate(LAYERS):
        if halved:
            x, y = F.max_pool2d(x, 3, 2), F.max_pool2d(y, 3, 2)
        weight, bias = WEIGHTS[f"{name}.weight"], WEIGHTS[f"{name}.bias"]
        x, y = (F.relu(F.conv2d(z, weight, bias, stride, padding)) for z in (x, y))
        difference = (unit(x) - unit(y)) ** 2
        total += F.conv2d(difference, WEIGHTS[f"lin{number}.model.1.weight"]).mean(dim=(1, 2, 3))
    return total


def unit(features):
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
