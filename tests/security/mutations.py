"""What a fuzzer makes of good documents and files: nearly right ones, which go furthest."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

# What stands where something else should.
ODD = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**40, 0.5, -0.0, 1e308, 1e-308),
            *(float("nan"), float("inf"), "", " ", "x", "-1", "1e400", "../../up", "/etc/passwd"),
            *("~", "a\nb", "\x1b[31m", "\u202e", "s3://u:p@host/x", "models:/x/1", "x" * 5000),
            *([], {}, [[]], [None], {"": None}, {"type": "float"}, [1, 2, 3], {"low": 1}),
        ]
    ),
    st.text(max_size=12),
    st.integers(-(10**6), 10**6),
    st.floats(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    ),
)


@st.composite
def documents(draw: st.DrawFn, good: Any, most: int = 3) -> Any:
    """A copy of the JSON-able document `good` with up to `most` values changed, added or lost."""
    document = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(document))
        if not places:
            return copy.deepcopy(draw(ODD))
        container, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(("replace", "replace", "lose", "add"))):
            case "replace":
                container[key] = copy.deepcopy(draw(ODD))
            case "lose":
                del container[key]
            case "add" if isinstance(container, dict):
                container[draw(st.text(max_size=8))] = copy.deepcopy(draw(ODD))
            case _:
                container.insert(key, copy.deepcopy(draw(ODD)))
    return document


@st.composite
def files(draw: st.DrawFn, good: bytes) -> bytes:
    """A copy of the file `good` with bytes changed, cut out, doubled or put in."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from((1, 1, 2, 4, 16, len(data))))
        match draw(st.sampled_from(("set", "set", "cut", "double", "insert"))):
            case "set":
                data[place : place + length] = draw(st.binary(min_size=1, max_size=8))
            case "cut":
                del data[place : place + length]
            case "double":
                data[place:place] = data[place : place + length]
            case _:
                data[place:place] = draw(st.sampled_from((b"\0", b"\xff", b"[", b"{", b"&", b"\n")))
    return bytes(data)


def _places(value: Any) -> Any:
    """Every container in a document with each of its keys."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
