"""Which line of a kernel's file each line of a compiler's stage comes from, by that stage's own debug data.

What was inlined from Triton's library counts as the line that called it, where that is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.inspection.compiled import Stage


def source_lines(stage: Stage, text: str, file: str) -> list[int]:
    """An entry a line of ``text``: the line of ``file`` (its base name), 1-based; 0 where none is known."""
    return list(_READERS[stage](text, file))


def _mlir(text: str, file: str) -> Iterator[int]:
    """``loc(#loc7)`` at the end of a line, where ``#loc7 = loc(...)`` may name others."""
    known = dict(re.findall(r"^(#loc\d*) = (loc\(.*\))$", text, flags=re.MULTILINE))
    here = re.compile(rf'"[^"]*{re.escape(file)}":(\d+):')

    def found(location: str, depth: int = 0) -> int:
        lines = [int(line) for line in here.findall(location)]
        if not lines and depth < 10:
            inner = (found(known.get(name, ""), depth + 1) for name in re.findall(r"#loc\d*", location))
            lines = [line for line in inner if line]
        return lines[-1] if lines else 0  # of a call and what it calls, the call comes last

    for line in text.splitlines():
        at = line.rfind(" loc(")
        yield found(line[at:]) if at >= 0 and not line.startswith("#loc") else 0


def _llvm(text: str, file: str) -> Iterator[int]:
    """``!dbg !12``, where ``!12 = !DILocation(line: 7, ..., inlinedAt: !15)``: the outermost."""
    place = r"^!(\d+) = (?:distinct )?!DILocation\(line: (\d+)[^)]*?(?:inlinedAt: !(\d+))?\)$"
    locations = {one: (int(line), outer) for one, line, outer in re.findall(place, text, re.MULTILINE)}
    for line in text.splitlines():
        match = re.search(r"!dbg !(\d+)", line)
        number = match.group(1) if match and not line.startswith("!") else ""
        while number in locations and locations[number][1]:
            number = locations[number][1]
        yield locations[number][0] if number in locations else 0


def _assembly(text: str, file: str) -> Iterator[int]:
    """``.loc`` holds until the next; its comment ends with the outermost place: ``@[ kernel.py:9:22 ]``."""
    places, current = re.compile(rf"{re.escape(file)}:(\d+):"), 0
    for line in text.splitlines():
        word = line.strip()
        if word.startswith(".loc"):
            found = places.findall(line)
            current = int(found[-1]) if found else current
        elif not word or word.startswith((".", "}", "//", ";")) or word.endswith(":"):
            yield 0
            continue
        yield current


def _sass(text: str, file: str) -> Iterator[int]:
    """``//## File "...", line 4`` before instructions; from where a line was inlined is not told."""
    places, current = re.compile(rf'{re.escape(file)}", line (\d+)'), 0
    for line in text.splitlines():
        if "//##" in line:
            found = places.findall(line)
            current = int(found[-1]) if found else 0
        yield current if "/*" in line and "//##" not in line else 0


_READERS: dict[Stage, Callable[[str, str], Iterator[int]]] = {
    "ttir": _mlir,
    "ttgir": _mlir,
    "llir": _llvm,
    "ptx": _assembly,
    "amdgcn": _assembly,
    "sass": _sass,
}
