"""A network and a loss of your own.

$ chromatune train --import own_network.py --model dilated --lr 1e-3 --epochs 20 \\
      --set train.loss=focal_mse --dataset my-photos
"""

from torch import nn

from chromatune import register_loss, register_model


# `heads` are the output activations that it may have, `image_sizes` the sides in px that it takes.
@register_model(task="colorizer", heads=("tanh", "sigmoid"), image_sizes=range(16, 513))
def dilated(image_size, width=32, depth=4):  # noqa: ARG001  (it takes any size)
    """Build the network without its last activation, which the head adds.

    It gets the lightness, float32 (N, 1, H, W) in [0, 1], and returns the planes of a and b,
    (N, 2, H, W); for the task `regression` their means, (N, 2). `width` and `depth` are its own
    arguments: `--set train.model_kwargs.width=64`, or keys of a search space.
    """
    layers = []
    for level in range(depth):
        # Each layer sees twice as far as the one before it, at the full resolution.
        reach = 2**level
        layers += [
            nn.Conv2d(width if level else 1, width, 3, padding=reach, dilation=reach),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(width, 2, 1))


@register_loss
def focal_mse(output, target):
    """Count large errors more. Both are in the range of the head; a third parameter gets L."""
    error = (output - target).abs()
    return (error**3).mean() / error.detach().mean().clamp(min=1e-6)
