"""The API under schemathesis: whatever is sent, it answers as its description says."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, strategies
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.tuning.serve.builders import TOKEN, photo
from tests.tuning.serve.conftest import FakeCache
from tuning.serve.app import create_app
from tuning.serve.limits import ServeSettings

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, and those of the fuzzer itself

CHECKS = [
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    *(response_headers_conformance, response_schema_conformance, unsupported_method, ignored_auth),
]


def _image(seed: int) -> bytes:
    random = np.random.RandomState(seed)
    return photo(*random.randint(1, 40, 2), ("PNG", "JPEG", "GIF")[seed % 3], gray=seed % 5 == 0)


def _damaged(image: bytes, places: list[int]) -> bytes:
    damaged = bytearray(image)
    for place in places:
        damaged[place % len(damaged)] ^= 1 + place % 255
    return bytes(damaged)


IMAGES = strategies.integers(0, 99).map(_image)
FILES = strategies.one_of(
    IMAGES,
    strategies.builds(_damaged, IMAGES, strategies.lists(strategies.integers(0), max_size=4)),
    strategies.binary(max_size=200),
)


schemathesis.openapi.media_type("application/octet-stream", FILES)


app = create_app(FakeCache(), ServeSettings(token=TOKEN, hosts=frozenset(["testserver"])))
schema = schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.slow
@schema.parametrize()
@hypothesis.settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_it_answers_as_it_is_described(case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)
