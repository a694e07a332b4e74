"""The lab of automatic fusion with XLA, asked through JAX in a child process. JAX is an optional extra."""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING

from labs.fusion.compilers import fx_views, xla_views
from labs.fusion.compilers.hlo_text import parse
from labs.fusion.compilers.xla_graph import hlo_graph
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.text import Text, same
from labs.timing_results import time_metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from torch import Tensor

    from labs.context import Context
    from labs.fusion.compilers.pattern_language import Chain
    from labs.fusion.compilers.xla_child import XlaCompiled
    from labs.measure import Timing
    from labs.results import Metric, Result

TOLERANCE: Final = 1e-5  # relative, by norms
COMMAND: Final = ".venv/bin/python -m pip install -c resources/setup/constraints.txt -e '.[xla]'"
_NO_JAX: Final = Text(
    zh=f"XLA 要通过 JAX 来用，它是可选项，这里没有装。在 InferLab 的文件夹里运行：\n\n    {COMMAND}\n\n"
    "装好后再运行一次即可，不必重启。",
    en="XLA is reached through JAX, an optional extra that is not installed here. In InferLab's folder, run:"
    f"\n\n    {COMMAND}\n\nThen run this again; nothing needs to be restarted.",
)


def run_xla(ctx: Context, chain: str, edits: str, tokens: int) -> Iterator[Result]:
    """The chain at once; then what XLA made of it, and at last Inductor's time beside its own."""
    wanted = yield from fx_views.read_chain(chain, edits)
    if reason := missing():
        yield fx_views.unavailable("missing", Text(zh="XLA 不可用", en="No XLA here"), reason)
        return
    from labs.fusion.compilers.fx_subjects import tensors

    yield xla_views.texts(chain, edits)
    if ctx.preview:
        return
    kernel_process(ctx, "compile").start()
    available = tensors(ctx, tokens)
    found = _ask(ctx, chain, wanted, available)
    yield from results(chain, edits, found, len(wanted.steps))
    inductor = None
    if found.error <= TOLERANCE:
        inductor = _inductor(ctx, chain, {name: available[name] for name in wanted.inputs})
        if inductor:
            yield time_metric(inductor, id="inductor", title=same("Inductor"))
    yield xla_views.why(found, len(wanted.steps), inductor, TOLERANCE)


def missing() -> Text | None:
    """Why XLA cannot be asked; None where it can."""
    importlib.invalidate_caches()  # it may have been installed while we ran
    if importlib.util.find_spec("jax") is None:
        return _NO_JAX
    return None if HAS_TRITON else NO_TRITON  # the child process has it


def _ask(ctx: Context, chain: str, wanted: Chain, available: dict[str, Tensor]) -> XlaCompiled:
    from labs.fusion.compilers.fx_subjects import known
    from labs.fusion.compilers.xla_child import compiled_by_xla

    needed = {name: known(available, name).numpy() for name in wanted.inputs}
    start = time.monotonic()

    def check() -> None:
        seconds = time.monotonic() - start
        ctx.progress(
            None,
            Text(zh=f"XLA 编译、计时，{seconds:.0f} s", en=f"XLA compiles and is timed, {seconds:.0f} s"),
        )

    return kernel_process(ctx, "compile").ask(compiled_by_xla, check, chain=chain, tensors=needed)


def results(chain: str, edits: str, found: XlaCompiled, operators: int) -> Iterator[Result]:
    """All but what Inductor adds; ``operators`` of the chain. What is wrong has no speed."""
    yield xla_views.kernels(found, operators)
    if found.error <= TOLERANCE:
        yield from _times(found)
    yield xla_views.texts(chain, edits, found)
    title = Text(zh="优化前的 HLO", en="HLO before optimising")
    yield hlo_graph(parse(found.before), "before", title)
    title = Text(zh="优化后：一个框是一个融合", en="After: a box is a fusion")
    yield hlo_graph(parse(found.after), "after", title)
    yield xla_views.account(found)
    yield xla_views.decisions(found)
    yield xla_views.passes(found)


def _times(found: XlaCompiled) -> Iterator[Metric]:
    apart = Text(
        zh="每个算子由 XLA 单独编译成一个 kernel，依次调用：不融合。",
        en="Each operator compiled by XLA alone, called one after the other: nothing fused.",
    )
    title = Text(zh="JAX 逐个算子", en="JAX, unfused")
    yield time_metric(found.apart, id="apart", title=title, help=apart)
    yield time_metric(found.compiled, id="compiled", title=Text(zh="XLA 融合后", en="Fused by XLA"))
    title = Text(zh="torch 逐个算子", en="torch, unfused")
    yield time_metric(found.eager, id="eager", title=title)


def _inductor(ctx: Context, chain: str, inputs: dict[str, Tensor]) -> Timing | None:
    """Its time on the same chain, where it is right and can be had."""
    from labs.fusion.compilers import inductor_run

    if inductor_run.missing():
        return None
    found = inductor_run.ask(ctx, chain, inputs)
    return found.compiled if found.error <= inductor_run.TOLERANCE else None
