"""The lab of automatic fusion with Inductor, asked in a child process: its graph, reasons, code and times."""

from __future__ import annotations

import importlib.util
import shutil
import time
from typing import TYPE_CHECKING

from labs.fusion import fx_views
from labs.fusion.pattern_language import LanguageError, parse_chain
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
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
from labs.timing_results import noise_warning, time_metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from torch import Tensor

    from labs.context import Context
    from labs.fusion.inductor_child import Compiled, Decision, Operation
    from labs.fusion.pattern_language import Chain
    from labs.results import Result

TOLERANCE: Final = 1e-5  # relative, by norms
_MEASURED: Final = Provenance.MEASURED
_OWN_WORD: Final = Text(
    zh="Inductor 自己的记录（调度器的节点与 fusion 日志）",
    en="Inductor's own record (its scheduler's nodes, its log of fusion)",
)
_NO_COMPILER: Final = Text(
    zh="没有 g++：Inductor 在 CPU 上生成的 C++ 无法编译。装上 g++ 再运行；“自己的模式”不受影响，只是不计时。",
    en="There is no g++ to compile the C++ that Inductor generates for a CPU. Install it and run again; my "
    "patterns work without it, untimed.",
)
_NO_JAX: Final = Text(
    zh="XLA 是可选项：装了 JAX 才能看它融合前后的 HLO（XLA 的计算图），这里没有装。",
    en="XLA is an optional extra: its HLO (XLA's graph) before and after fusing takes JAX, which is not "
    "installed here.",
)
_NOTHING: Final = Text(zh="没有可以商量的一对", en="no pair to decide on")
_JAX: Final = Text(
    zh="JAX 已安装，但这个版本还不展示它的 HLO。",
    en="JAX is installed; this version does not show its HLO yet.",
)


def run_inductor(ctx: Context, chain: str, edits: str, tokens: int) -> Iterator[Result]:
    """The graph at once; then compile, and show what Inductor did."""
    try:
        wanted = parse_chain(chain)
    except LanguageError as error:
        yield fx_views.broken("chain", chain, error, edits)
        raise
    if reason := _missing():
        yield fx_views.unavailable("missing", Text(zh="Inductor 不可用", en="No Inductor here"), reason)
        yield _xla()
        return
    from labs.fusion.fx_subjects import tensors

    available = ctx.memo(("fusion tensors", tokens), lambda: tensors(ctx, tokens))
    yield _before(wanted, available)
    if ctx.preview:
        return
    ctx.progress(None, Text(zh="启动编译进程", en="Starting the compiling process"))
    found = _ask(ctx, chain, {name: available[name] for name in wanted.inputs})
    yield _loops(found)
    yield _graph(found)
    yield _decisions(found)
    yield _code(chain, edits, found)
    if found.error <= TOLERANCE:
        yield time_metric(found.eager, id="eager", title=Text(zh="逐个算子", en="Eager"))
        yield time_metric(
            found.compiled,
            id="compiled",
            title=Text(zh="Inductor 编译后", en="By Inductor"),
            help=Text(
                zh="含 Dynamo 每次调用前的检查（guard：输入的形状、类型没变）。",
                en="With Dynamo's guards: each call first checks that shapes and types have not changed.",
            ),
        )
    yield _why(found)
    yield _xla()


def _missing() -> Text | None:
    if not HAS_TRITON:  # the child process has it
        return NO_TRITON
    return None if shutil.which("g++") else _NO_COMPILER


def _xla() -> Markdown:
    note = _JAX if importlib.util.find_spec("jax") else _NO_JAX
    return Markdown(id="xla", title=same("XLA"), provenance=_MEASURED, body=note)


def _before(chain: Chain, available: dict[str, Tensor]) -> Graph:
    from labs.fusion.fx_chain import graph_module, record_shapes

    module = graph_module(chain)
    record_shapes(module, available)
    return fx_views.graph(module.graph, "before", Text(zh="编译前（FX）", en="Before (FX)"), [])


def _ask(ctx: Context, chain: str, inputs: dict[str, Tensor]) -> Compiled:
    from labs.fusion.inductor_child import compiled_by_inductor

    needed = {name: tensor.numpy() for name, tensor in inputs.items()}
    start = time.monotonic()

    def check() -> None:
        seconds = time.monotonic() - start
        zh, en = f"Inductor 编译中，{seconds:.0f} s", f"Inductor compiles, {seconds:.0f} s"
        ctx.progress(None, Text(zh=zh, en=en))

    process = kernel_process(ctx, "compile")
    return process.ask(compiled_by_inductor, check, chain=chain, tensors=needed)


def _loops(found: Compiled) -> Metric:
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


def _graph(found: Compiled) -> Graph:
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


def _decisions(found: Compiled) -> Table:
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


def _code(chain: str, edits: str, found: Compiled) -> Code:
    return Code(
        id="code",
        title=Text(zh="链与 Inductor 生成的代码", en="The chain, and the code that Inductor generates"),
        provenance=_MEASURED,
        wide=True,
        panes=[
            CodePane(name=Text(zh="链", en="chain"), language="python", text=chain, edits=edits),
            CodePane(
                name=Text(zh="生成的 C++", en="generated C++"),
                language="cpp",
                text=_kernels(found.code) or "// -\n",
            ),
            CodePane(
                name=Text(zh="生成的 Python", en="generated Python"), language="python", text=found.code
            ),
        ],
    )


def _kernels(code: str) -> str:
    """The C++ within the generated module: between the raw strings' quotes."""
    return "\n".join(
        code.split("r'''")[n].split("'''")[0].strip() + "\n" for n in range(1, code.count("r'''") + 1)
    )


def _why(found: Compiled) -> Markdown:
    library = sum(loop.extern for loop in found.after)
    fused = [one for one in found.decisions if one.fused]
    refused = [one for one in found.decisions if not one.fused]
    operators = sum(one.target not in ("placeholder", "output") for one in found.operations)
    functions = _kernels(found.code).count('extern "C"')
    zh = [
        f"- {operators} 个 ATen 算子先在降级（lowering）时内联成 **{len(found.before)}** 个调度节点，"
        f"再两两融合成 **{len(found.after)}** 个（其中 {library} 个是库里的矩阵乘），"
        f"写进 {functions} 个 C++ 函数。",
        f"- 日志里 {len(fused)} 对融合、{len(refused)} 对拒绝。"
        "便宜的值宁可重算也不存：同一个算子可以在几个循环里。",
        f"- 编译 {found.seconds:.1f} s，与逐个算子相差 {found.error:.1e}（超过 {TOLERANCE:g} 不给速度）。",
    ]
    en = [
        f"- {operators} operators of ATen become **{len(found.before)}** nodes by inlining when lowered; "
        f"fused in pairs, **{len(found.after)}** are left ({library} of them products of a library). C++ "
        f"functions: {functions}.",
        f"- The log has {len(fused)} pairs fused and {len(refused)} refused. What is cheap is computed again "
        "rather than stored: one operator may be in several loops.",
        f"- Compiled in {found.seconds:.1f} s; {found.error:.1e} off eager (beyond {TOLERANCE:g} no "
        "speed is shown).",
    ]
    if library:
        zh.append("- 矩阵乘是库调用：它不是循环，Inductor 不把逐元素算子并进去（CPU 默认设置）。")
        en.append(
            "- A matrix product is a call of a library, no loop: by default on a CPU Inductor merges no "
            "elementwise operator into it."
        )
    eager, fast = found.eager.median_s * 1e6, found.compiled.median_s * 1e6
    if found.error <= TOLERANCE:
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
