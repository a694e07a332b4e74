"""What Inductor made of a chain, as results: graph, account, decisions, code, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.fusion.compilers import fx_views
from labs.results import (
    Code,
    CodePane,
    Column,
    Graph,
    GraphEdge,
    GraphNode,
    Markdown,
    Metric,
    Provenance,
    Table,
)
from labs.text import Text, same
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from typing import Final

    from labs.fusion.compilers.inductor_child import Compiled, Decision, Operation

_MEASURED: Final = Provenance.MEASURED
_OWN_WORD: Final = Text(
    zh="Inductor 自己的记录（调度器的节点与 fusion 日志）",
    en="Inductor's own record (its scheduler's nodes, its log of fusion)",
)
_NOTHING: Final = Text(zh="没有可以商量的一对", en="no pair to decide on")


def loops(found: Compiled) -> Metric:
    return Metric(
        id="loops",
        title=Text(zh="融合后的循环与库调用", en="Loop nests and library calls, fused"),
        provenance=_MEASURED,
        value=float(len(found.after)),
        better="lower",
        source=Text(
            zh=f"Inductor 调度器的节点：融合前 {len(found.before)} 个，融合后 {len(found.after)} 个",
            en=f"nodes of Inductor's scheduler: {len(found.before)} before fusing, {len(found.after)} after",
        ),
    )


def moved(found: Compiled) -> Metric:
    """Inductor's own count of bytes; its count before fusing stands in the source."""
    return Metric(
        id="moved",
        title=Text(zh="融合后读写，Inductor 的账", en="Bytes moved, by Inductor"),
        provenance=Provenance.ESTIMATED,
        unit="B",
        value=float(found.bytes),
        better="lower",
        source=Text(
            zh=f"torch._inductor.metrics.num_bytes_accessed：调度节点读写的缓冲区之和；"
            f"融合前的节点合计 {found.bytes_before:,} B",
            en="torch._inductor.metrics.num_bytes_accessed: buffers that the scheduler's nodes read and "
            "write; "
            f"of the nodes before fusing: {found.bytes_before:,} B",
        ),
    )


def graph(found: Compiled) -> Graph:
    """ATen's operators; a box is one node of the scheduler after fusing."""
    place = {one.name: index for index, one in enumerate(found.operations)}
    box: dict[str, int] = {}
    for index, loop in enumerate(found.after):
        for name in loop.origins:
            box.setdefault(name, index)
    return Graph(
        id="graph",
        title=Text(zh="Inductor 的图：一个框是一个循环", en="Inductor's graph: a box is one loop nest"),
        provenance=_MEASURED,
        unit="B",
        source=_OWN_WORD,
        nodes=[
            GraphNode(
                name=same(_shown(one)),
                category=_category(one),
                group=box.get(one.name, -1),
                detail=same(f"{one.target} {one.shape}"),
                value=float(one.bytes) if one.bytes else None,
            )
            for one in found.operations
        ],
        edges=[
            GraphEdge(source=place[read], target=place[one.name])
            for one in found.operations
            for read in one.reads
        ],
        categories=fx_views.KINDS,
        groups=[same(loop.name) for loop in found.after],
        value_name=Text(zh="结果的大小", en="size of its result"),
    )


def _shown(operation: Operation) -> str:
    return operation.name if operation.target in ("placeholder", "output") else operation.target.split(".")[1]


def _category(operation: Operation) -> int:
    if operation.target in ("placeholder", "output"):
        return 0 if operation.target == "placeholder" else 5
    name = operation.target.split(".")[1]
    return 1 if name in ("mm", "addmm", "bmm") else 2 if name in ("mean", "sum", "amax") else 3


def decisions(found: Compiled) -> Table:
    origins = {loop.name: loop.origins for loop in [*found.before, *found.after]}
    return Table(
        id="decisions",
        title=Text(zh="它的决定与理由", en="Its decisions and reasons"),
        provenance=_MEASURED,
        source=_OWN_WORD,
        wide=True,
        columns=[
            Column(title=Text(zh="结论", en="Verdict")),
            Column(title=Text(zh="理由（日志原文）", en="Reason (as logged)")),
            Column(title=Text(zh="一个", en="One")),
            Column(title=Text(zh="另一个", en="Another")),
        ],
        rows=[_row(one, origins) for one in found.decisions] or [[_NOTHING, None, None, None]],
    )


def _row(decision: Decision, origins: dict[str, list[str]]) -> list[Text | float | int | None]:
    def shown(name: str) -> Text:
        listed = ", ".join(origins.get(name, []))
        return same(f"{name}: {listed}" if listed else name)

    verdict = Text(zh="融合", en="fused") if decision.fused else Text(zh="不融合", en="not fused")
    reason = same(decision.reason) if decision.reason else None
    return [verdict, reason, shown(decision.first), shown(decision.second)]


