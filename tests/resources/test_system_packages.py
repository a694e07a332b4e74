"""What set-up installs: where there is a GPU also what Triton compiles its launchers with."""

from __future__ import annotations

import runpy
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "resources" / "setup" / "system_packages.py"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The script's names, on a machine with a GPU and nothing else."""
    names = runpy.run_path(str(SCRIPT))
    (tmp_path / "version").write_text("NVRM version")
    # A function's globals are its own dictionary, not the copy that runpy gives.
    monkeypatch.setitem(names["wished_packages"].__globals__, "GPU_NODES", (str(tmp_path / "version"),))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    return names


def test_triton_gets_its_compiler_where_a_gpu_is(script: dict[str, Any], tmp_path: Path) -> None:
    assert script["wished_packages"]() == ["gcc", "libc6-dev", "python3-dev"]
    (tmp_path / "Python.h").touch()
    assert script["wished_packages"]() == ["gcc", "libc6-dev"]
    (tmp_path / "version").unlink()
    assert script["wished_packages"]() == []


def test_what_is_only_wished_for_does_not_stop_the_set_up(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(script["main"].__globals__, "missing_packages", list)
    assert script["main"]() == 0
    assert "sudo apt-get install -y --no-install-recommends gcc" in capsys.readouterr().out
