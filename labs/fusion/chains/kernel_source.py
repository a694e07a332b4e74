"""Triton kernels written for a chain that is cut into groups of steps: what a fusing compiler does, in short.

A kernel has one row a program. It loads what its steps read and do not make, keeps the rest in registers, and
stores only what a later kernel or the caller needs: that is all there is to fusing. Chains that begin with a
product have tiles instead (``product_source``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.fusion.chains.elementwise_chains import Kernel, crossing_names
from labs.fusion.chains.product_chain import ProductChain
from labs.fusion.chains.product_source import product_kernel

if TYPE_CHECKING:
    from labs.fusion.chains.elementwise_chains import Chain, Step

_HEAD = """import triton
import triton.language as tl
"""
_PLACES = {"matrix": "at", "row": "row", "column": "column"}


def kernels(chain: Chain, groups: list[list[int]]) -> list[Kernel]:
    """One a group; names are those of what the steps make."""
    if isinstance(chain, ProductChain):
        return [product_kernel(chain, group) for group in groups]
    return [_kernel(chain, group) for group in groups]


def text(parts: list[Kernel]) -> str:
    """All kernels as one file."""
    return "\n\n".join([_HEAD, *(part.source for part in parts)])


def _kernel(chain: Chain, group: list[int]) -> Kernel:
    steps = [chain.steps[place] for place in group]
    loads, stores = crossing_names(chain, group)
    name = "_".join([*(step.writes for step in steps), "kernel"])
    body = [*_places(), *(_load(chain, one) for one in loads)]
    for step in steps:
        body.append(f"{step.writes} = {step.line}")
        body += [_store(chain, step)] if step.writes in stores else []
    pointers = [f"{one}_ptr" for one in (*loads, *stores)]
    head = f"@triton.jit\ndef {name}({', '.join(pointers)}, columns, WIDTH: tl.constexpr):"
    return Kernel(name, loads, stores, "\n    ".join([head, *body]) + "\n")


def _places() -> list[str]:
    return [
        "row = tl.program_id(0).to(tl.int64)",
        "column = tl.arange(0, WIDTH)",
        "inside = column < columns",
        "at = row * columns + column",
    ]


def _load(chain: Chain, name: str) -> str:
    shape = chain.shapes[name]
    if shape == "row":
        return f"{name} = tl.load({name}_ptr + row)"
    return f"{name} = tl.load({name}_ptr + {_PLACES[shape]}, mask=inside, other=0.0).to(tl.float32)"


def _store(chain: Chain, step: Step) -> str:
    name, shape = step.writes, chain.shapes[step.writes]
    if shape == "row":
        return f"tl.store({name}_ptr + row, {name})"
    return f"tl.store({name}_ptr + at, {name}.to({name}_ptr.dtype.element_ty), mask=inside)"
