"""The lab of automatic fusion with Dynamo alone: what it captures of a function, and where it must stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.fusion.compilers import dynamo_views, fx_views
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.spec import LabError
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.results import Result


def run_dynamo(ctx: Context, source: str, tokens: int) -> Iterator[Result]:
    """The function's text at once; then what Dynamo, in a child process, captures of it."""
    if not HAS_TRITON:  # the child process has it
        yield fx_views.unavailable("missing", Text(zh="不能运行", en="Not run"), NO_TRITON)
        return
    from labs.fusion.compilers.dynamo_child import explained
    from labs.fusion.compilers.fx_subjects import tensors

    yield dynamo_views.unread(source)
    if ctx.preview:
        return
    process = kernel_process(ctx, "compile")
    process.start()
    available = tensors(ctx, tokens)
    progress = Text(zh="Dynamo 捕获这个函数", en="Dynamo captures the function")
    given = {name: tensor.numpy() for name, tensor in available.items()}
    found = process.ask(explained, lambda: ctx.progress(None, progress), source=source, tensors=given)
    yield from dynamo_views.results(source, found)
    if found.fault is not None:
        line, told = found.fault.line, found.fault.text
        raise LabError(Text(zh=f"第 {line} 行：{told}", en=f"line {line}: {told}") if line else same(told))
