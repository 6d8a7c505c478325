"""A head owns its range: what goes in as a target comes out as a prediction."""

from __future__ import annotations

import pytest
import torch

from models.heads import HEADS, create_head

RANGES = {"relu": (0.0, 1.0), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@pytest.mark.parametrize("name", sorted(HEADS))
def test_encode_spans_the_range_of_the_head_and_decode_undoes_it(name: str) -> None:
    head = create_head(name)
    unit = torch.linspace(0, 1, 256)
    encoded = head.encode(unit)
    assert (encoded.min().item(), encoded.max().item()) == RANGES[name]
    torch.testing.assert_close(head.decode(encoded), unit)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0.0, 0.0, 0.3, 1.0]),  # nothing predicts a colour beyond 1
        ("sigmoid", [0.0, 0.5, 0.574442517, 1.0]),
        ("tanh", [0.0, 0.5, 0.645656306, 1.0]),
    ],
)
def test_decoded_outputs(name: str, expected: list[float]) -> None:
    head = create_head(name)
    output = head.decode(head(torch.tensor([-50.0, 0.0, 0.3, 50.0])))
    torch.testing.assert_close(output, torch.tensor(expected))
    # The loss has to see what is above 1.
    assert create_head("relu")(torch.tensor(3.0)).item() == 3.0
