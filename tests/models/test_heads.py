"""A head owns its range: what goes in as a target comes out as a prediction."""

from __future__ import annotations

import pytest
import torch

from models.heads import create_head


@pytest.mark.parametrize(
    ("name", "span", "decoded"),
    [
        ("relu", (0.0, 1.0), [0.0, 0.0, 0.3, 1.0]),  # nothing predicts a colour beyond 1
        ("sigmoid", (0.0, 1.0), [0.0, 0.5, 0.574442517, 1.0]),
        ("tanh", (-1.0, 1.0), [0.0, 0.5, 0.645656306, 1.0]),
    ],
)
def test_targets_span_the_range_of_the_head_and_outputs_the_unit_range(
    name: str, span: tuple[float, float], decoded: list[float]
) -> None:
    head = create_head(name)
    unit = torch.linspace(0, 1, 256)
    encoded = head.encode(unit)
    assert (encoded.min().item(), encoded.max().item()) == span
    torch.testing.assert_close(head.decode(encoded), unit)
    output = head(torch.tensor([-50.0, 0.0, 0.3, 50.0]))
    torch.testing.assert_close(head.decode(output), torch.tensor(decoded))
    assert output[-1] == (50 if name == "relu" else 1)  # the loss has to see what is above 1
