"""The ten exercises: the task of each, its hints, and the sizes at which it is shown, checked and timed."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labs.ladder import problems
from labs.ops.operator import Case
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.ops.operator import Inputs, Work

Name = Literal[
    "vector_add",
    "row_sum",
    "transpose",
    "softmax",
    "rms_norm",
    "matmul",
    "grouped_matmul",
    "int4_matmul",
    "flash_attention",
    "paged_attention",
]
Setting = Literal["tile", "tile_m", "tile_n", "tile_k", "warps", "stages"]

FOLDER = Path(__file__).parent / "exercises"
_SOLUTION = re.compile(r"^( *)# \[\[ (.+)\n((?:.*\n)*?) *# \]\]\n", re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """``specification`` is the task as torch code; it and ``launch`` take what ``inputs`` makes, by name.

    ``shown`` is the size that is recorded and played; ``checked`` are those of the verdict, ragged ones
    among them; ``served`` is what is compiled and placed under the roofs, ``here`` what the specification is
    timed at on a CPU: larger than most caches, and soon done. ``settings``: what ``launch`` wants beside.
    """

    name: Name
    title: Text
    task: Text
    hints: tuple[Text, ...]
    settings: tuple[Setting, ...]
    specification: Callable[..., Any]
    inputs: Inputs
    work: Callable[[Case], Work]
    shown: Case
    checked: tuple[Case, ...]
    served: Case
    here: Case

    @property
    def solution(self) -> str:
        """The kernel as it is shipped, without the marks of the skeleton."""
        return _SOLUTION.sub(r"\3", self._text())

    @property
    def skeleton(self) -> str:
        """The kernel with a hint and ``...`` where the reader is to write."""
        return _SOLUTION.sub(r"\1# TODO: \2\n\1...\n", self._text())

    @property
    def specification_source(self) -> str:
        """The torch code of the specification."""
        return textwrap.dedent(inspect.getsource(self.specification))

    def _text(self) -> str:
        return (FOLDER / f"{self.name}.py").read_text(encoding="utf-8")


def told(case: Case) -> str:
    """``m 4096, n 4096, k 4096, fp16``: the kernel's own names, the same in every language."""
    return ", ".join([*(f"{name} {size}" for name, size in case.sizes.items()), case.dtype])


def _case(dtype: Literal["fp32", "fp16"] = "fp32", **sizes: int) -> Case:
    return Case(sizes, dtype)


