"""PySide with its kept bytecode is the same PySide: nothing stale, nothing broken, errors explained."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gui.kept_bytecode import LONG_PATTERN, SUPPORT, kept_bytecode

ROOT = Path(__file__).parents[2]
# What a start does, told how often PySide's sources are compiled; then a wrong call, which is explained.
START = f"""
import builtins
compiler, sources = builtins.compile, []
def counting(source, filename, *arguments, **options):
    sources.append(str(filename))
    return compiler(source, filename, *arguments, **options)
builtins.compile = counting
import gui.lean_imports
from PySide6.QtCore import QSize
print(sum(name.startswith({SUPPORT!r}) for name in sources))
try:
    QSize("wide")
except TypeError as error:
    print(error)
"""


def start(folder: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not done.stderr
    return done.stdout.splitlines()


def test_pyside_is_compiled_by_the_first_start_alone(tmp_path: Path) -> None:
    first, second = start(tmp_path), start(tmp_path)
    assert int(first[0]) > 5
    assert second[0] == "0"
    assert second[1:] == first[1:]
    assert "QSize.__init__(w: int, h: int, /)" in second[-1]
    for kept in tmp_path.rglob("*.marshal"):
        kept.write_bytes(b"half a fi")
    assert start(tmp_path) == first


def compiled(path: Path, source: str, name: str = f"{SUPPORT}one.py") -> dict[str, object]:
    room: dict[str, object] = {}
    with kept_bytecode(path):
        exec(compile(source.encode(), name, "exec"), room)
    return room


@pytest.mark.parametrize("name", [f"{SUPPORT}one.py", "elsewhere/one.py"])
def test_a_source_that_has_changed_is_compiled_again(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "kept"
    for value in (1, 2, 1):  # sources of one length
        assert compiled(path, f"value = {value}", name)["value"] == value
    assert path.exists() == name.startswith(SUPPORT)


def test_nothing_is_written_where_python_writes_no_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert compiled(tmp_path / "kept", "value = 1")["value"] == 1
    assert not list(tmp_path.iterdir())


def test_a_long_pattern_compiled_late_matches_alike() -> None:
    pattern = "|".join(f"word{number}" for number in range(LONG_PATTERN))
    with kept_bytecode(Path("unused")):
        late, short = re.compile(pattern), re.compile("a(b)")
    assert isinstance(short, re.Pattern)
    assert not isinstance(late, re.Pattern)
    find = late.finditer
    assert [match[0] for match in find("word1 other word7")] == ["word1", "word7"]
    assert late.split("a word1 b") == ["a ", " b"]


def test_python_is_left_as_it_was(tmp_path: Path) -> None:
    before = builtins.compile, re.compile
    with pytest.raises(ZeroDivisionError), kept_bytecode(tmp_path / "kept"):
        raise ZeroDivisionError
    assert (builtins.compile, re.compile) == before
