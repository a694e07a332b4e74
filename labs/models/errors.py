"""How a model file that cannot be used is reported: which file, and what was expected of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from pathlib import Path


def unusable(path: Path, *, zh: str, en: str) -> LabError:
    """The error to raise for the file or folder at ``path``; the sentences say what was expected."""
    return LabError(Text(zh=f"无法使用模型文件 {path}：{zh}", en=f"cannot use the model file {path}: {en}"))
