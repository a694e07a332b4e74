"""Makes the import of PySide itself cheaper, a tenth of a start: what it compiles each time is compiled once.

PySide carries its support modules as zipped sources, compiles them whenever it is imported, and with them
large regular expressions that only a wrong call's error message needs.
"""

from __future__ import annotations

import builtins
import functools
import marshal
import os
import re
import sys
import zlib
from contextlib import contextmanager, suppress
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

SUPPORT = "shibokensupport/"
# Longer than any that a start uses; those of PySide's signature parser have 7,000 characters and more.
LONG_PATTERN = 4000

# Name, length and checksum of a source: code is used for the very source that it was compiled from.
_Kept = dict[tuple[str, int, int], "CodeType"]


@contextmanager
def kept_bytecode(path: Path | None = None) -> Iterator[None]:
    """Within it, PySide's support modules come compiled from ``path`` where they have been compiled before,
    and long regular expressions are compiled when they are first used.

    By default the file stands among the bytecode that Python keeps of this package, and is as disposable.
    """
    path = path or Path(cache_from_source(__file__)).with_suffix(".marshal")
    kept = _load(path)
    before = len(kept)
    compiler, pattern_compiler = builtins.compile, re.compile
    builtins.compile = _remembering(kept)
    re.compile = _compiled_late
    try:
        yield
    finally:
        builtins.compile, re.compile = compiler, pattern_compiler
    if len(kept) > before and not sys.dont_write_bytecode:
        _save(path, kept)


def _remembering(kept: _Kept) -> Any:
    """A ``compile`` that looks in ``kept`` first. Its callers' ``from __future__`` are as this module's."""
    compiler = builtins.compile

    def compile(source: Any, filename: Any, *arguments: Any, **options: Any) -> Any:
        if not (isinstance(source, bytes) and isinstance(filename, str) and filename.startswith(SUPPORT)):
            return compiler(source, filename, *arguments, **options)
        key = (filename, len(source), zlib.crc32(source))
        if key not in kept:
            kept[key] = compiler(source, filename, *arguments, **options)
        return kept[key]

    return compile


_compile_pattern = re.compile


def _compiled_late(pattern: Any, flags: Any = 0) -> Any:
    late = isinstance(pattern, str) and len(pattern) > LONG_PATTERN
    return _LatePattern(pattern, flags) if late else _compile_pattern(pattern, flags)


class _LatePattern:
    """A regular expression that is compiled when one of its methods is called, not when it is named."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._compiled = functools.cache(lambda: _compile_pattern(pattern, flags))

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments: getattr(self._compiled(), method)(*arguments)


def _load(path: Path) -> _Kept:
    try:
        magic, kept = marshal.loads(path.read_bytes())
        return dict(kept) if magic == MAGIC_NUMBER else {}
    except (OSError, EOFError, ValueError, TypeError):
        return {}


def _save(path: Path, kept: _Kept) -> None:
    """Written aside and renamed, so that a killed app leaves no half file; where it cannot be, it is not."""
    aside = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(marshal.dumps((MAGIC_NUMBER, kept)))
        aside.replace(path)
