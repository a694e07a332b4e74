"""An operator's Triton kernel recorded in the interpreter: asked of a kernel process, not called here."""

from __future__ import annotations

from pathlib import Path

import labs
from labs.inspection.interpreted import Recorder, Recording

MOST = 600  # accesses kept: the programs of a grid do the same


def record(operator: str) -> Recording:
    """The first of its aligned cases, small enough for the interpreter."""
    from labs.ops.operator import operators

    found = operators()[operator]
    assert found.triton is not None, "the process has Triton"
    recorder = Recorder(MOST)
    arguments = found.make(found.aligned[0])
    with recorder.entered():
        found.triton(**arguments)
    return recorder.recording()


def source_of(operator: str) -> str:
    """The operator's file, to whose lines a recording refers."""
    return (Path(labs.__file__).parent / "ops" / f"{operator}.py").read_text(encoding="utf-8")
