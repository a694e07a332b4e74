"""A kernel looked into, as the worker sends it: its code in panes, its tiles over a trace, its graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.gui.lab.samples import Result, both

SOURCE = '''\
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x, y, columns, BLOCK: tl.constexpr):
    """A row a program: y = exp(x - max) / sum."""
    row = tl.program_id(0)
    offsets = tl.arange(0, BLOCK)
    inside = offsets < columns  # the last block may reach beyond the row
    values = tl.load(x + row * columns + offsets, mask=inside, other=-float("inf"))
    shifted = values - tl.max(values, axis=0)
    powers = tl.exp(shifted)
    total = tl.sum(powers, axis=0)
    tl.store(y + row * columns + offsets, powers / total, mask=inside)
'''
TTIR = """\
module {
  tt.func public @softmax_kernel(%x: !tt.ptr<f32> {tt.divisibility = 16 : i32}, %columns: i32) {
    %cst = arith.constant dense<0xFF800000> : tensor<1024xf32>
    %row = tt.get_program_id x : i32
    %offsets = tt.make_range {end = 1024 : i32, start = 0 : i32} : tensor<1024xi32>
    %inside = arith.cmpi slt, %offsets, %0 : tensor<1024xi32>
    %values = tt.load %4, %inside, %cst : tensor<1024x!tt.ptr<f32>>
    %max = "tt.reduce"(%values) <{axis = 0 : i32}> ({
    ^bb0(%a: f32, %b: f32):
      %m = arith.maxnumf %a, %b : f32
      tt.reduce.return %m : f32
    }) : (tensor<1024xf32>) -> f32
    %powers = math.exp %6 : tensor<1024xf32>
    tt.store %9, %8, %inside : tensor<1024x!tt.ptr<f32>>
    tt.return
  }
}
"""
TTIR_LINKS = [0, 6, 11, 8, 9, 10, 11, 12, 12, 12, 12, 12, 13, 15, 15, 0, 0]
PTX_LINES = [
    ("//", ".version 8.4", 0),
    ("", ".target sm_90a", 0),
    ("", ".visible .entry softmax_kernel(", 6),
    ("", "\t.param .u64 .ptr .global .align 1 softmax_kernel_param_0,", 6),
    ("", "$L__func_begin0:", 6),
    ("", "\tmov.u32 \t%r1, %ctaid.x;", 8),
    ("", "\tsetp.lt.s32 \t%p1, %r3, %r2;   // inside", 10),
    ("", "\t@%p1 ld.global.v4.b32 {%r5, %r6, %r7, %r8}, [%rd1 + 0];", 11),
    ("", "\tmax.f32 \t%f5, %f1, %f2;", 12),
    ("", "\tshfl.sync.bfly.b32 \t%r9, %r8, 16, 31, -1;", 12),
    ("", "\tmul.f32 \t%f7, %f6, 0f3FB8AA3B;", 13),
    ("", "\tex2.approx.f32 \t%f8, %f7;", 13),
    ("", "\tadd.f32 \t%f9, %f8, %f4;", 14),
    ("", "\t@%p1 st.global.v4.b32 [%rd2 + 0], {%r10, %r11, %r12, %r13};", 15),
    ("", "\tret;", 15),
]


def pane(name: str, language: str, text: str, **changes: Any) -> Result:
    plain = {"name": both(name, name), "language": language, "text": text}
    return plain | {"links": None, "marks": [], "edits": ""} | changes


def ptx_pane(copies: int = 1) -> Result:
    lines = PTX_LINES * copies
    links = np.array([link for _, _, link in lines])
    return pane("PTX", "ptx", "\n".join(text for _, text, _ in lines) + "\n", links=links)


def mark(line: int, zh: str, en: str, role: str) -> Result:
    return {"line": line, "text": both(zh, en), "role": role}


def code(**changes: Any) -> Result:
    source = pane(
        "softmax.py",
        "python",
        SOURCE,
        edits="kernel",
        marks=[
            mark(
                11,
                "合并访存：每个 warp 4 次 128 字节事务",
                "coalesced: 4 transactions of 128 B a warp",
                "good",
            ),
            mark(12, "最大值要在整个程序内归约", "the maximum is reduced over the program", "note"),
            mark(15, "写回没有对齐到 16 字节", "the store is not aligned to 16 bytes", "warning"),
        ],
    )
    result: Result = {
        "kind": "code",
        "id": "code",
        "title": both("内核与编译结果", "The kernel, and what became of it"),
        "provenance": "measured",
        "unit": "",
        "panes": [source, pane("TTIR", "ttir", TTIR, links=np.array(TTIR_LINKS)), ptx_pane()],
        "clock": "",
    }
    return result | changes


def failing_code() -> Result:
    text = SOURCE.replace("tl.exp(shifted)", "tl.expp(shifted)")
    error = mark(13, "triton.language 没有 expp；是否指 exp？", "no expp in triton.language; exp?", "error")
    return code(panes=[pane("softmax.py", "python", text, edits="kernel", marks=[error])])


ROWS, COLUMNS, TILE = 24, 32, 8


def _tile_steps() -> list[tuple[int, int, int, int, int, int, int]]:
    """(event, tensor, first row, rows, start, stop, category) of a tiled product a @ b = c, tile by tile."""
    steps, event = [], 0
    for top in range(0, ROWS, TILE):
        for left in range(0, COLUMNS, TILE):
            for k in range(0, 16, TILE):
                steps.append((event, 0, top, TILE, k, k + TILE, 0))
                steps.append((event, 1, k, TILE, left, left + TILE, 0))
                event += 1
            steps.append((event, 2, top, TILE, left, left + TILE, 1))
            if top + TILE == ROWS:
                steps.append((event, 2, ROWS, 1, left, left + TILE, 2))
            event += 1
    return steps


STEPS = _tile_steps()
EVENTS = STEPS[-1][0] + 1


def tile_trace(**changes: Any) -> Result:
    kinds = [("加载 A、B 的一块", "load tiles of A and B", 11), ("写回 C 的一块", "store a tile of C", 15)]
    stores = {step[0] for step in STEPS if step[1] == 2}
    kind = np.array([1 if event in stores else 0 for event in range(EVENTS)])
    result: Result = {
        "kind": "trace",
        "id": "steps",
        "title": both("逐步执行", "Step by step"),
        "provenance": "measured",
        "unit": "",
        "times": np.arange(EVENTS) * 1e-3,
        "kinds": [
            {"name": both(zh, en), "template": both(f"第 {{line}} 行：{zh}", f"line {{line}}: {en}")}
            for zh, en, _ in kinds
        ],
        "kind_index": kind,
        "columns": {"line": np.array([kinds[one][2] for one in kind])},
        "names": {},
        "at": EVENTS // 2,
    }
    return result | changes


def runs_of(steps: list[tuple[int, int, int, int, int, int, int]]) -> dict[str, Any]:
    rows = [(e, t, r, a, b, c) for e, t, top, n, a, b, c in steps for r in range(top, top + n)]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 6).T
    return dict(zip(("event", "tensor", "row", "start", "stop", "category"), columns, strict=True))


def tiles(**changes: Any) -> Result:
    rng = np.random.default_rng(3)
    tensors = [
        {"name": both("A", "A"), "rows": ROWS, "columns": 16, "values": rng.normal(size=(ROWS, 16))},
        {"name": both("B", "B"), "rows": 16, "columns": COLUMNS, "values": None},
        {"name": both("C = A B", "C = A B"), "rows": ROWS, "columns": COLUMNS, "values": None},
    ]
    result: Result = {
        "kind": "tiles",
        "id": "tiles",
        "title": both("每个程序读写哪些元素", "Which elements each program touches"),
        "provenance": "measured",
        "unit": "",
        "tensors": tensors,
        "runs": runs_of(STEPS),
        "categories": [both("读", "read"), both("写", "written"), both("越界", "out of bounds")],
        "faults": [2],
        "clock": "steps",
    }
    return result | changes


def node(name: str, category: int, group: int = -1, value: float | None = None) -> Result:
    detail = both(f"{name} 的形状 [1, 576]", f"{name}: shape [1, 576]")
    return {"name": both(name, name), "category": category, "group": group, "detail": detail, "value": value}


def graph(**changes: Any) -> Result:
    nodes = [
        node("x", 0),
        node("square", 2, 0, 4.2e-6),
        node("mean", 3, 0, 3.9e-6),
        node("rsqrt", 2, 0, 1.1e-6),
        node("mul", 2, 0, 4.0e-6),
        node("q_proj", 1, -1, 31e-6),
        node("k_proj", 1, -1, 12e-6),
        node("v_proj", 1, -1, 12e-6),
        node("rope", 2, 1, 6e-6),
        node("attention", 1, -1, 48e-6),
        node("o_proj", 1, -1, 30e-6),
        node("add", 2, 2, 3e-6),
        node("weight_q", 0),
    ]
    pairs = [
        (0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (4, 5), (4, 6), (4, 7), (5, 8), (6, 8),
        (8, 9), (7, 9), (9, 10), (10, 11), (0, 11), (12, 5),
    ]  # fmt: skip
    result: Result = {
        "kind": "graph",
        "id": "graph",
        "title": both("一层的计算图", "The graph of a layer"),
        "provenance": "measured",
        "unit": "s",
        "nodes": nodes,
        "edges": [{"source": a, "target": b, "name": None} for a, b in pairs],
        "categories": [
            both("输入", "input"),
            both("矩阵乘", "matrix product"),
            both("逐元素", "pointwise"),
            both("归约", "reduction"),
        ],
        "groups": [
            both("融合 0：RMSNorm", "fused 0: RMSNorm"),
            both("融合 1", "fused 1"),
            both("融合 2", "fused 2"),
        ],
        "value_name": both("时间", "time"),
    }
    return result | changes
