"""The GUI's wire reads what it wrote, cut anywhere, and refuses what is not a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.lab.worker.wire import FrameError, FrameReader, decode, encode, frame


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(0, 300))
def test_any_cut_of_the_stream_gives_the_same_messages(cuts: list[int], size: int) -> None:
    messages = [{"type": "a", "x": np.arange(size, dtype="<f4")}, {"type": "b", "text": "位"}]
    stream = b"".join(map(frame, messages))
    reader, found, place = FrameReader(), [], 0
    for cut in [*cuts, len(stream)]:
        found += list(reader.feed(stream[place : place + cut]))
        place += cut
    assert [message["type"] for message in found] == ["a", "b"]
    np.testing.assert_array_equal(found[0]["x"], messages[0]["x"])


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<i2", "|u1", ">f4"])
def test_arrays_keep_type_shape_and_values(dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype)
    back = decode(encode({"a": array}))["a"]
    assert back.shape == (3, 4)
    np.testing.assert_array_equal(back, array)


def test_the_labs_side_writes_what_the_window_reads() -> None:
    labs_wire = pytest.importorskip("labs.wire")
    message = {"type": "result", "values": np.array([[1.5, np.nan]], dtype=np.float32), "n": None}
    (found,) = FrameReader().feed(labs_wire.frame(message))
    np.testing.assert_array_equal(found["values"], message["values"])
    back = labs_wire.decode(frame(message)[4:])
    np.testing.assert_array_equal(back["values"], message["values"])


@pytest.mark.parametrize(
    "stream",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x05hello",
        frame([1, 2]),
        frame({"no": "type"}),
        frame({"type": "x"})[:4] + b"\xc1" * 8,
    ],
)
def test_garbage_is_refused(stream: bytes) -> None:
    with pytest.raises(FrameError):
        list(FrameReader().feed(stream))


@pytest.mark.parametrize("body", [["<f4", [3], b"\0"], ["nonsense", [1], b"\0"], "x"])
def test_a_broken_array_is_refused(body: Any) -> None:
    import msgspec

    bad = msgspec.msgpack.encode({"type": "x", "a": msgspec.msgpack.Ext(1, msgspec.msgpack.encode(body))})
    with pytest.raises(FrameError):
        decode(bad)
