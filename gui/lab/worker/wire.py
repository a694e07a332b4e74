"""The GUI's side of the worker protocol: length-prefixed MessagePack, arrays as raw bytes in Ext code 1."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ARRAY = 1
HEADER = struct.Struct(">I")
# Far above any result (a heat map of a million float64 is 8 MB): a longer "frame" is not a frame.
LONGEST_FRAME = 256 * 1024 * 1024


class FrameError(Exception):
    """The stream holds something that is not a frame; nothing after it can be trusted."""


def encode(message: Any) -> bytes:
    """``message`` as MessagePack without the length; numpy arrays as Ext."""
    import msgspec  # 15 ms, and the window is painted before it first writes to its worker

    return msgspec.msgpack.encode(message, enc_hook=_array_out)


def decode(payload: bytes | bytearray) -> Any:
    """The inverse of ``encode``. Arrays are read-only views of ``payload``: nothing large is copied."""
    import msgspec

    try:
        return msgspec.msgpack.decode(payload, ext_hook=_array_in)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise FrameError(str(error)) from error


def frame(message: Any) -> bytes:
    payload = encode(message)
    return HEADER.pack(len(payload)) + payload


class FrameReader:
    """Cuts a byte stream into messages. A frame's buffer is allocated once, when its length is known."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._body: bytearray | None = None
        self._filled = 0

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """The messages that ``chunk`` completes. Raises FrameError on garbage."""
        rest = memoryview(chunk)
        while rest:
            if self._body is None:
                rest = self._feed_head(rest)
            if self._body is None:
                continue
            taken = min(len(rest), len(self._body) - self._filled)
            self._body[self._filled : self._filled + taken] = rest[:taken]
            self._filled += taken
            rest = rest[taken:]
            if self._filled == len(self._body):
                body, self._body = self._body, None
                yield _message(body)

    def _feed_head(self, rest: memoryview) -> memoryview:
        taken = HEADER.size - len(self._head)
        self._head += rest[:taken]
        if len(self._head) == HEADER.size:
            (length,) = HEADER.unpack(self._head)
            if not 0 < length <= LONGEST_FRAME:
                raise FrameError(f"a frame of {length} bytes")
            self._head.clear()
            self._body, self._filled = bytearray(length), 0
        return rest[taken:]


def _message(body: bytearray) -> dict[str, Any]:
    message = decode(body)
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise FrameError("a frame without a type")
    return message


def _array_in(code: int, data: memoryview) -> Any:
    if code != ARRAY:
        raise ValueError(f"unknown extension {code}")
    import msgspec
    import numpy as np

    dtype, shape, raw = msgspec.msgpack.decode(data, type=tuple[str, list[int], memoryview])
    return np.frombuffer(raw, dtype=np.dtype(dtype)).reshape(shape)


def _array_out(value: Any) -> Any:
    import msgspec
    import numpy as np

    if not isinstance(value, np.ndarray):
        raise NotImplementedError(type(value).__name__)
    little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    return msgspec.msgpack.Ext(
        ARRAY, msgspec.msgpack.encode([little.dtype.str, list(little.shape), little.tobytes()])
    )