def code(chain: str, edits: str, found: Compiled | None = None) -> Code:
    """The chain, and what was generated from it, where that is known."""
    pane = CodePane(name=Text(zh="链", en="chain"), language="python", text=chain, edits=edits)
    return Code(
        id="code",
        title=Text(zh="链与 Inductor 生成的代码", en="The chain, and the code that Inductor generates"),
        provenance=_MEASURED,
        wide=True,
        panes=[pane, *(_generated(found.code) if found else [])],
    )


def _generated(code: str) -> list[CodePane]:
    name, cpp = Text(zh="生成的 C++", en="generated C++"), _kernels(code) or "// -\n"
    whole = Text(zh="生成的 Python", en="generated Python")
    return [
        CodePane(name=name, language="cpp", text=cpp),
        CodePane(name=whole, language="python", text=code),
    ]


def _kernels(code: str) -> str:
    """The C++ within the generated module: between the raw strings' quotes."""
    return "\n".join(
        code.split("r'''")[n].split("'''")[0].strip() + "\n" for n in range(1, code.count("r'''") + 1)
    )


def why(found: Compiled, tolerance: float) -> Markdown:
    library = sum(loop.extern for loop in found.after)
    fused = [one for one in found.decisions if one.fused]
    refused = [one for one in found.decisions if not one.fused]
    operators = sum(one.target not in ("placeholder", "output") for one in found.operations)
    functions = _kernels(found.code).count('extern "C"')
    zh = [
        f"- {operators} 个 ATen 算子先在降级（lowering）时内联成 **{len(found.before)}** 个调度节点，"
        f"再两两融合成 **{len(found.after)}** 个（其中 {library} 个是库里的矩阵乘），"
        f"写成 {functions} 个 C++ 函数（torch._inductor.metrics.generated_kernel_count 是 {found.kernels}："
        "它数代码生成打开过的每个循环体，标量与向量的各算一次）。",
        f"- 按 Inductor 自己的账，融合使读写从 {found.bytes_before / 2**20:.4g} 降到 "
        f"{found.bytes / 2**20:.4g} MiB（内联已经省下的不在其中）。",
        f"- 日志里 {len(fused)} 对融合、{len(refused)} 对拒绝。"
        "便宜的值宁可重算也不存：同一个算子可以在几个循环里。",
        f"- 编译 {found.seconds:.1f} s（g++ 编译过的代码会留着，再来一次就快）；与逐个算子相差 "
        f"{found.error:.1e}（超过 {tolerance:g} 不给速度）。",
    ]
    en = [
        f"- {operators} operators of ATen become **{len(found.before)}** nodes by inlining when lowered; "
        f"fused in pairs, **{len(found.after)}** are left ({library} of them products of a library). C++ "
        f"functions: {functions} (torch._inductor.metrics.generated_kernel_count is {found.kernels}: it "
        "counts "
        "every loop body that code generation opened, scalar and vector ones alike).",
        f"- By Inductor's own account fusing lowers what is moved from {found.bytes_before / 2**20:.4g} to "
        f"{found.bytes / 2**20:.4g} MiB (what inlining had spared before is not in it).",
        f"- The log has {len(fused)} pairs fused and {len(refused)} refused. What is cheap is computed again "
        "rather than stored: one operator may be in several loops.",
        f"- Compiled in {found.seconds:.1f} s (what g++ has compiled is kept, so again is faster); "
        f"{found.error:.1e} off eager (beyond {tolerance:g} no speed is shown).",
    ]
    if library:
        zh.append("- 矩阵乘是库调用：它不是循环，Inductor 不把逐元素算子并进去（CPU 默认设置）。")
        en.append(
            "- A matrix product is a call of a library, no loop: by default on a CPU Inductor merges no "
            "elementwise operator into it."
        )
    eager, fast = found.eager.median_s * 1e6, found.compiled.median_s * 1e6
    if found.error <= tolerance:
        zh.append(f"- 逐个算子 {eager:.4g} µs，编译后 {fast:.4g} µs，都是单线程。")
        en.append(f"- Eager {eager:.4g} µs, compiled {fast:.4g} µs, one thread each.")
        if fast >= eager:
            zh.append("- 这里没有变快：每次调用还要付 guard 检查和 Python 包装；换更多 token 再比。")
            en.append("- Not faster here: each call also pays for guards and a Python wrapper.")
    if warning := noise_warning([found.eager, found.compiled]):
        zh.append(f"- {warning.zh}")
        en.append(f"- {warning.en}")
    body = Text(zh="\n".join(zh), en="\n".join(en))
    return Markdown(
        id="why",
        title=Text(zh="看到了什么，为什么", en="What you see and why"),
        provenance=_MEASURED,
        body=body,
    )
