"""Lines of each stage are led back to the lines of the kernel they come from."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from labs.inspection.source_lines import source_lines
from labs.ladder import sandbox
from labs.ladder.exercise import EXERCISES

if TYPE_CHECKING:
    from labs.inspection.process import KernelProcess

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux only")

SOURCE = EXERCISES["softmax"].solution


def line_of(part: str) -> int:
    return next(number for number, line in enumerate(SOURCE.splitlines(), 1) if part in line)


def test_every_stage_leads_back_to_loads_stores_and_arithmetic(compiler: KernelProcess) -> None:
    for target, stages in (
        ("sm_80", {"ttir", "ttgir", "llir", "ptx", "sass"}),
        ("gfx942", {"ttir", "ttgir", "llir", "amdgcn"}),
    ):
        built = compiler.ask(
            sandbox.build, name="softmax", source=SOURCE, settings={"warps": 4}, target=target
        )
        (kernel,) = built.kernels
        assert set(kernel.stages) == stages
        for stage, text in kernel.stages.items():
            assert "/tmp" not in text and "site-packages" not in text
            lines = source_lines(stage, text, sandbox.FILE)
            assert len(lines) == len(text.splitlines())
            assert {line_of("tl.load"), line_of("tl.store")} <= set(lines), (target, stage)
            for word, part in (("load", "tl.load"), ("store", "tl.store")) if stage == "ttir" else ():
                at = next(i for i, line in enumerate(text.splitlines()) if f"tt.{word}" in line)
                assert lines[at] == line_of(part)


def test_inlined_library_code_belongs_to_the_line_that_called_it() -> None:
    text = "\n".join(
        [
            '#loc1 = loc("/a/kernel.py":8:29)',
            '#loc2 = loc("/b/standard.py":191:40)',
            '#loc3 = loc("powers"(#loc1))',
            "#loc4 = loc(callsite(#loc2 at #loc3))",
            "%1 = arith.maxnumf %a, %b : f32 loc(#loc4)",
            "%2 = arith.constant 0 : i32 loc(#loc9)",
        ]
    )
    assert source_lines("ttir", text, "kernel.py") == [0, 0, 0, 0, 8, 0]
    ptx = "\t.loc\t2 191 40 // standard.py:191:40 @[ kernel.py:8:29 ]\n\tmax.f32 %f1, %f2, %f3;\n$L_tmp1:"
    assert source_lines("ptx", ptx, "kernel.py") == [8, 8, 0]
