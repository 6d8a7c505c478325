"""The API under schemathesis: whatever is sent, it answers as its description says."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, strategies
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.tuning.serve.builders import photo

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, and those of the fuzzer itself

TOKEN = "correct-horse-battery"
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


@pytest.fixture(scope="module")
def api(guarded: Any) -> Any:
    return schemathesis.openapi.from_url(f"{guarded.url}/openapi.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    # What takes no parameters has little to be asked.
    ("method", "path", "examples"),
    [("GET", "/health", 10), ("GET", "/models", 10), ("POST", "/colorize", 120)],
)
def test_it_answers_as_it_is_described(
    api: Any, guarded: Any, method: str, path: str, examples: int
) -> None:
    seen: set[int] = set()
    generated = strategies.one_of(
        *(api[path][method].as_strategy(generation_mode=mode) for mode in GenerationMode)
    )

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=generated)
    def check(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(
            base_url=guarded.url,
            headers={"Authorization": f"Bearer {TOKEN}"},
            checks=CHECKS,
            timeout=60,
        )
        seen.add(answer.status_code)

    check()
    assert 200 in seen, "nothing was ever answered well"
    assert path != "/colorize" or {404, 422} <= seen
