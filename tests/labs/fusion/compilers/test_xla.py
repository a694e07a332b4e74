"""XLA through JAX: its texts read, its fusions and reasons, and what is said where JAX is not installed."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from labs.context import Context
from labs.fusion.compilers import xla_run, xla_views
from labs.fusion.compilers.fx_subjects import CHAINS
from labs.fusion.compilers.hlo_text import parse, tidy_hlo, tidy_stablehlo
from labs.fusion.compilers.pattern_language import parse_chain
from labs.fusion.compilers.xla_child import compiled_by_xla
from labs.fusion.compilers.xla_graph import hlo_graph
from labs.inspection.process import HAS_TRITON
from labs.results import Markdown
from labs.text import same

if TYPE_CHECKING:
    from labs.inspection.process import KernelProcess

T, C, F = 7, 33, 65
HLO = """HloModule jit_chain, is_scheduled=true

FileNames
1 "/somewhere/xla_child.py"
2 "<chain>"

FunctionNames
1 "call"

FileLocations
1 {file_name_id=1 function_name_id=1 line=99 end_line=99 column=0 end_column=9}
2 {file_name_id=2 function_name_id=1 line=3 end_line=3 column=0 end_column=9}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}


%fused (p.1: f32[4,8], p.2: f32[4,8]) -> (f32[4,8], f32[4,8]) {
  %p.1 = f32[4,8]{1,0} parameter(0)
  %p.2 = f32[4,8]{1,0} parameter(1)
  %one = f32[] constant(1)
  %ones = f32[4,8]{1,0} broadcast(%one), dimensions={}
  %sum.1 = f32[4,8]{1,0} add(%p.1, %ones), metadata={op_name="jit(chain)/add" stack_frame_id=2}
  %mul.1 = f32[4,8]{1,0} multiply(%sum.1, %p.2), metadata={op_name="jit(chain)/mul" stack_frame_id=1}
  ROOT %both = (f32[4,8]{1,0}, f32[4,8]{1,0}) tuple(%sum.1, %mul.1)
}

ENTRY %main (a.1: f32[4,8], b.1: f32[4,8]) -> (f32[4,8], f32[4,8]) {
  %a.1 = f32[4,8]{1,0} parameter(0), metadata={op_name="a"}
  %b.1 = f32[4,8]{1,0} parameter(1), metadata={op_name="b"}
  %f.1 = (f32[4,8]{1,0}, f32[4,8]{1,0}) fusion(%a.1, %b.1), kind=kLoop, calls=%fused
  %left = f32[4,8]{1,0} get-tuple-element(%f.1), index=0
  %right = f32[4,8]{1,0} get-tuple-element(%f.1), index=1
  %neg.1 = f32[4,8]{1,0} negate(%right), metadata={op_name="jit(chain)/neg" stack_frame_id=2}
  ROOT %out = (f32[4,8]{1,0}, f32[4,8]{1,0}) tuple(%left, %neg.1)
}
"""


def test_hlo_is_read_and_drawn_with_its_fusions_as_boxes() -> None:
    module = parse(HLO)
    assert module.entry == "main" and module.kernels == 2
    drawn = hlo_graph(module, "after", same("after"))
    names = [node.name.en for node in drawn.nodes]
    assert names == ["a", "b", "add", "multiply", "negate", "result 0", "result 1"]
    assert [node.group for node in drawn.nodes] == [-1, -1, 0, 0, -1, -1, -1]
    assert {(names[one.source], names[one.target]) for one in drawn.edges} == {
        *{("a", "add"), ("add", "multiply"), ("b", "multiply"), ("multiply", "negate")},
        *{("add", "result 0"), ("negate", "result 1")},
    }
    assert drawn.nodes[2].value == 4 * 8 * 4


def test_a_line_of_hlo_leads_to_the_line_of_the_chain() -> None:
    text, links = tidy_hlo(HLO)
    lines = text.splitlines()
    assert len(lines) == len(links) and lines[0].startswith("%fused") and "metadata" not in text
    linked = {line.split("=")[0].strip(): link for line, link in zip(lines, links, strict=True) if link}
    assert linked == {"%sum.1": 3, "%neg.1": 3}  # not %mul.1: its frame is in another file


def test_a_line_of_stablehlo_leads_to_the_line_of_the_chain() -> None:
    text = """#loc = loc(unknown)
