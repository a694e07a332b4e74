"""Inductor on a chain, in a child process: its graph, what it fused and why not, its code, its time.

Everything is Inductor's own word: the graph after its passes, the scheduler's nodes before and after fusing,
and the log of its decisions. Its caches of graphs are off, since what is cached is not decided again; what
g++ has compiled is kept, for the same C++ is the same library.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import torch

from labs.fusion.compilers.fx_chain import graph_module
from labs.fusion.compilers.pattern_language import parse_chain
from labs.measure import Timing, time_calls
from labs.relative_error import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    import numpy as np

_DECISION: Final = re.compile(r"^(?:fusing (\w+) with (\w+)|cannot fuse (\w+) with (\w+): (.*))")
_LOGGER: Final = "torch._inductor.scheduler.__fusion"
_BUDGET_S: Final = 0.5
BEFORE_FORKING: Final = ("torch._dynamo", "torch._inductor.compile_fx")


class Operation(msgspec.Struct, frozen=True):
    """A node of the graph that Inductor lowers, in ATen's operators."""

    name: str
    target: str
    reads: list[str]
    shape: list[int]
    bytes: int


class Loop(msgspec.Struct, frozen=True):
    """A node of Inductor's scheduler: a loop nest, or a call of a library (``extern``). ``origins`` are the
    operations that it computes; one that is cheap may be computed in several."""

    name: str
    extern: bool
    origins: list[str]


class Stage(NamedTuple):
    """The scheduler's nodes at one time, and the bytes of the buffers that they read and write."""

    loops: list[Loop]
    bytes: int


class Decision(msgspec.Struct, frozen=True):
    """Two scheduler nodes fused, or not, with Inductor's ``reason``."""

    first: str
    second: str
    fused: bool
    reason: str


class Compiled(msgspec.Struct, frozen=True):
    """``seconds`` to compile and run once, ``error`` against eager, relative by norms; one thread.

    Inductor's metrics: ``kernels`` it generated, ``bytes`` that its nodes access, ``bytes_before`` fusing."""

    operations: list[Operation]
    before: list[Loop]
    after: list[Loop]
    decisions: list[Decision]
    code: str
    seconds: float
    error: float
    eager: Timing
    compiled: Timing
    kernels: int
    bytes: int
    bytes_before: int


def compiled_by_inductor(chain: str, tensors: dict[str, np.ndarray[Any, Any]]) -> Compiled:
    """Compile, run and time ``chain`` on ``tensors``. Raises what Inductor raises."""
    from torch._inductor import metrics
    from torch._inductor.utils import run_and_get_code

    module = graph_module(parse_chain(chain))
    inputs = [
        torch.from_numpy(tensors[node.name].copy()) for node in module.graph.find_nodes(op="placeholder")
    ]
    operations: list[Operation] = []
    stages: dict[str, Stage] = {}
    decisions: list[Decision] = []
    _configure(operations, stages, decisions)
    start = time.perf_counter()
    with torch.no_grad():
        function = torch.compile(module)
        got, codes = run_and_get_code(function, *inputs)
        seconds = time.perf_counter() - start
        error = relative_error(got, module(*inputs))
        eager = time_calls(lambda: module(*inputs), budget_s=_BUDGET_S)
        fast = time_calls(lambda: function(*inputs), budget_s=_BUDGET_S)
    before, after = stages["before"], stages["after"]
    code = "\n".join(codes)
    counted = metrics.generated_kernel_count, metrics.num_bytes_accessed, before.bytes
    return Compiled(
        operations, before.loops, after.loops, decisions, code, seconds, error, eager, fast, *counted
    )


def _configure(operations: list[Operation], stages: dict[str, Stage], decisions: list[Decision]) -> None:
    """Have Inductor tell what it does. This process serves one request and ends: nothing is put back."""
    import torch._functorch.config
    import torch._logging
    from torch._inductor import config

    graphs: Any = torch._functorch.config
    settings: Any = config
    settings.fx_graph_cache = settings.fx_graph_remote_cache = graphs.enable_autograd_cache = False
    settings.cpp_cache_precompile_headers = False  # pays only from the third chain on
    settings.compile_threads = 1
    settings.post_grad_custom_post_pass = lambda graph: operations.extend(_operations(graph))
    settings._pre_fusion_custom_pass = _recorder("before", stages)
    settings._post_fusion_custom_pass = _recorder("after", stages)
    logs: Any = torch._logging
    logs.set_logs(fusion=True, inductor_metrics=True)  # bytes are only counted if they are logged
    logging.getLogger(_LOGGER).addHandler(_Decisions(decisions))


def _operations(graph: Any) -> list[Operation]:
    found = []
    for node in graph.nodes:
        value = node.meta.get("val")
        tensor = isinstance(value, torch.Tensor)
        shape = [int(size) for size in value.shape] if tensor else []
        size = int(value.numel() * value.element_size()) if tensor else 0
        reads = [one.name for one in node.all_input_nodes]
        target = node.op if node.op in ("placeholder", "output") else str(node.target)
        found.append(Operation(node.name, target, reads, shape, size))
    return found


def _recorder(stage: str, stages: dict[str, Stage]) -> Callable[[list[Any]], list[Any]]:
    def record(nodes: list[Any]) -> list[Any]:
        moved = sum(int(node.get_read_write_buffers_sizes()) for node in nodes)
        stages[stage] = Stage([_loop(node) for node in nodes], moved)
        return nodes

    return record


def _loop(node: Any) -> Loop:
    parts = [part for part in node.get_nodes() if getattr(part, "node", None) is not None]
    origins = dict.fromkeys(origin.name for part in parts for origin in part.node.get_origins())
    return Loop(node.get_name(), any(part.is_extern() for part in parts), list(origins))


class _Decisions(logging.Handler):
    def __init__(self, decisions: list[Decision]) -> None:
        super().__init__()
        self._decisions = decisions

    def emit(self, record: logging.LogRecord) -> None:
        found = _DECISION.match(record.getMessage())
        if found is None:
            return
        a, b, c, d, reason = found.groups()
        decision = Decision(a or c, b or d, bool(a), reason or "")
        if decision not in self._decisions:  # it asks again in each round
            self._decisions.append(decision)
