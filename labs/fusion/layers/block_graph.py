"""A block's operators as a graph, with what is fused in boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.decoder_block import groups
from labs.formulas.fusion import crossing, kernels
from labs.results import Graph, GraphEdge, GraphNode, Provenance
from labs.text import Text, same

if TYPE_CHECKING:
    from typing import Final

    from labs.formulas.decoder_block import Step
    from labs.formulas.fusion import Dataflow, Op

KINDS: Final = {
    "product": Text(zh="矩阵乘", en="matrix product"),
    "reduction": Text(zh="归约", en="reduction"),
    "elementwise": Text(zh="逐元素", en="elementwise"),
    "copy": Text(zh="搬动", en="copy"),
}
_NAMES: Final = {
    "add": "x + Δ",
    "square": "x²",
    "sum": "Σ",
    "mean": "÷ C",
    "eps": "+ ε",
    "rsqrt": "1/√",
    "scale": "x · 1/rms",
    "weight": "· w",
    "abs": "|x|",
    "most": "max",
    "least": "≥ ε",
    "per_code": "÷ 127",
    "divide": "÷ scale",
    "codes": "→ int8",
    "float": "→ fp32",
    "rows": "· row scale",
    "columns": "· col. scale",
    "times_up": "· up",
    "scores": "Q Kᵀ",
    "scores.scale": "÷ √D",
    "mask": "+ mask",
    "mix": "P V",
    "heads": "heads → row",
    "a_cos": "a cos",
    "b_sin": "b sin",
    "minus": "−",
    "b_cos": "b cos",
    "a_sin": "a sin",
    "plus": "+",
    "cat": "cat",
    "store": "→ cache",
}
# By the first operator of a group; a norm that goes on to codes, and products with their scaling, say so.
_BOXES: Final = {
    "add1": Text(zh="残差 + RMSNorm", en="residual + RMSNorm"),
    "add2": Text(zh="残差 + RMSNorm", en="residual + RMSNorm"),
    "q": same("QKV"),
    "gate": same("gate-up"),
    "silu": same("SwiGLU"),
    "q.a_cos": same("RoPE"),
    "scores": Text(zh="注意力", en="attention"),
}


def graph(flow: Dataflow, steps: frozenset[Step]) -> Graph:
    """Each operator a node; one kernel of several, a box; hover tells the bytes that cross its border."""
    fused = groups(flow, steps)
    place = {op.name: index for index, op in enumerate(flow.ops)}
    box = {name: index for index, group in enumerate(fused) for name in group}
    kinds = list(KINDS)
    kernel_of = {name: kernel for kernel in kernels(flow, fused) for name in kernel}
    nodes = [
        GraphNode(
            name=same(_shown(op)),
            category=kinds.index(op.kind),
            group=box.get(op.name, -1),
            detail=_detail(flow, op, kernel_of[op.name]),
            value=float(sum(crossing(flow, [op.name]))),
        )
        for op in flow.ops
    ]
    makers = {tensor: place[op.name] for op in flow.ops for tensor in op.writes}
    edges = {(makers[t], place[op.name]) for op in flow.ops for t in op.reads if t in makers}
    return Graph(
        id="graph",
        title=Text(zh="一层的算子与融合后的 kernel", en="The block's operators, and the kernels they become"),
        provenance=Provenance.ESTIMATED,
        unit="B",
        source=Text(
            zh="labs.formulas.decoder_block：每个算子读写哪些张量；一个框是一个 kernel",
            en="labs.formulas.decoder_block: which tensors each operator reads, writes; a box is a kernel",
        ),
        nodes=nodes,
        edges=[GraphEdge(source=a, target=b) for a, b in sorted(edges)],
        categories=list(KINDS.values()),
        groups=[box_name(group) for group in fused],
        value_name=Text(zh="单独执行时读写", en="bytes if it runs alone"),
    )


def _shown(op: Op) -> str:
    name = op.name.rstrip("12")
    part, _, step = name.partition(".")
    return _NAMES.get(name) or (f"{part}: {_NAMES[step]}" if step in _NAMES else name)


def _detail(flow: Dataflow, op: Op, kernel: tuple[str, ...]) -> Text:
    read, written = crossing(flow, kernel)
    if len(kernel) == 1:
        return Text(
            zh=f"自成一个 kernel：读 {read:,} B，写 {written:,} B",
            en=f"a kernel of its own: reads {read:,} B, writes {written:,} B",
        )
    return Text(
        zh=f"与另外 {len(kernel) - 1} 个算子同一个 kernel：合计读 {read:,} B，写 {written:,} B",
        en=f"one kernel with {len(kernel) - 1} others: together they read {read:,} B and write {written:,} B",
    )


def box_name(group: tuple[str, ...]) -> Text:
    """What a kernel of several operators is called."""
    first = group[0]
    name = _BOXES.get(first) or same(first)
    if "abs1" in group or "abs2" in group:
        return Text(zh="残差·归一·量化", en="add, norm, quantise")
    if f"{first}.columns" in group:
        return Text(zh=f"{name.zh} × 缩放", en=f"{name.en} × scales")
    return name
