"""The JSON files that stand beside the weights of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from labs.models.errors import unusable

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


def read_json(path: Path, kind: type[T]) -> T:
    """The file's contents as ``kind``; LabError names the file and what in it is not as expected."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise unusable(path, zh=f"读取失败：{error}", en=f"reading failed: {error}") from error
    # Text that is not UTF-8 and nesting without end are no DecodeError.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        zh, en = f"内容不合要求：{error}", f"it cannot be read as expected: {error}"
        raise unusable(path, zh=zh, en=en) from error
