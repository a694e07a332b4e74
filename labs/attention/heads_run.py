"""MQA, GQA and MHA as kernels: bytes counted from the kernel's loads, and a decode step timed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from labs.attention import heads_views as views
from labs.attention.head_loads import HEAD_DIM, Loaded, counted, divisors
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.paging.decode_case import Shape, make_case, make_store
from labs.paging.paths import Measured, Way, measure, ways
from labs.quantization.roofs import read_bandwidth
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.engine.precision import KVType
    from labs.paging.decode_case import Case
    from labs.results import Result

_ROUNDS = 3


@dataclass
class Study:
    """``timed[way, kv_heads]`` is the fastest round; ``loaded`` what the interpreter counted, or why not."""

    heads: int
    kv_heads: int
    context: int
    batch: int
    kv: KVType = "fp32"
    bandwidth: float = 0.0
    timed: dict[tuple[str, int], Measured] = field(default_factory=dict)
    loaded: list[Loaded] = field(default_factory=list)
    not_counted: Text | None = None

    def shape(self, kv_heads: int) -> Shape:
        return Shape(self.batch, self.context, self.heads, kv_heads, HEAD_DIM, self.kv)


def run_heads(ctx: Context, *, heads: int, kv_heads: int, context: int, batch: int) -> Iterator[Result]:
    """Times first, each number of KV heads as it is done; bytes are counted in a child meanwhile."""
    if heads % kv_heads:
        listed = ", ".join(map(str, divisors(heads)))
        zh, en = (
            f"{kv_heads} 个 KV 头不能均分 {heads} 个查询头；可用：{listed}",
            (f"{heads} query heads cannot share {kv_heads} KV heads evenly; possible: {listed}"),
        )
        raise LabError(Text(zh=zh, en=en))
    study = Study(heads, kv_heads, context, batch)
    yield views.sizes(study)
    if ctx.preview:
        return
    yield from _loads(ctx, study)
    ctx.progress(0.2, Text(zh="测量读内存的带宽", en="measuring the read bandwidth"))
    study.bandwidth = read_bandwidth(ctx)
    yield from _times(ctx, study)
    yield views.table(study)
    yield views.explanation(study)


def _loads(ctx: Context, study: Study) -> Iterator[Result]:
    """Bytes by address, in the interpreter; without Triton the reason why not."""
    ctx.progress(
        0.02, Text(zh="Triton 解释器逐地址数读了多少", en="Triton's interpreter counts loads by address")
    )
    if not HAS_TRITON:
        study.not_counted = NO_TRITON
        return
    study.loaded = kernel_process(ctx, "interpret").ask(counted, ctx.check, heads=study.heads)
    yield from views.load_figures(study)
    yield views.load_bars(study)


def _times(ctx: Context, study: Study) -> Iterator[Result]:
    """Rounds over all numbers of KV heads, so that a neighbour's burst does not hit one of them alone."""
    counts = divisors(study.heads)
    every = [way for way in ways(ctx.device) if not way.paged]
    every.append(Way("repeat", views.REPEATED, _repeated, paged=False))
    for turn in range(_ROUNDS):
        for index, kv_heads in enumerate(counts):
            part = (turn + index / len(counts)) / _ROUNDS
            ctx.progress(0.25 + 0.75 * part, Text(zh=f"{kv_heads} 个 KV 头", en=f"{kv_heads} KV heads"))
            shape = study.shape(kv_heads)
            config = msgspec.structs.replace(
                ctx.model_config(), heads=study.heads, kv_heads=kv_heads, head_dim=HEAD_DIM
            )
            store = make_store(ctx, config, shape, 1)
            case = make_case(ctx, store, shape, 0, "in_order")
            for way in every:
                key = (way.name, kv_heads)
                before = study.timed.get(key)
                new = measure(ctx, way, case, 0, before)
                if before is None or not before.seconds <= new.seconds:
                    study.timed[key] = new
        yield from views.time_figures(study)
        yield views.time_curve(study)


def _repeated(case: Case) -> Callable[[int], Tensor]:
    """KV heads are first repeated in memory, one for each query head; then MHA (transformers' eager way)."""
    shape, store = case.shape, case.store
    if store.scales is not None:
        zh = "torch 没有直接读 INT8 KV 的乘法"
        raise LabError(Text(zh=zh, en="torch has no product that reads INT8 KV"))
    group = shape.heads // shape.kv_heads
    dims = (shape.kv_heads, shape.batch, -1, shape.head_dim)
    q = case.q.transpose(0, 1)[:, :, None]  # [H, B, 1, D]

    def call(layer: int) -> Tensor:
        views = (store.data[layer, part].view(dims)[:, :, : shape.context] for part in (0, 1))
        keys, values = (part.repeat_interleave(group, dim=0).float() for part in views)
        weights = (q @ keys.transpose(-1, -2) * shape.head_dim**-0.5).softmax(dim=-1)
        out: Tensor = (weights @ values)[:, :, 0].transpose(0, 1)
        return out

    return call
