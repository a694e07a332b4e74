"""What each fused kernel moves, by the block's graph and as counted in Triton's interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.decoder_block import groups
from labs.formulas.fusion import crossing
from labs.fusion.layers.block_graph import box_name
from labs.results import Column, Provenance, Table
from labs.text import Text

if TYPE_CHECKING:
    from typing import Final

    from labs.formulas.decoder_block import Step
    from labs.formulas.fusion import Dataflow
    from labs.fusion.layers.counted_kernels import CountedBlock, KernelBytes

# The first operator of the groups that are kernels of our own, in the order in which a block launches them.
_LAUNCHED: Final = ("add1", "q", "k", "v", "q.a_cos", "scores", "add2", "gate", "up", "silu")
_PRODUCTS: Final = ("q", "k", "v", "gate", "up")  # the library's, unless they scale
_APART: Final = {
    "rope": Text(zh="V 也按头放好", en="V by head, too"),
    "attention": Text(zh="掩码当场算，不读", en="mask not read"),
}


def counted_table(
    flow: Dataflow, counted: CountedBlock, steps: tuple[Step, ...], tokens: int, context: int
) -> Table:
    """A row a launch; ``flow`` at the size that was counted."""
    rows = [_row(flow, group, one) for group, one in paired(flow, counted, steps)]
    return Table(
        id="counted",
        title=Text(
            zh="融合核的读写：按图与数出来的", en="What fused kernels move: by the graph, and counted"
        ),
        provenance=Provenance.MEASURED,
        wide=True,
        source=Text(
            zh=f"Triton 解释器里每次 load 与 store，{tokens} 个新 token、共 {context} 个；同一字节只算一次",
            en=f"every load and store in Triton's interpreter, {tokens} new of {context} tokens; a byte once",
        ),
        help=Text(
            zh="GPU 上运行的就是这些 Triton 内核；没有 GPU 时在解释器里核对并计数。"
            f"融合后的一层与逐算子的一层相差 {counted.gap:.1e}。",
            en="These Triton kernels are what runs on a GPU; without one they are checked and counted in the "
            f"interpreter. The fused block is {counted.gap:.1e} off the one with nothing fused.",
        ),
        columns=[
            Column(title=Text(zh="内核", en="Kernel")),
            Column(title=Text(zh="按图", en="By the graph"), unit="B", provenance=Provenance.ESTIMATED),
            Column(title=Text(zh="数出来的", en="Counted"), unit="B"),
            Column(title=Text(zh="相差", en="Apart"), unit="B"),
            Column(title=Text(zh="为什么", en="Why")),
        ],
        rows=rows,
    )


def paired(
    flow: Dataflow, counted: CountedBlock, steps: tuple[Step, ...]
) -> list[tuple[tuple[str, ...], KernelBytes]]:
    """The graph's groups with their launches."""
    first = {group[0]: group for group in groups(flow, frozenset(steps))}
    watched = (name for name in _LAUNCHED if name in first)
    own = (first[name] for name in watched if name not in _PRODUCTS or f"{name}.columns" in first[name])
    return list(zip(own, counted.kernels, strict=True))


def _row(flow: Dataflow, group: tuple[str, ...], one: KernelBytes) -> list[Text | float | int | None]:
    expected = sum(crossing(flow, group))
    apart = one.bytes - expected
    return [box_name(group), expected, one.bytes, apart, _APART.get(one.step) if apart else None]
