"""A matched pattern as a Triton kernel, and its loads and stores counted in the interpreter.

The same loops as in C++, for a GPU: a program has some rows, the whole width of them in registers. Nothing is
computed twice, and nothing but the outputs is written. What the interpreter counts is what the formula for
bytes is held against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from labs.fusion.compilers.pattern_language import REDUCTIONS, Chain, Step
from labs.fusion.compilers.pattern_loops import Extent, Kind, Loops
from labs.inspection.text_module import text_module

if TYPE_CHECKING:
    from typing import Final

_HEAD: Final = """import triton
import triton.language as tl


"""
HEIGHT: Final = 16  # rows a program: the interpreter pays by the program
_EXPRESSIONS: Final = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "exp": "tl.exp({0})",
    "tanh": "1.0 - 2.0 / (tl.exp(2.0 * {0}) + 1.0)",
    "sigmoid": "tl.sigmoid({0})",
    "silu": "{0} * tl.sigmoid({0})",
    "relu": "tl.maximum({0}, 0.0)",
    "sqrt": "tl.sqrt({0})",
    "rsqrt": "1.0 / tl.sqrt({0})",
    "square": "{0} * {0}",
}
_PLACES: Final = {"matrix": "at", "row": "row", "column": "column"}
_MASKS: Final = {"matrix": "inside", "row": "row < rows", "column": "column < columns"}


class Question(msgspec.Struct, frozen=True):
    """Loops as they travel to the interpreter. ``steps``: name, operator, operands."""

    name: str
    steps: list[tuple[str, str, list[str | float]]]
    inputs: list[str]
    kinds: dict[str, Kind]
    outputs: list[str]
    rows: int
    columns: int


class Count(msgspec.Struct, frozen=True):
    """Distinct bytes that a kernel read and wrote, all bytes of its loads, and how far its outputs are from
    torch, relative, by norms."""

    name: str
    read: int
    written: int
    loaded: int
    error: float

    @property
    def bytes(self) -> int:
        return self.read + self.written


def question(name: str, laid: Loops) -> Question:
    steps = [(step.name, step.operator, list(step.operands)) for step in laid.chain.steps]
    return Question(name, steps, list(laid.chain.inputs), laid.kinds, list(laid.outputs), *laid.size)


def alone(laid: Loops) -> list[Question]:
    """Every step as a kernel of its own, which writes what it makes."""
    asked = []
    for step in laid.chain.steps:
        reads = tuple(dict.fromkeys(one for one in step.operands if isinstance(one, str)))
        chain = Chain((step,), reads, (step.name,))
        asked.append(question(step.name, laid._replace(chain=chain, outputs=(step.name,))))
    return asked


def source(name: str, laid: Loops) -> str:
    """The kernel's text as one file."""
    return f"{_HEAD}{_function(name, laid)}"


def _function(name: str, laid: Loops) -> str:
    """Pointers are inputs, then outputs; a step's name is its variable."""
    kinds, steps = laid.kinds, laid.chain.steps
    body = [
        "row = (tl.program_id(0) * HEIGHT + tl.arange(0, HEIGHT))[:, None]",
        "column = tl.arange(0, WIDTH)[None, :]",
        "inside = (row < rows) & (column < columns)",
        "at = row.to(tl.int64) * columns + column",
    ]
    for one in laid.chain.inputs:
        place, mask = _PLACES[kinds[one]], _MASKS[kinds[one]]
        body.append(f"{one}_ = tl.load({one}_ptr + {place}, mask={mask}, other=0.0)")
    body += [f"{step.name}_ = {_value(step, kinds)}" for step in steps]
    for one in laid.outputs:
        place, mask = _PLACES[kinds[one]], _MASKS[kinds[one]]
        body.append(f"tl.store({one}_out + {place}, {one}_, mask={mask})")
    pointers = [*(f"{one}_ptr" for one in laid.chain.inputs), *(f"{one}_out" for one in laid.outputs)]
    parameters = f"{', '.join(pointers)}, rows, columns, HEIGHT: tl.constexpr, WIDTH: tl.constexpr"
    return "\n    ".join([f"@triton.jit\ndef {name}_kernel({parameters}):", *body]) + "\n"


def _value(step: Step, kinds: dict[str, Kind]) -> str:
    operands = [f"{one}_" if isinstance(one, str) else f"({one!r})" for one in step.operands]
    if step.operator not in REDUCTIONS:
        return _EXPRESSIONS[step.operator].format(*operands)
    whole = step.operands[0]
    if not isinstance(whole, str) or kinds[whole] == "row":
        return operands[0]
    total = f"tl.sum(tl.where(inside, {operands[0]}, 0.0), axis=1, keep_dims=True)"
    return f"{total} / columns" if step.operator == "mean" else total


def count(asked: list[Question]) -> list[Count]:
    """Each kernel run by itself on normally distributed inputs; outputs are NaN where it does not write."""
    return [_counted(msgspec.convert(one, Question)) for one in asked]  # maps, as they come over the wire


def _counted(asked: Question) -> Count:
    import torch

    from labs.fusion.compilers.fx_chain import graph_module
    from labs.inspection.interpreted import Recorder
    from labs.relative_error import relative_error

    laid = _laid(asked)
    make = torch.Generator().manual_seed(0)
    given = [torch.randn(laid.shape(name), generator=make) for name in laid.chain.inputs]
    made = [torch.full(laid.shape(name), torch.nan) for name in laid.outputs]
    recorder = Recorder()
    with text_module(source(asked.name, laid), "pattern.py") as written, recorder.entered():
        _launch(getattr(written, f"{asked.name}_kernel"), [*given, *made], laid.size)
    expected = graph_module(laid.chain._replace(outputs=laid.outputs))(*given)
    tensors = recorder.recording().tensors
    return Count(
        asked.name,
        sum(one.distinct_loaded_bytes for one in tensors),
        sum(one.distinct_stored_bytes for one in tensors),
        sum(one.loaded_bytes for one in tensors),
        relative_error(made, expected),
    )


def _laid(asked: Question) -> Loops:
    steps = tuple(Step(name, operator, tuple(operands)) for name, operator, operands in asked.steps)
    chain = Chain(steps, tuple(asked.inputs), tuple(asked.outputs))
    return Loops(chain, asked.kinds, tuple(asked.outputs), Extent(asked.rows, asked.columns))


def _launch(kernel: Any, tensors: list[Any], size: Extent) -> None:
    import triton

    programs = -(-size.rows // HEIGHT)
    kernel[(programs,)](*tensors, *size, HEIGHT=HEIGHT, WIDTH=triton.next_power_of_2(size.columns))
