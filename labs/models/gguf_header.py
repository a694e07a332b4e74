"""The header of a GGUF file (its key-values and its tensor table), read in milliseconds.

``gguf.GGUFReader`` builds several numpy views for each of the default model's 98,000 vocabulary and merge
strings, which takes it 2.7 s on a machine where this walker takes 12 ms: it steps over arrays, and decodes
one when asked.
Format: the GGUF specification of the ggml project (docs/gguf.md), versions 2 and 3, little-endian.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from labs.models.errors import unusable

if TYPE_CHECKING:
    from pathlib import Path

# struct formats by GGUF value type; 8 is a string and 9 an array.
_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), ("<" + c for c in "BbHhIif?Qqd"), strict=True))
_STRING, _ARRAY = 8, 9
_F32 = 0
_read_u32 = struct.Struct("<I").unpack_from
_read_u64 = struct.Struct("<Q").unpack_from


class ArrayValue(NamedTuple):
    """An array that was stepped over: ``size`` items of GGUF value type ``item_type`` at ``offset``."""

    item_type: int
    size: int
    offset: int


class TensorEntry(NamedTuple):
    """A row of the tensor table. ``shape`` has rows first; ``offset`` counts from the file's start."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int


class _Malformed(Exception):
    """The bytes are not what the format says."""


class GGUFHeader:
    """``values`` maps keys to scalars, strings and ``ArrayValue``; ``tensors`` maps GGUF names to entries."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.values: dict[str, Any] = {}
        self.tensors: dict[str, TensorEntry] = {}
        self._position = 4
        self._walk()

    def strings(self, key: str) -> list[str]:
        """The array of strings under ``key``."""
        value = self.values.get(key)
        if not isinstance(value, ArrayValue) or value.item_type != _STRING:
            raise unusable(self.path, zh=f"缺少字符串数组 {key}", en=f"it has no array of strings {key}")
        data, position, found = self.data, value.offset, []
        for _ in range(value.size):
            start = position + 8
            position = start + _read_u64(data, position)[0]
            # A byte-level vocabulary is valid UTF-8; one odd entry must not lose all the others.
            found.append(data[start:position].decode("utf-8", "replace"))
        return found

    def numbers(self, key: str) -> list[int | float]:
        """The array of numbers under ``key``."""
        value = self.values.get(key)
        if not isinstance(value, ArrayValue) or value.item_type not in _SCALARS:
            raise unusable(self.path, zh=f"缺少数值数组 {key}", en=f"it has no array of numbers {key}")
        form = f"<{value.size}{_SCALARS[value.item_type][1]}"
        return list(struct.unpack_from(form, self.data, value.offset))

    def floats(self, tensor: str) -> tuple[float, ...]:
        """A small one-dimensional F32 tensor, such as ``rope_freqs.weight``."""
        entry = self.tensors[tensor]
        if entry.type_id != _F32 or len(entry.shape) != 1:
            raise unusable(self.path, zh=f"{tensor} 应为一维 F32", en=f"{tensor} must be one-dimensional F32")
        try:
            return struct.unpack_from(f"<{entry.shape[0]}f", self.data, entry.offset)
        except struct.error as error:
            raise truncated(self.path, str(error)) from error

    def _walk(self) -> None:
        version = self._u32()
        if version not in (2, 3):
            zh, en = (
                f"GGUF 版本为 {version}，应为 2 或 3",
                f"GGUF version {version}, expected 2 or 3 (little-endian)",
            )
            raise unusable(self.path, zh=zh, en=en)
        tensor_count, value_count = self._u64(), self._u64()
        for _ in range(value_count):
            key = self._string()
            if key in self.values:
                raise _Malformed(f"the key {key} twice")
            self.values[key] = self._value(self._u32())
        entries = [self._entry() for _ in range(tensor_count)]
        alignment = self.values.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise _Malformed(f"general.alignment = {alignment!r}")
        for entry in entries:
            if entry.offset % alignment:
                raise _Malformed(
                    f"tensor {entry.name} at {entry.offset}, which is no multiple of {alignment}"
                )
        start = -(-self._position // alignment) * alignment
        self.tensors = {entry.name: entry._replace(offset=start + entry.offset) for entry in entries}
        if len(self.tensors) < len(entries):
            raise _Malformed("two tensors of one name")

    def _u32(self) -> int:
        (value,) = _read_u32(self.data, self._position)
        self._position += 4
        return int(value)

    def _u64(self) -> int:
        (value,) = _read_u64(self.data, self._position)
        self._position += 8
        return int(value)

    def _string(self) -> str:
        length = self._u64()
        start, self._position = self._position, self._position + length
        if self._position > len(self.data):
            raise _Malformed(f"a string of {length} bytes at {start}")
        return self.data[start : self._position].decode("utf-8")

    def _value(self, value_type: int) -> Any:
        if value_type == _STRING:
            return self._string()
        if value_type == _ARRAY:
            return self._array()
        form = _SCALARS.get(value_type)
        if form is None:
            raise _Malformed(f"value type {value_type} at {self._position}")
        (value,) = struct.unpack_from(form, self.data, self._position)
        self._position += struct.calcsize(form)
        return value

    def _array(self) -> ArrayValue:
        item_type, count = self._u32(), self._u64()
        array = ArrayValue(item_type, count, self._position)
        if item_type == _STRING:
            data, position = self.data, self._position
            for _ in range(count):
                position += 8 + _read_u64(data, position)[0]
            self._position = position
        elif item_type in _SCALARS:
            self._position += count * struct.calcsize(_SCALARS[item_type])
        else:
            raise _Malformed(f"an array of value type {item_type} at {self._position}")
        if self._position > len(self.data):
            raise _Malformed(f"an array of {count} items at {array.offset}")
        return array

    def _entry(self) -> TensorEntry:
        name, dimensions = self._string(), self._u32()
        if dimensions > 4:
            raise _Malformed(f"tensor {name} with {dimensions} dimensions")
        shape = tuple(reversed([self._u64() for _ in range(dimensions)]))
        return TensorEntry(name, shape, self._u32(), self._u64())


def read_header(path: Path) -> GGUFHeader:
    """The header of the file at ``path``; LabError if it is not GGUF, or ends early."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                zh, en = (
                    "不是 GGUF 文件（开头应为 GGUF 四个字节）",
                    "not a GGUF file: it must begin with the bytes GGUF",
                )
                raise unusable(path, zh=zh, en=en)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise unusable(path, zh=f"读取失败：{error}", en=f"reading failed: {error}") from error
    try:
        return GGUFHeader(path, data)
    except (struct.error, OverflowError, UnicodeDecodeError, _Malformed) as error:
        raise truncated(path, str(error)) from error


def truncated(path: Path, detail: str) -> Exception:
    """The error for a file that ends early or is damaged."""
    zh = f"文件被截断或已损坏（{detail}）；请重新获取该文件"
    return unusable(path, zh=zh, en=f"the file is truncated or damaged ({detail}); fetch it again")