module @jit_chain {
  func.func public @main(%arg0: tensor<4xf32> loc("x")) -> tensor<4xf32> {
    %0 = call @silu(%arg0) : (tensor<4xf32>) -> tensor<4xf32> loc(#loc9)
    return %0 : tensor<4xf32> loc(#loc)
  } loc(#loc)
  func.func private @silu(%arg0: tensor<4xf32>) -> tensor<4xf32> {
    %0 = stablehlo.negate %arg0 : tensor<4xf32> loc(#loc4)
  } loc(#loc8)
} loc(#loc)
#loc2 = loc("<chain>":5:0 to :9)
#loc3 = loc("call"(#loc2))
#loc4 = loc("neg")
#loc7 = loc(callsite(#loc3 at #loc))
#loc8 = loc("jit:"(#loc7))
#loc9 = loc("jit(silu)"(#loc7))
"""
    plain, links = tidy_stablehlo(text)
    assert "loc" not in plain and links == [0, 0, 5, 0, 0, 0, 5, 0, 0]


def test_without_jax_the_mode_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (said,) = xla_run.run_xla(Context(), CHAINS["norm"], "", 8)
    assert isinstance(said, Markdown) and xla_run.COMMAND in said.body.en and xla_run.COMMAND in said.body.zh


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an optional extra")
@pytest.mark.skipif(not HAS_TRITON, reason="the child process has Triton")
def test_xla_tells_what_it_fused_and_why_not(compiler: KernelProcess) -> None:
    make = np.random.default_rng(0)
    shapes = {"residual": (T, C), "delta": (T, C), "w_norm": (C,), "w_gate": (F, C)}
    given = {name: make.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    chain = CHAINS["norm"].replace("return y, h", "z = silu(linear(y, w_gate))\nreturn z, h")
    assert set(parse_chain(chain).inputs) == set(given)
    found = compiler.ask(compiled_by_xla, chain=chain, tensors=given, budget_s=0.01)
    assert "jax" not in sys.modules  # in the child only
    assert found.error < 1e-6
    before, after = parse(found.before), parse(found.after)
    assert after.kernels < before.kernels
    assert any(one.fused and one.reason for one in found.decisions)
    assert any(not one.fused and one.reason for one in found.decisions)
    assert {line for one in found.decisions for line in one.lines} >= {1, 2, 3, 4}
    assert found.passes[-1].fusions == sum(one.opcode == "fusion" for one in after.entered) >= 2
    assert found.cost_after.bytes < found.cost_before.bytes and found.cost_after.flops > 2 * T * C * F
    assert found.output_bytes >= 4 * T * (F + C)
    for text, links in (tidy_stablehlo(found.stablehlo), tidy_hlo(found.before), tidy_hlo(found.after)):
        assert set(links) - {0} == {1, 2, 3, 4}, text
    shown = {one.id for one in xla_run.results(chain, "", found, 9)}
    untimed = {"kernels", "texts", "before", "after", "account", "decisions", "passes"}
    assert shown == untimed | {"apart", "compiled", "eager"}
    wrong = msgspec.structs.replace(found, error=1.0)
    assert {one.id for one in xla_run.results(chain, "", wrong, 9)} == untimed  # no speed of what is wrong
    told = xla_views.why(found, 9, found.eager, 1e-5).body.en
    assert f"{after.kernels}**" in told and "Inductor " in told
    groups = {node.group for node in hlo_graph(after, "after", same("after")).nodes}
    assert groups >= set(range(found.passes[-1].fusions))
