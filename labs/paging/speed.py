"""Time of decode attention against block size and context length, as shares of the measured bandwidth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.paging import speed_views as views
from labs.paging.decode_case import make_case, make_store, shape_of
from labs.paging.paths import Measured, measure, ways
from labs.quantization.roofs import read_bandwidth
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.engine.precision import KVType
    from labs.paging.decode_case import Order, Shape
    from labs.paging.paths import Way
    from labs.results import Result

BLOCK_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SHORTEST = 256
_CONTEXT_ROUNDS = 2
_ROUNDS = 6  # interleaved, so that a neighbour's burst does not hit one block size alone


@dataclass
class Speeds:
    """Everything timed so far. ``by_block`` at one context, ``by_context`` at one block size."""

    shape: Shape
    block_size: int
    order: Order
    bandwidth: float = 0.0
    by_block: dict[tuple[str, int], Measured] = field(default_factory=dict)
    by_context: dict[tuple[str, int], Measured] = field(default_factory=dict)

    @property
    def all(self) -> list[Measured]:
        return [*self.by_block.values(), *self.by_context.values()]

    def chosen(self, way: str) -> Measured | None:
        """At the chosen block size; of a contiguous way the only one."""
        return self.by_block.get((way, self.block_size)) or self.by_block.get((way, 0))


def keep(found: dict[tuple[str, int], Measured], key: tuple[str, int], new: Measured) -> None:
    """The faster of the rounds: what the other one met besides was not the kernel's."""
    old = found.get(key)
    if old is None or not old.seconds <= new.seconds:
        found[key] = new


def run_speed(
    ctx: Context, *, block_size: int, context: int, batch: int, kv: KVType, order: Order
) -> Iterator[Result]:
    """Block sizes first, each as it is timed, then contexts."""
    config = ctx.model_config()
    speeds = Speeds(shape_of(config, batch, context, kv), block_size, order)
    ctx.progress(0.0, Text(zh="测量读内存的带宽", en="Measuring the read bandwidth"))
    speeds.bandwidth = read_bandwidth(ctx)
    every = ways(ctx.device)
    yield from _block_sizes(ctx, speeds, every)
    yield from _contexts(ctx, speeds, every)
    speeds.bandwidth = max(speeds.bandwidth, read_bandwidth(ctx))
    yield from views.figures(speeds)
    yield views.by_block(speeds)
    yield views.by_context(speeds)
    yield views.table(speeds)
    yield views.explanation(speeds)


def _block_sizes(ctx: Context, speeds: Speeds, every: list[Way]) -> Iterator[Result]:
    shape = speeds.shape
    store = make_store(ctx, ctx.model_config(), shape, BLOCK_SIZES[-1])
    sizes = (0, *BLOCK_SIZES)
    for turn in range(_ROUNDS):
        for index, size in enumerate(sizes):
            part = (turn + index / len(sizes)) / _ROUNDS
            ctx.progress(
                0.6 * part, Text(zh=f"块大小 {size or '连续'}", en=f"block size {size or 'contiguous'}")
            )
            case = make_case(ctx, store, shape, size, speeds.order)
            for way in (one for one in every if one.paged == (size > 0)):
                if way.gathers and size not in (BLOCK_SIZES[0], speeds.block_size, BLOCK_SIZES[-1]):
                    continue  # it reads token by token, whatever the block size
                key = (way.name + ("" if size else "_flat"), size)
                keep(speeds.by_block, key, measure(ctx, way, case, size, speeds.by_block.get(key)))
            yield from views.figures(speeds)
            yield views.by_block(speeds)


def _contexts(ctx: Context, speeds: Speeds, every: list[Way]) -> Iterator[Result]:
    lengths = [speeds.shape.context]
    while lengths[-1] > _SHORTEST and len(lengths) < 5:
        lengths.append(lengths[-1] // 2)
    for index, length in enumerate(reversed(lengths)):
        ctx.progress(0.6 + 0.4 * index / len(lengths), Text(zh=f"上下文 {length}", en=f"context {length}"))
        shape = shape_of(ctx.model_config(), speeds.shape.batch, length, speeds.shape.kv)
        store = make_store(ctx, ctx.model_config(), shape, max(speeds.block_size, 1))
        for way in every:
            size = speeds.block_size if way.paged else 0
            case = make_case(ctx, store, shape, size, speeds.order)
            key = way.name + ("" if way.paged else "_flat")
            for _ in range(_CONTEXT_ROUNDS):
                before = speeds.by_context.get((key, length))
                keep(speeds.by_context, (key, length), measure(ctx, way, case, size, before))
        yield views.by_context(speeds)
