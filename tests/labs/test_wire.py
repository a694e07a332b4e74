"""unpack(pack(x)) = x, and JSON that any reader accepts."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labs import wire
from labs.results import Metric, Provenance
from labs.text import same


def unframed(frame: bytes) -> Any:
    body = wire.read_body(io.BytesIO(frame))
    assert body is not None
    return wire.decode(body)


DTYPES = st.one_of(
    hnp.floating_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.boolean_dtypes(),
)


@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=5)))
def test_arrays_survive(array: np.ndarray[Any, Any]) -> None:
    back = unframed(wire.frame({"data": array}))["data"]
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    np.testing.assert_array_equal(back, array)


def test_views_that_are_not_contiguous_survive() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (array.T, array[::2, 1::2], array[::-1]):
        np.testing.assert_array_equal(unframed(wire.frame({"data": view}))["data"], view)


def test_the_bytes_of_an_array_are_as_documented() -> None:
    """What the window's decoder relies on, spelt out."""
    body = wire.frame({"a": np.array([[1.0], [2.0]], dtype=">f4")})[4:]
    seen = []

    def hook(code: int, data: memoryview) -> None:
        seen.append((code, msgspec.msgpack.decode(data)))

    msgspec.msgpack.Decoder(ext_hook=hook).decode(body)
    assert seen == [(1, ["<f4", [2, 1], np.array([1.0, 2.0], dtype="<f4").tobytes()])]


def test_a_result_is_a_map_with_its_kind() -> None:
    metric = Metric(id="m", title=same("M"), provenance=Provenance.MEASURED, unit="s", value=1.5)
    message = unframed(wire.frame({"type": "result", "result": metric}))["result"]
    assert (message["kind"], message["provenance"], message["value"]) == ("metric", "measured", 1.5)
    assert message["title"] == {"zh": "M", "en": "M"}


def test_numpy_scalars_are_numbers() -> None:
    assert unframed(wire.frame({"a": np.float32(0.5), "b": np.int64(3)})) == {"a": 0.5, "b": 3}


@pytest.mark.parametrize(
    "value", [np.array([object()]), np.zeros(2, dtype="V2"), object(), {1, 2}.__iter__()]
)
def test_what_cannot_be_sent_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        wire.frame({"value": value})


def test_frames_follow_each_other_and_a_torn_one_ends_the_stream() -> None:
    stream = io.BytesIO(wire.frame({"a": 1}) + wire.frame({"b": 2}) + wire.frame({"c": 3})[:-1])
    bodies = [wire.read_body(stream) for _ in range(3)]
    assert [body and wire.decode(body) for body in bodies] == [{"a": 1}, {"b": 2}, None]


def test_an_absurd_length_is_a_corrupt_stream() -> None:
    with pytest.raises(ValueError, match="corrupt"):
        wire.read_body(io.BytesIO(b"\xff\xff\xff\xff"))


def test_a_message_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 100)
    with pytest.raises(ValueError, match="at most 100"):
        wire.frame({"data": np.zeros(100)})


def test_json_has_null_where_there_is_no_number() -> None:
    message = {
        "array": np.array([[1.0, np.nan], [np.inf, -np.inf]]),
        "float": float("nan"),
        "nested": [{"inf": np.float64("inf")}],
        "count": np.int64(3),
        "text": "中文",
        2: "integer key",
    }
    text = wire.json_bytes(message).decode()
    back = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert back == {
        "array": [[1.0, None], [None, None]],
        "float": None,
        "nested": [{"inf": None}],
        "count": 3,
        "text": "中文",
        "2": "integer key",
    }
    assert "中文" in text
