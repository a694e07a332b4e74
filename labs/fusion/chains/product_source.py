"""Triton kernels for a product's chain that is cut into groups of steps: the epilogue is what the cut leaves.

A program has one head for a tile of rows, its two halves as two accumulators, so that a pair to be turned
lies in one thread. It multiplies, or loads what an earlier kernel wrote; turns; and stores by row or by head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs.fusion.chains.elementwise_chains import Kernel, crossing_names
from labs.fusion.chains.product_chain import Heads

if TYPE_CHECKING:
    from torch import Tensor

    from labs.fusion.chains.product_chain import ProductChain

PRODUCT, TURN, PLACE = range(3)  # places of the steps
_FEW, _MANY, _DEPTH = 16, 64, 32  # rows of a tile for a decode and else; of the depth at once

_HEAD = """    token, head = tl.program_id(0) * TILE_M + tl.arange(0, TILE_M), tl.program_id(1)
    pair = tl.arange(0, HALF)
    there = (token < rows)[:, None]
"""
_MULTIPLY = """    step = tl.arange(0, TILE_K)
    first = tl.zeros((TILE_M, HALF), tl.float32)
    second = tl.zeros((TILE_M, HALF), tl.float32)
    for begin in range(0, columns, TILE_K):
        k = begin + step
        held = (k < columns)[:, None]
        inside = there & (k < columns)[None, :]
        x = tl.load(x_ptr + token[:, None] * columns + k[None, :], mask=inside, other=0.0)
        at = weight_ptr + (k[:, None] * HEADS + head) * 2 * HALF + pair[None, :]
        first = tl.dot(x, tl.load(at, mask=held, other=0.0), first, input_precision="ieee")
        second = tl.dot(x, tl.load(at + HALF, mask=held, other=0.0), second, input_precision="ieee")
"""
_TURN = """c = tl.load(cosine_ptr + token[:, None] * HALF + pair[None, :], mask=there, other=0.0)
s = tl.load(sine_ptr + token[:, None] * HALF + pair[None, :], mask=there, other=0.0)
turned = second * c + first * s
first = first * c - second * s
second = turned
"""
_BY_HEAD = """    place = heads_ptr + (head * rows + token[:, None]) * 2 * HALF + pair[None, :]
"""
_STORE = """    kind = {ptr}.dtype.element_ty
    tl.store(place, first.to(kind), mask=there)
    tl.store(place + HALF, second.to(kind), mask=there)
"""


def product_kernel(chain: ProductChain, group: list[int]) -> Kernel:
    """The kernel of neighbouring steps."""
    loads, stores = crossing_names(chain, group)
    name = "_".join([*(chain.steps[place].writes for place in group), "kernel"])
    pointers = ", ".join(f"{one}_ptr" for one in (*loads, *stores))
    constants = ", ".join(f"{one}: tl.constexpr" for one in ("TURNED", "HEADS", "HALF", "TILE_M", "TILE_K"))
    head = f"@triton.jit\ndef {name}(\n    {pointers}, rows, columns,\n    {constants},\n):\n"
    return Kernel(name, loads, stores, head + _HEAD + _made(loads) + _turned(group) + _stored(group, stores))


def _made(loads: tuple[str, ...]) -> str:
    """The two halves: multiplied, or loaded from where an earlier kernel put them."""
    if "x" in loads:
        return _MULTIPLY
    source = "qk" if "qk" in loads else "turned"
    body = _by_row("at", source, "v" in loads)
    for half, at in (("first", "at"), ("second", "at + HALF")):
        body += f"    {half} = tl.load({at}, mask=there, other=0.0).to(tl.float32)\n"
    return body


def _by_row(name: str, turned: str, with_v: bool) -> str:
    body = f"    {name} = {turned}_ptr + (token[:, None] * TURNED + head) * 2 * HALF + pair[None, :]\n"
    if not with_v:
        return body
    v = "v_ptr + (token[:, None] * (HEADS - TURNED) + head - TURNED) * 2 * HALF + pair[None, :]"
    return f"{body}    if head >= TURNED:\n        {name} = {v}\n"


def _turned(group: list[int]) -> str:
    """V's heads are not turned; where they have programs, these skip it."""
    if TURN not in group:
        return ""
    alone = group == [TURN]
    lines = [("    " if alone else "        ") + line for line in _TURN.splitlines()]
    return "\n".join([*([] if alone else ["    if head < TURNED:"]), *lines]) + "\n"


def _stored(group: list[int], stores: tuple[str, ...]) -> str:
    if PLACE in group:
        return _BY_HEAD + _STORE.format(ptr="heads_ptr")
    turned = next(name for name in stores if name != "v")
    return _by_row("place", turned, "v" in stores) + _STORE.format(ptr=f"{turned}_ptr")


def launch_product(
    kernel: Any, part: Kernel, tensors: list[Tensor], rows: int, columns: int, **options: int
) -> None:
    import triton

    heads, tile = Heads.of(columns), _FEW if rows <= _FEW else _MANY
    only_turned = "cosine" in part.loads and "x" not in part.loads and "heads" not in part.stores
    kernel[triton.cdiv(rows, tile), heads.turned if only_turned else heads.all](
        *(*tensors, rows, columns),
        TURNED=heads.turned,
        HEADS=heads.all,
        HALF=heads.size // 2,
        TILE_M=tile,
        TILE_K=_DEPTH,
        **options,
    )
