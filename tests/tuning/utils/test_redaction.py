"""Secrets stay out of what is shown, logged and stored; everything else stays as it was."""

from __future__ import annotations

import pytest

from tuning.utils.redaction import redact, redact_document


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://anna:hunter2@host:5000/x", "http://***@host:5000/x"),
        ("postgresql+psycopg2://anna:p%40ss@db/m and", "postgresql+psycopg2://***@db/m and"),
        ("s3://bucket/a?token=abc&part=2", "s3://bucket/a?token=***&part=2"),
        ("run --api-key abc --lr 1e-3", "run --api-key *** --lr 1e-3"),
        ("run --password=abc", "run --password=***"),
        ("X-Amz-Signature=abc", "X-Amz-Signature=***"),
        (
            "run --notify https://hooks.host/T0/B1?x=2 -c a",
            "run --notify https://hooks.host/*** -c a",
        ),
        ("run --set notify=https://hooks.host/T0", "run --set notify=https://hooks.host/***"),
        ("http://anna:p@ss@host/x", "http://***@host/x"),
        ("s3://AKIA:sec/ret+key@bucket/a", "s3://***@bucket/a"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("{'authorization': 'Basic YTpi'}", "{'authorization': 'Basic ***'}"),
    ],
)
def test_hides_a_secret_and_nothing_beside_it(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "chromatune grid regression --dataset faces --set grid.lrs=[1e-3]",
        "http://host:5000/#/experiments/1",
        "http://host:5000/#/models/faces@champion",
        "loss is nan at epoch 3; the token was not accepted",
        "mail anna@example.org",
    ],
)
def test_leaves_harmless_text_alone(text: str) -> None:
    assert redact(text) == text


def test_hides_values_of_telling_keys_however_deep() -> None:
    document = {
        "storage": {"access_key": "abc", "path": "s3://a:b@bucket"},
        "tokens": ["abc"],
        "password": None,
        "seed": 3,
    }
    assert redact_document(document) == {
        "storage": {"access_key": "***", "path": "s3://***@bucket"},
        "tokens": "***",
        "password": None,
        "seed": 3,
    }
