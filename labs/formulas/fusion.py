"""What fusing operators saves: bytes that no longer cross the memory bus, and calls that are not made.

An operator reads and writes tensors by name. A kernel that does several of them reads what they read and do
not make themselves, and writes what somebody outside still reads; everything in between stays on the chip.
(The same count is at the heart of every fusing compiler's cost model.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Op(NamedTuple):
    """One operator of a graph; ``kind`` is free (product, reduction, elementwise)."""

    name: str
    kind: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


class Dataflow(NamedTuple):
    """Operators in the order they run, bytes of each tensor, and the tensors that must exist at the end."""

    ops: tuple[Op, ...]
    sizes: Mapping[str, int]
    outputs: frozenset[str]


def crossing(flow: Dataflow, kernel: Iterable[str]) -> tuple[int, int]:
    """Bytes read and written by one kernel that does the operators named: each tensor once."""
    inside = [op for op in flow.ops if op.name in set(kernel)]
    made = {name for op in inside for name in op.writes}
    read = {name for op in inside for name in op.reads} - made
    others = {name for op in flow.ops if op not in inside for name in op.reads}
    written = made & (others | flow.outputs)
    return sum(flow.sizes[name] for name in read), sum(flow.sizes[name] for name in written)


def kernels(flow: Dataflow, fused: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """All kernels of the graph when the groups ``fused`` are one each and every other operator its own, by
    the place of their first operator. ValueError where two groups share an operator."""
    group_of = {name: tuple(group) for group in fused for name in group}
    if len(group_of) != sum(len(group) for group in fused):
        raise ValueError("an operator is in two groups")
    return list(dict.fromkeys(group_of.get(op.name, (op.name,)) for op in flow.ops))


def moved_bytes(flow: Dataflow, fused: Sequence[Sequence[str]] = ()) -> int:
    """Bytes that cross the bus in all kernels of the graph together, read and written."""
    return sum(sum(crossing(flow, kernel)) for kernel in kernels(flow, fused))


def saving_s(saved_bytes: float, saved_calls: int, bandwidth: float, call_s: float) -> float:
    """Seconds saved: bytes over ``bandwidth`` (bytes/s) and calls of ``call_s`` each, one after the other.

    An upper estimate where the bytes were hidden behind computing, or launches behind kernels that ran."""
    return saved_bytes / bandwidth + saved_calls * call_s


def epilogue_slack(product_s: float, apart_s: float, fused_s: float) -> float:
    """How much slower than the product alone (``product_s``) a fused kernel's product may be, as a share,
    before cutting pays: what it spares of the cut chain's ``apart_s``, over the product."""
    return (apart_s - fused_s) / product_s


def elementwise_chain_bytes(elements: int, operators: int, element_bytes: int) -> tuple[int, int]:
    """Bytes of a chain of unary operators, each a kernel of its own, and of the same chain in one kernel."""
    one = 2 * elements * element_bytes
    return operators * one, one