_TILES: tuple[Setting, ...] = ("tile_m", "tile_n", "tile_k", "warps", "stages")
_EXERCISES = (
    Exercise(
        name="vector_add",
        title=Text(zh="1 向量加法", en="1 Vector addition"),
        task=Text(
            zh="每个程序算向量的一个 tile；最后一个 tile 可能越过末尾。",
            en="Each program adds one tile of two vectors; the last tile may reach beyond their end.",
        ),
        hints=(
            Text(
                zh="`tl.program_id(0) * TILE + tl.arange(0, TILE)` 是本程序的下标。",
                en="`tl.program_id(0) * TILE + tl.arange(0, TILE)` are this program's indices.",
            ),
            Text(
                zh="把 `下标 < size` 作为 load 和 store 的 mask。",
                en="Pass `index < size` as the mask of every load and store.",
            ),
        ),
        settings=("tile", "warps"),
        specification=problems.vector_add,
        inputs=problems.vectors_inputs,
        work=problems.vector_work,
        shown=_case(size=1000),
        checked=(_case(size=1), _case(size=1000), _case("fp16", size=4097)),
        served=_case("fp16", size=1 << 26),
        here=_case(size=1 << 24),
    ),
    Exercise(
        name="row_sum",
        title=Text(zh="2 按行求和", en="2 Sums of rows"),
        task=Text(
            zh="每个程序负责一行，分 tile 读，在 fp32 里求和。",
            en="Each program has one row, reads it in tiles and adds in fp32.",
        ),
        hints=(
            Text(
                zh="被 mask 掉的 lane 用 `other=0.0`，不改变和。",
                en="Lanes that are masked out take `other=0.0`, which leaves the sum alone.",
            ),
            Text(
                zh="循环里逐 lane 累加，循环外只 `tl.sum` 一次：归约要跨线程，比逐 lane 加法贵。",
                en="Add lane by lane in the loop and `tl.sum` once after it: a reduction crosses threads.",
            ),
        ),
        settings=("tile", "warps"),
        specification=problems.row_sum,
        inputs=problems.matrix_inputs,
        work=problems.sum_work,
        shown=_case(rows=6, columns=200),
        checked=(_case(rows=1, columns=1), _case(rows=5, columns=777), _case("fp16", rows=3, columns=300)),
        served=_case("fp16", rows=8192, columns=8192),
        here=_case(rows=4096, columns=4096),
    ),
    Exercise(
        name="transpose",
        title=Text(zh="3 转置", en="3 Transpose"),
        task=Text(
            zh="每个程序搬一个方块。读和写的方向不同，谁来让两边都合并？",
            en="Each program moves a square tile. Reads and writes run crosswise: who coalesces both?",
        ),
        hints=(
            Text(
                zh="把 tile 用 `tl.trans` 转过来，再按转置后的下标写。",
                en="Turn the tile with `tl.trans` and store it by the turned indices.",
            ),
            Text(
                zh="在 TTGIR 里找 `ttg.convert_layout`：编译器按地址的走向给 store 另选了线程布局，数据经共享"
                "内存换过去。CUDA 里这要自己写。",
                en="Find `ttg.convert_layout` in the TTGIR: the compiler chose another layout of threads for "
                "the store, by how its addresses run, and data changes over through shared memory. In CUDA "
                "one writes that oneself.",
            ),
        ),
        settings=("tile", "warps"),
        specification=problems.transpose,
        inputs=problems.matrix_inputs,
        work=problems.transpose_work,
        shown=_case(rows=100, columns=72),
        checked=(_case(rows=1, columns=5), _case(rows=70, columns=33), _case("fp16", rows=65, columns=130)),
        served=_case("fp16", rows=8192, columns=8192),
        here=_case(rows=4096, columns=4096),
    ),
    Exercise(
        name="softmax",
        title=Text(zh="4 Softmax", en="4 Softmax"),
        task=Text(
            zh="一行读一次、写一次：最大值、指数、求和都在片上。",
            en="A row is read once and written once: maximum, exponentials and sum stay on the chip.",
        ),
        hints=(
            Text(
                zh="越界的 lane 取 `-inf`：它不改变最大值，exp 之后是 0。",
                en="Lanes beyond the row take `-inf`: it is no maximum, and its exp is 0.",
            ),
            Text(
                zh="先减最大值再取 exp，结果不变，也不会溢出。",
                en="Subtract the maximum before exp: the result is the same and nothing overflows.",
            ),
        ),
        settings=("warps",),
        specification=problems.softmax,
        inputs=problems.matrix_inputs,
        work=problems.softmax_work,
        shown=_case(rows=8, columns=200),
        checked=(_case(rows=3, columns=1), _case(rows=5, columns=777), _case("fp16", rows=4, columns=130)),
        served=_case("fp16", rows=8192, columns=4096),
        here=_case(rows=1024, columns=4096),
    ),
    Exercise(
        name="rms_norm",
        title=Text(zh="5 残差 + RMSNorm", en="5 Residual and RMSNorm"),
        task=Text(
            zh="两个 kernel 融合成一个：和写回一次，不再读回。",
            en="Two kernels fused into one: the sum is written once and not read back.",
        ),
        hints=(
            Text(
                zh="均值除以 `columns`，不是 `WIDTH`：补零的 lane 不计入。",
                en="The mean divides by `columns`, not by `WIDTH`: padded lanes do not count.",
            ),
            Text(zh="在 fp32 里平方求和：fp16 的平方容易溢出。", en="Square in fp32: fp16 overflows soon."),
        ),
        settings=("warps",),
        specification=problems.rms_norm,
        inputs=problems.norm_inputs,
        work=problems.norm_work,
        shown=_case(rows=8, columns=200),
        checked=(_case(rows=3, columns=1), _case(rows=5, columns=577), _case("fp16", rows=4, columns=130)),
        served=_case("fp16", rows=8192, columns=4096),
        here=_case(rows=1024, columns=4096),
    ),
    Exercise(
        name="matmul",
        title=Text(zh="6 矩阵乘", en="6 Matrix product"),
        task=Text(
            zh="每个程序算结果的一个 tile，沿 K 逐 tile 累加。",
            en="Each program computes one tile of the result, adding up tiles along K.",
        ),
        hints=(
            Text(
                zh="K 方向越界的元素必须是 0，否则乘进了和里。",
                en="What lies beyond K must be 0, or it is multiplied into the sum.",
            ),
            Text(
                zh="`total = tl.dot(a, b, total)` 让累加留在 fp32。",
                en="`total = tl.dot(a, b, total)` keeps the sum in fp32.",
            ),
        ),
        settings=_TILES,
        specification=problems.matmul,
        inputs=problems.product_inputs,
        work=problems.product_work,
        shown=_case(m=128, n=120, k=64),
        checked=(_case(m=33, n=17, k=50), _case(m=70, n=90, k=64), _case("fp16", m=40, n=100, k=72)),
        served=_case("fp16", m=4096, n=4096, k=4096),
        here=_case(m=1024, n=1024, k=1024),
    ),
    Exercise(
        name="grouped_matmul",
        title=Text(zh="7 分组次序的矩阵乘", en="7 Matrix product in grouped order"),
        task=Text(
            zh="同样的乘法，换一种程序次序：同时在跑的程序共用更多的行和列，L2 命中更多。",
            en="The same product in another order: programs that run together share rows and columns.",
        ),
        hints=(
            Text(
                zh="一个 band 有 `GROUP * tiles_n` 个程序；band 内先走行、再走列。",
                en="A band has `GROUP * tiles_n` programs; within it, rows first, then columns.",
            ),
            Text(
                zh="最后一个 band 可能不足 GROUP 行：用实际行数取模。",
                en="The last band may have fewer than GROUP rows: take the remainder by what it has.",
            ),
        ),
        settings=_TILES,
        specification=problems.matmul,
        inputs=problems.product_inputs,
        work=problems.product_work,
        shown=_case(m=160, n=96, k=32),
        checked=(_case(m=33, n=17, k=50), _case(m=170, n=90, k=40), _case("fp16", m=130, n=100, k=72)),
        served=_case("fp16", m=4096, n=4096, k=4096),
        here=_case(m=1024, n=1024, k=1024),
    ),
    Exercise(
        name="int4_matmul",
        title=Text(zh="8 INT4 反量化矩阵乘", en="8 INT4 matrix product"),
        task=Text(
            zh="权重每字节两个：读 4 位，在寄存器里反量化，再喂给 Tensor Core。",
            en="Two weights a byte: read 4 bits, dequantise in registers, multiply.",
        ),
        hints=(
            Text(
                zh="第 k 个权重在字节 `k // 2`；右移 `k % 2 * 4` 位再与 15。",
                en="Weight k lies in byte `k // 2`; shift right by `k % 2 * 4` and take the low 4 bits.",
            ),
            Text(
                zh="组大小恰好等于 K 方向的 tile，所以每个 tile 只要一行 scale。",
                en="A tile along K is just one group, so that a tile needs one row of scales.",
            ),
        ),
        settings=("tile_m", "tile_n", "warps", "stages"),
        specification=problems.int4_matmul,
        inputs=problems.int4_product_inputs,
        work=problems.int4_work,
        shown=_case(m=32, n=80, k=96),
        checked=(_case(m=5, n=17, k=32), _case(m=33, n=70, k=64), _case("fp16", m=20, n=100, k=96)),
        served=_case("fp16", m=16, n=4096, k=4096),
        here=_case(m=16, n=2048, k=2048),
    ),
    Exercise(
        name="flash_attention",
        title=Text(zh="9 FlashAttention", en="9 FlashAttention"),
        task=Text(
            zh="因果注意力，分数矩阵从不落到内存。",
            en="Causal attention; the matrix of scores is never written to memory.",
        ),
        hints=(
            Text(
                zh="最大值变大时，旧的和、旧的加权值都乘 exp(旧最大值 − 新最大值)。",
                en="When the maximum grows, old sums shrink by exp(old maximum - new maximum).",
            ),
            Text(
                zh="因果：这个 tile 的查询只需读到 `first + TILE_M`。",
                en="Causal: this tile's queries need no key from `first + TILE_M` on.",
            ),
        ),
        settings=("tile_m", "tile_n", "warps", "stages"),
        specification=problems.flash_attention,
        inputs=problems.heads_inputs,
        work=problems.flash_work,
        shown=_case(heads=1, length=160, d=32),
        checked=(
            _case(heads=1, length=1, d=16),
            _case(heads=2, length=77, d=32),
            _case("fp16", heads=1, length=130, d=64),
        ),
        served=_case("fp16", heads=32, length=4096, d=128),
        here=_case(heads=4, length=1024, d=64),
    ),
    Exercise(
        name="paged_attention",
        title=Text(zh="10 PagedAttention", en="10 Paged attention"),
        task=Text(
            zh="解码一步，KV 散在各块里，位置经块表找到。",
            en="One decode step with keys and values in scattered blocks, found through a table.",
        ),
        hints=(
            Text(
                zh="块表里的是块号：槽 = 块号 × BLOCK + 位置 % BLOCK。",
                en="The table holds block numbers: slot = number * BLOCK + position % BLOCK.",
            ),
            Text(
                zh="没有位置的 lane 分数取 `-inf`：0 × NaN 仍是 NaN，所以 V 也要 mask。",
                en="Lanes without a position score `-inf`; mask V as well, for 0 * NaN is NaN.",
            ),
        ),
        settings=("tile", "warps", "stages"),
        specification=problems.paged_attention,
        inputs=problems.paged_inputs,
        work=problems.paged_work,
        shown=_case(sequences=3, heads=16, longest=100, d=32),
        checked=(
            _case(sequences=1, heads=16, longest=1, d=16),
            _case(sequences=3, heads=16, longest=77, d=32),
            _case("fp16", sequences=2, heads=16, longest=130, d=64),
        ),
        served=_case("fp16", sequences=64, heads=32, longest=4096, d=128),
        here=_case(sequences=16, heads=32, longest=1024, d=128),
    ),
)
EXERCISES: dict[Name, Exercise] = {exercise.name: exercise for exercise in _EXERCISES}
