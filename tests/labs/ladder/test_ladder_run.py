"""A run of the ladder: a text that never ends is given up, and the rest goes on."""

from __future__ import annotations

import importlib.util

import pytest

from labs.context import Context
from labs.ladder import run
from labs.ladder.exercise import EXERCISES

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is for Linux only"
)
EXERCISE = EXERCISES["vector_add"]
SETTINGS = {"tile": 64, "warps": 4}


def shown(monkeypatch: pytest.MonkeyPatch, source: str, *, unsolved: bool = False) -> dict[str, object]:
    """Results by id, in the order of their first appearance; nothing is measured here."""
    monkeypatch.setattr(run, "measure_here", lambda ctx, outcome: None)
    found = run.run_ladder(
        Context(), EXERCISE, source, SETTINGS, "sm_80", 0, unsolved=unsolved, attempted=False
    )
    return {one.id: one for one in found}


@needs_triton
def test_a_loop_without_an_end_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_S", 4.0)
    source = EXERCISE.solution.replace("    out = torch", "    while True:\n        pass\n    out = torch")
    assert source != EXERCISE.solution
    found = shown(monkeypatch, source)
    assert "verdict" not in found and "registers" not in found and "roofline" in found
    said = found["explanation"].body.en  # type: ignore[attr-defined]
    assert "did not end" in said and "was not compiled" in said


@needs_triton
def test_what_plays_stands_beside_its_text_and_a_task_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = list(shown(monkeypatch, EXERCISE.solution))
    assert solved[:3] == ["code", "run", "tiles"]
    assert solved.index("verdict") < solved.index("task") < solved.index("registers")
    assert list(shown(monkeypatch, EXERCISE.skeleton, unsolved=True))[:2] == ["task", "code"]
