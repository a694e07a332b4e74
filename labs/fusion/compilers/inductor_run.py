"""The lab of automatic fusion with Inductor, asked in a child process: its graph, reasons, code and times."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from labs.fusion.compilers import fx_views, inductor_views
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.text import Text
from labs.timing_results import time_metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from torch import Tensor

    from labs.context import Context
    from labs.fusion.compilers.inductor_child import Compiled
    from labs.fusion.compilers.pattern_language import Chain
    from labs.results import Graph, Result

TOLERANCE: Final = 1e-5  # relative, by norms
_NO_COMPILER: Final = Text(
    zh="没有 g++：Inductor 在 CPU 上生成的 C++ 无法编译。装上 g++ 再运行；“自己的模式”不受影响，只是不计时。",
    en="There is no g++ to compile the C++ that Inductor generates for a CPU. Install it and run again; my "
    "patterns work without it, untimed.",
)


def run_inductor(ctx: Context, chain: str, edits: str, tokens: int) -> Iterator[Result]:
    """The chain and its graph at once; then compile, and show what Inductor did."""
    wanted = yield from fx_views.read_chain(chain, edits)
    if reason := missing():
        yield fx_views.unavailable("missing", Text(zh="Inductor 不可用", en="No Inductor here"), reason)
        return
    from labs.fusion.compilers.fx_subjects import tensors

    yield inductor_views.code(chain, edits)
    if not ctx.preview:
        kernel_process(ctx, "compile").start()
    available = tensors(ctx, tokens)
    yield _before(wanted, available)
    if ctx.preview:
        return
    found = ask(ctx, chain, {name: available[name] for name in wanted.inputs})
    yield inductor_views.loops(found)
    yield inductor_views.moved(found)
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
    yield inductor_views.graph(found)
    yield inductor_views.decisions(found)
    yield inductor_views.code(chain, edits, found)
    yield inductor_views.why(found, TOLERANCE)


def missing() -> Text | None:
    """Why Inductor cannot be asked; None where it can."""
    if not HAS_TRITON:  # the child process has it
        return NO_TRITON
    return None if shutil.which("g++") else _NO_COMPILER


def ask(ctx: Context, chain: str, inputs: dict[str, Tensor]) -> Compiled:
    """Some seconds; more where g++ has not yet compiled the C++ that this chain becomes."""
    from labs.fusion.compilers.inductor_child import compiled_by_inductor

    start = time.monotonic()

    def check() -> None:
        seconds = time.monotonic() - start
        zh, en = f"Inductor 编译、计时，{seconds:.0f} s", f"Inductor compiles and is timed, {seconds:.0f} s"
        ctx.progress(None, Text(zh=zh, en=en))

    needed = {name: tensor.numpy() for name, tensor in inputs.items()}
    return kernel_process(ctx, "compile").ask(compiled_by_inductor, check, chain=chain, tensors=needed)


def _before(chain: Chain, available: dict[str, Tensor]) -> Graph:
    from labs.fusion.compilers.fx_chain import graph_module, record_shapes

    module = graph_module(chain)
    record_shapes(module, available)
    return fx_views.graph(module.graph, "before", Text(zh="编译前（FX）", en="Before (FX)"), [])
