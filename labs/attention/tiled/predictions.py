"""What theory says of the lab's figures before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from labs.formulas.flash_attention import (
    Shape,
    Tile,
    keys_outer,
    queries_outer,
    score_bytes,
    tile_bytes,
)
from labs.spec import Prediction
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context

    class Params(Protocol):
        """What of the lab's parameters the formulas need."""

        @property
        def mode(self) -> str: ...
        @property
        def block(self) -> int: ...
        @property
        def keys(self) -> int: ...
        @property
        def length(self) -> int: ...
        @property
        def rows(self) -> int: ...
        @property
        def columns(self) -> int: ...
        @property
        def causal(self) -> bool: ...
        @property
        def longest(self) -> int: ...
        @property
        def target(self) -> str: ...
        @property
        def head_dim(self) -> int: ...
        @property
        def stages(self) -> int: ...
        @property
        def chip(self) -> str: ...


NAIVE_MEMORY = Text(
    zh="2 × 头数 × N² × 4 B（分数与权重同时存在）+ 掩码 2 × N²",
    en="2 × heads × N² × 4 B (scores and weights at once) + masks, 2 × N²",
)
V2_BYTES = Text(zh="Q、O 一遍 + 每块 Q 读一遍 K、V", en="Q and O once + K and V once a block of Q")
V1_BYTES = Text(zh="K、V 一遍 + 每块 K 读写一遍 Q、O、m、ℓ", en="K and V once + Q, O, m, ℓ once a tile of K")
SHARED = Text(
    zh="2 × 级数 × K 块行数 × d × 2 B（K 与 V），wgmma 再加 Q 块",
    en="2 × stages × tile × d × 2 B (K and V), with wgmma also the block of Q",
)
BUSY = Text(
    zh="min(1, 矩阵乘 ÷ 指数)：稳态，不算头尾", en="min(1, products / exponentials): without begin and end"
)


def naive_bytes(shape: Shape) -> float:
    """Extra memory of naive attention: scores and weights at once, and two masks of a byte an entry."""
    return 2 * score_bytes(shape, 4) + 2 * shape.queries * shape.keys


def shared_bytes(target: str, tile: Tile, dim: int, stages: int) -> int:
    """Of the kernel in FP16: Hopper's ``wgmma`` (64 rows at least) and Blackwell's ``tcgen05`` read Q from
    shared memory. Where a compiler arranges it otherwise the figure is off, and the lab shows by how much."""
    from_shared = target == "sm_100" or (target == "sm_90" and tile.rows >= 64)
    return tile_bytes(tile, dim, 2, stages, queries_in_registers=not from_shared)


def predictions(params: Params, ctx: Context) -> Iterator[Prediction]:
    """Of the chosen mode."""
    if params.mode == "walk":
        yield Prediction(
            id="largest",
            title=Text(zh="存在过的最大一块 S", en="Largest piece of S that existed"),
            value=float(params.block * params.keys),
            unit="",
            formula=Text(zh="Q 块的行数 × K 块的行数", en="rows of the Q block × rows of the K tile"),
        )
    elif params.mode == "traffic":
        shape, tile = Shape(1, 1, 1, params.length, params.length, 64), Tile(params.rows, params.columns)
        for name, formula, movement in (
            ("v2_bytes", V2_BYTES, queries_outer(shape, tile, 2, causal=params.causal)),
            ("v1_bytes", V1_BYTES, keys_outer(shape, tile, 2, causal=params.causal)),
        ):
            version = name[:2]
            yield Prediction(
                id=name,
                title=Text(zh=f"{version} 进出显存", en=f"{version}: bytes moved"),
                value=float(movement.moved),
                unit="B",
                formula=formula,
            )
    elif params.mode == "speed":
        config = ctx.model_config()
        last = 1 << (params.longest.bit_length() - 1)
        yield Prediction(
            id="naive_memory",
            title=Text(zh=f"朴素的额外内存（{last} token）", en=f"Naive's extra memory ({last} tokens)"),
            value=naive_bytes(Shape(1, config.heads, config.kv_heads, last, last, config.head_dim)),
            unit="B",
            formula=NAIVE_MEMORY,
        )
    elif params.mode == "tile":
        tile = Tile(params.rows, params.columns)
        yield Prediction(
            id="shared",
            title=Text(zh="一个线程块的共享内存", en="Shared memory of a block"),
            value=float(shared_bytes(params.target, tile, params.head_dim, params.stages)),
            unit="B",
            formula=SHARED,
        )
    else:
        from labs.attention.tiled.overlap import CHIPS, WARPGROUP_TILE, durations

        product, softmax, _ = durations(CHIPS[params.chip], *WARPGROUP_TILE, params.head_dim)
        yield Prediction(
            id="overlap",
            title=Text(zh="乒乓调度下矩阵单元的忙碌", en="Matrix unit busy, ping-pong"),
            value=100 * min(1.0, 2 * product / max(2 * product, softmax)),
            unit="%",
            formula=BUSY,
        )
