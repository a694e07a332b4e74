"""What makes imports cheaper takes nothing from PySide that InferLab needs."""

from __future__ import annotations

import linecache
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QSize

from gui.lean_imports import skip_feature_check

if TYPE_CHECKING:
    from pathlib import Path


def test_no_source_is_read_to_import_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "names_a_library.py"
    path.write_text("import PySide6.QtCore\n")
    monkeypatch.syspath_prepend(tmp_path)
    skip_feature_check()
    import names_a_library  # type: ignore[import-not-found]

    assert str(path) not in linecache.cache
    assert names_a_library.PySide6.QtCore.QSize(1, 2).width() == 1
    assert sys.modules["__feature__"].pyside_feature_dict["names_a_library"] == 0


def test_a_wrong_argument_is_still_explained() -> None:
    with pytest.raises(TypeError, match="QSize"):
        QSize("wide")  # type: ignore[call-overload]


def test_a_start_collects_no_garbage_while_it_imports() -> None:
    code = "import gui.app, gc; print(gc.isenabled())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


def test_another_pyside_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "__feature__")
    skip_feature_check()
