"""The five networks against the figures of the original paper, counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models import create_model
from models.regressors import MinMaxScale


def conv(inputs: int, outputs: int, side: int) -> int:
    """Weights and biases of a (transposed) convolution."""
    return inputs * outputs * side * side + outputs


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


# Written out layer by layer from the original paper, not from the code under test.
FC = linear(16384, 8192) + linear(8192, 4096) + linear(4096, 1024) + linear(1024, 256)
FC += linear(256, 2)
CNN1 = conv(1, 3, 3) + 5 * conv(3, 3, 3) + conv(3, 2, 3) + linear(2, 2)
CNN2 = conv(1, 16, 3) + conv(16, 32, 3) + conv(32, 64, 3) + conv(64, 128, 3) + conv(128, 256, 3)
CNN2 += 2 * conv(256, 256, 3) + linear(256, 64) + linear(64, 2)
CNN3 = conv(1, 32, 3) + conv(32, 64, 3) + conv(64, 128, 3) + conv(128, 256, 3) + conv(256, 256, 3)
CNN3 += conv(256, 512, 3) + conv(512, 512, 3) + linear(512, 128) + linear(128, 2)
ENCODER = conv(1, 8, 4) + conv(8, 16, 4) + conv(16, 32, 4) + conv(32, 32, 4) + conv(32, 64, 4)
NORMS = 2 * (8 + 16 + 32 + 32 + 64 + 512)
BOTTLENECK = linear(1600, 512) + linear(512, 1600)
DECODER = conv(64, 32, 4) + conv(32, 32, 4) + conv(32, 16, 4) + conv(16, 8, 4) + conv(8, 2, 4)
AUTOENCODER = ENCODER + NORMS + BOTTLENECK + DECODER


@pytest.mark.parametrize(
    ("name", "expected"),
    [("fc", FC), ("cnn1", CNN1), ("cnn2", CNN2), ("cnn3", CNN3), ("autoencoder", AUTOENCODER)],
)
def test_number_of_parameters(name: str, expected: int) -> None:
    with torch.device("meta"):  # the fully connected network would take 690 MB
        model = create_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def shapes_behind(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[tuple[int, ...]]:
    """Shapes (without the batch) that come out of the layers of some kinds, in order."""
    seen: list[tuple[int, ...]] = []

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append(tuple(output.shape[1:]))

    for module in model.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(note)
    with torch.no_grad():
        model(torch.rand(2, 1, 128, 128))
    return seen


@pytest.mark.parametrize(
    ("name", "maps", "linear_layers"),
    [
        ("cnn1", (3, 3, 3, 3, 3, 3, 2), [(2,)]),
        ("cnn2", (16, 32, 64, 128, 256, 256, 256), [(64,), (2,)]),
        ("cnn3", (32, 64, 128, 256, 256, 512, 512), [(128,), (2,)]),
    ],
)
def test_cnn_halves_the_picture_seven_times(
    name: str, maps: tuple[int, ...], linear_layers: list[tuple[int, ...]]
) -> None:
    model = create_model(name)
    sides = (64, 32, 16, 8, 4, 2, 1)
    expected = [(count, side, side) for count, side in zip(maps, sides, strict=True)]
    assert shapes_behind(model, (nn.Conv2d,)) == expected
    assert shapes_behind(model, (nn.Linear,)) == linear_layers
    # One ReLU behind each convolution; the head is the only activation after them.
    kinds = [type(layer) for layer in model.body.children()]
    assert kinds[1:15] == [nn.Conv2d, nn.ReLU] * 7
    assert kinds.count(nn.ReLU) == 7


def test_autoencoder_narrows_to_512_values_and_mirrors_itself() -> None:
    model = create_model("autoencoder").eval()
    encoder = [(8, 64, 64), (16, 32, 32), (32, 16, 16), (32, 8, 8), (64, 5, 5)]
    assert shapes_behind(model, (nn.Conv2d,)) == encoder
    assert shapes_behind(model, (nn.Linear,)) == [(512,), (1600,)]
    decoder = [(32, 8, 8), (32, 16, 16), (16, 32, 32), (8, 64, 64), (2, 128, 128)]
    assert shapes_behind(model, (nn.ConvTranspose2d,)) == decoder
    kinds = [type(layer) for layer in model.body.children()]
    assert kinds[:15] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 5
    assert kinds[15:20] == [nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.Linear, nn.Unflatten]
    assert kinds[20:] == [nn.ConvTranspose2d, nn.ReLU] * 4 + [nn.ConvTranspose2d]


def test_min_max_scale_takes_each_picture_by_itself() -> None:
    L = torch.stack(
        [torch.linspace(0.2, 0.6, 16), torch.linspace(0, 1, 16), torch.full((16,), 0.3)]
    )
    scaled = MinMaxScale()(L.view(3, 1, 4, 4)).view(3, 16)
    torch.testing.assert_close(scaled[0], torch.linspace(0, 1, 16))
    torch.testing.assert_close(scaled[1], torch.linspace(0, 1, 16))
    assert torch.equal(scaled[2], torch.zeros(16))  # an even picture, not 0/0
