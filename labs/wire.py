"""Messages as bytes: length-prefixed MessagePack between worker and window, JSON for the shell.

A frame is a 4-byte big-endian length and a MessagePack map. A numpy array travels as extension 1, which holds
the MessagePack list ``[dtype, shape, raw bytes]``, little-endian and in C order. In JSON an array is a list,
and NaN and infinities are null.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import msgspec
import numpy as np

ARRAY_EXTENSION = 1
# A length beyond this is a corrupt stream, or a lab that forgot to reduce its data for the screen.
MAX_FRAME_BYTES = 256 * 2**20

_HEADER = struct.Struct(">I")


def frame(message: Any) -> bytes:
    """``message`` (maps, lists, structs, numpy arrays) as one frame. ValueError beyond MAX_FRAME_BYTES."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a message of {len(body):,} bytes: at most {MAX_FRAME_BYTES:,} can be sent")
    return _HEADER.pack(len(body)) + body


def read_body(stream: BinaryIO) -> bytes | None:
    """The next frame's body, None at the end of the stream (a torn last frame included)."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (size,) = _HEADER.unpack(header)
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {size:,} bytes: the stream is corrupt")
    body = stream.read(size)
    return body if len(body) == size else None


def decode(body: bytes) -> Any:
    """Plain maps and lists, with numpy arrays where the sender had them."""
    return _decoder.decode(body)


def json_bytes(message: Any) -> bytes:
    """``message`` as JSON, indented for people."""
    return msgspec.json.format(msgspec.json.encode(message, enc_hook=_as_list), indent=2)


def _as_extension(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return msgspec.msgpack.Ext(ARRAY_EXTENSION, _array_body(value))
    return _as_scalar(value)


def _array_body(array: np.ndarray[Any, Any]) -> bytes:
    # bfloat16 and other types that numpy knows only by their size would arrive as nameless bytes.
    if array.dtype.hasobject or array.dtype.kind == "V":
        raise TypeError(f"an array of type {array.dtype} cannot be sent")
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    return msgspec.msgpack.encode([little.dtype.str, little.shape, little.reshape(-1).view(np.uint8).data])


def _as_list(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else _as_scalar(value)


def _as_scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _from_extension(code: int, data: memoryview) -> Any:
    if code != ARRAY_EXTENSION:
        raise ValueError(f"unknown extension {code}")
    dtype, shape, raw = msgspec.msgpack.decode(data)
    return np.frombuffer(raw, dtype=np.dtype(dtype)).reshape(shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_as_extension)
_decoder = msgspec.msgpack.Decoder(ext_hook=_from_extension)
