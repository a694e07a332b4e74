"""Dynamo on a reader's function, in a child process: the graphs it captures, where they break, and why.

The text is written to a file, so that Dynamo's stacks name its lines; what it does wrong is a ``Fault``.
"""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from labs.inspection.text_module import text_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Final

    import numpy as np

BEFORE_FORKING: Final = ("torch._dynamo", "torch._dynamo.backends.debugging")  # explain's backend
FILE: Final = "function.py"
FUNCTION: Final = "forward"


class Break(msgspec.Struct, frozen=True):
    """Where a graph ends before the function does; reason, explanation and hints are Dynamo's words."""

    line: int
    reason: str
    explanation: str
    hints: tuple[str, ...]


class Operation(msgspec.Struct, frozen=True):
    """A node of a captured graph, and the line of the text that it comes from (0: none)."""

    name: str
    target: str
    reads: list[str]
    text: str
    shape: list[int]
    bytes: int
    line: int


class Fault(msgspec.Struct, frozen=True):
    """What went wrong, and at which line of the text (0: not known)."""

    text: str
    line: int


class Explained(msgspec.Struct, frozen=True):
    """``graphs``: the operations of each piece that is compiled by itself. ``guards``: what is checked before
    a compiled piece may be used again."""

    graphs: list[list[Operation]]
    breaks: list[Break]
    guards: list[str]
    fault: Fault | None = None


def explained(source: str, tensors: dict[str, np.ndarray[Any, Any]]) -> Explained:
    """``torch._dynamo.explain`` of the text's ``forward`` on the tensors that its parameters name."""
    import torch
    import torch._dynamo as dynamo

    try:
        with text_module(source, FILE) as module, torch.no_grad():
            function = _function(module)
            inputs = [_tensor(tensors, name) for name in inspect.signature(function).parameters]
            found: Any = dynamo.explain(function)(*inputs)
    except Exception as error:
        return Explained([], [], [], _fault(error))
    graphs = [[_operation(node) for node in graph.graph.nodes] for graph in found.graphs]
    breaks = dict.fromkeys(_break(one.reason, one.user_stack) for one in found.break_reasons)
    return Explained(graphs, list(breaks), _guards(found.out_guards or []))


def _function(module: ModuleType) -> Callable[..., Any]:
    if not hasattr(module, FUNCTION):
        raise NameError(f"the text defines no function `{FUNCTION}`")
    return getattr(module, FUNCTION)  # type: ignore[no-any-return]


def _tensor(tensors: dict[str, np.ndarray[Any, Any]], name: str) -> Any:
    if name not in tensors:
        raise NameError(f"there is no tensor `{name}`, only {', '.join(tensors)}")
    import torch

    return torch.from_numpy(tensors[name].copy())


def _break(reason: str, stack: list[traceback.FrameSummary]) -> Break:
    """Dynamo's text is a heading, then ``Explanation:`` and ``Hint:`` lines, then its developers' context."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    explanation = next(
        (one.removeprefix("Explanation:").strip() for one in lines if one.startswith("Exp")), ""
    )
    hints = tuple(one.removeprefix("Hint:").strip() for one in lines if one.startswith("Hint:"))
    return Break(_line(stack), lines[0] if lines else "", explanation, hints)


def _line(stack: list[traceback.FrameSummary]) -> int:
    own = [frame.lineno or 0 for frame in stack if Path(frame.filename).name == FILE]
    return own[-1] if own else 0


def _operation(node: Any) -> Operation:
    value, target = node.meta.get("example_value"), node.target
    shape = [int(one) for one in value.shape] if hasattr(value, "shape") else []
    size = value.numel() * value.element_size() if hasattr(value, "element_size") else 0
    called = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    listed = ", ".join(str(one) for one in node.args)
    text = f"return {listed}" if node.op == "output" else f"{node.name} = {called}({listed})"
    trace = str(node.meta.get("stack_trace") or "")
    places = [line for line in trace.splitlines() if FILE in line]
    line = int(places[-1].split(", line ")[1].split(",")[0]) if places else 0
    reads = [one.name for one in node.all_input_nodes]
    name = node.op if node.op in ("placeholder", "output") else called
    return Operation(node.name, name, reads, text, shape, int(size), line)


def _guards(guards: list[Any]) -> list[str]:
    codes = (line for guard in guards for line in guard.code_list or [])
    return list(dict.fromkeys(codes))


def _fault(error: BaseException) -> Fault:
    if isinstance(error, SyntaxError):
        return Fault(f"{type(error).__name__}: {error.msg}", error.lineno or 0)
    text = f"{type(error).__name__}: {error}".split("\n", 1)[0]
    return Fault(text, _line(list(traceback.extract_tb(error.__traceback__))))
