"""Chains of elementwise and row-wise steps, as an eager framework would run them: one kernel a step.

Shapes: a ``matrix`` is ``[rows, columns]``, a ``row`` one fp32 number a row ``[rows, 1]``, a ``column`` one
number a column ``[columns]``. A step says what it reads and the one tensor it makes, twice: as an expression
of Triton and as a call of torch. Steps are in the order they run, so any cut between two of them is legal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from labs.formulas.fusion import Dataflow, Op

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from labs.ops.operator import Tensors
    from labs.text import Text

Shape = Literal["matrix", "row", "column"]
ChainName = Literal["residual_norm", "gated", "softmax", "bias_gelu", "rope", "qkv_rope"]
EPSILON = 1e-5
FP32_BYTES = 4


@dataclass(frozen=True)
class Step:
    """``line`` computes ``writes`` from ``reads`` (fp32, lanes beyond ``columns`` undefined unless masked by
    ``inside``); ``eager`` does the same with torch, given ``reads`` by place."""

    title: Text
    reads: tuple[str, ...]
    writes: str
    line: str
    eager: Callable[..., Any]
    reduces: bool = False
    also: tuple[str, ...] = ()  # made besides ``writes``: then ``eager`` gives several

    @property
    def makes(self) -> tuple[str, ...]:
        return (self.writes, *self.also)


@dataclass(frozen=True)
class Chain:
    """``shapes`` of all tensors; those that no step writes are the inputs. ``fused`` is torch's own way with
    as few calls as it has, given the inputs by name: the reference, and what is timed on a CPU."""

    title: Text
    shapes: Mapping[str, Any]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    fused: Callable[..., tuple[Tensor, ...]]
    call: str  # ``fused``, as one would write it

    @property
    def inputs(self) -> tuple[str, ...]:
        made = {name for step in self.steps for name in step.makes}
        return tuple(name for name in self.shapes if name not in made)

    @property
    def in_fp32(self) -> frozenset[str]:
        """Tensors that are fp32 whatever the others are: what is kept of a row."""
        return frozenset(name for name, shape in self.shapes.items() if shape == "row")

    def size(self, name: str, rows: int, columns: int) -> tuple[int, ...]:
        """The tensor's shape."""
        shape: Shape = self.shapes[name]
        return {"matrix": (rows, columns), "row": (rows, 1), "column": (columns,)}[shape]

    def given(self, make: Tensors, rows: int, columns: int) -> dict[str, Tensor]:
        """The inputs by name."""
        return {name: make.normal(*self.size(name, rows, columns)) for name in self.inputs}

    def matrix_flops(self, kernel: list[int], rows: int, columns: int) -> int:
        """Of the products in a kernel, given by its steps' places: there are none."""
        return 0

    def eager(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Every step a call of torch, every intermediate a tensor."""
        held = dict(tensors)
        for step in self.steps:
            made = step.eager(*(held[name] for name in step.reads))
            held |= zip(step.makes, made if step.also else (made,), strict=True)
        return tuple(held[name] for name in self.outputs)

    def flow(self, rows: int, columns: int, element_bytes: int) -> Dataflow:
        """The chain for ``labs.formulas.fusion``: operators, bytes of each tensor, what must exist."""
        ops = tuple(
            Op(step.writes, "reduction" if step.reduces else "elementwise", step.reads, step.makes)
            for step in self.steps
        )
        wide = dict.fromkeys(self.in_fp32, FP32_BYTES)
        sizes = {
            name: math.prod(self.size(name, rows, columns)) * wide.get(name, element_bytes)
            for name in self.shapes
        }
        return Dataflow(ops, sizes, frozenset(self.outputs))


class Kernel(NamedTuple):
    """``loads`` and ``stores`` are tensors in the order of the kernel's pointers."""

    name: str
    loads: tuple[str, ...]
    stores: tuple[str, ...]
    source: str


def crossing_names(chain: Chain, group: list[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a kernel of these steps reads from memory and does not make, and what it makes that is needed."""
    steps = [chain.steps[place] for place in group]
    made = [name for step in steps for name in step.makes]
    loads = tuple(dict.fromkeys(name for step in steps for name in step.reads if name not in made))
    later = {name for place, s in enumerate(chain.steps) if place not in group for name in s.reads}
    return loads, tuple(name for name in made if name in later or name in chain.outputs)


def groups(steps: int, joins: tuple[bool, ...]) -> list[list[int]]:
    """Kernels as places of their steps: ``joins[i]`` puts step ``i + 1`` into the kernel of step ``i``."""
    found = [[0]]
    for place in range(1, steps):
        if joins[place - 1]:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def named(chain: Chain, kernels: list[list[int]]) -> list[list[str]]:
    """The same by the steps' names, which are those of what they make."""
    return [[chain.steps[place].writes for place in kernel] for kernel in kernels]
