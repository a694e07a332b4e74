"""Triton is for Linux only: whatever a lab imports in its own process does without it."""

from __future__ import annotations

import ast
import subprocess
import sys

from labs import registry
from tests.labs.worker_client import ROOT

_SCRIPT = """
import importlib, sys
sys.modules["triton"] = None  # as where it is not installed
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def imported_by_labs() -> list[str]:
    """What the files of the catalog import of ours, inside functions too."""
    names: set[str] = set()
    for file in registry.CATALOG.glob("*/*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labs."):
                names.add(str(node.module))
    return sorted(names)


def test_no_lab_needs_triton_to_be_imported() -> None:
    names = imported_by_labs()
    assert "labs.low_rank.kernel_mode" in names, "imports inside functions are seen"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *names], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
