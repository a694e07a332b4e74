"""Ring attention over real processes: three ways to deal out a sequence, then longer and shorter ones."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

from labs.distributed import ring_views as views
from labs.distributed.animation import animation
from labs.distributed.pool import pool_of
from labs.distributed.ring import Record
from labs.distributed.shape import HEAD_DIM, HEADS, KV_HEADS, NUMBER_BYTES
from labs.formulas.ring_attention import positions
from labs.relative_error import relative_error
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.formulas.ring_attention import Layout
    from labs.results import Result

LAYOUTS: tuple[Layout, ...] = ("contiguous", "zigzag", "striped")
TOLERANCE = 1e-5  # relative: only the order of additions differs
_SHORTEST = 256


@dataclass(frozen=True)
class Ran:
    """One job: each rank's record, and how far its result is from one process's (relative)."""

    tokens: int
    layout: Layout
    records: list[Record]
    difference: float

    @property
    def passed(self) -> bool:
        return self.difference <= TOLERANCE

    @property
    def seconds(self) -> float:
        """From the first rank's start to the last one's end."""
        return max(one.arrived[-1] for one in self.records) - min(one.posted[0] for one in self.records)

    @property
    def lockstep_cpu_s(self) -> float:
        """Processor time if each step waits for its slowest rank, as on a device a rank."""
        steps = zip(*(one.cpu_s for one in self.records), strict=True)
        return float(sum(max(step) for step in steps))


@dataclass
class Study:
    """One run's choices and what it has found."""

    ranks: int
    tokens: int
    layout: Layout
    causal: bool
    by_layout: dict[Layout, Ran] = field(default_factory=dict)
    by_length: dict[int, Ran] = field(default_factory=dict)
    single_s: float | None = None
    backend: str = "gloo"


def run_ring(ctx: Context, *, ranks: int, tokens: int, layout: Layout, causal: bool) -> Iterator[Result]:
    """What the formulas say first, while nothing runs; then the chosen layout, the others, other lengths."""
    study = Study(ranks, tokens, layout, causal, backend=_backend(ranks))
    if causal:
        yield views.pair_bars(study)
    if ctx.preview:
        return
    pool = pool_of(ranks, study.backend)
    pool.wait_ready(ctx)
    q, k, v = _inputs(ctx, tokens)
    expected = _one_process(q, k, v, causal)
    for one in dict.fromkeys((layout, *(LAYOUTS if causal else ()))):
        study.by_layout[one] = _ran(ctx, study, one, (q, k, v), expected)
        if one == layout:
            # Once more: the first one also opens connections and touches fresh memory.
            study.by_layout[one] = _ran(ctx, study, one, (q, k, v), expected)
            yield from animation(study)
            yield from views.figures(study)
        if causal:
            yield views.pair_bars(study)
    if study.by_layout[layout].passed:
        where = "cuda" if study.backend == "nccl" else "cpu"  # as the ranks
        own_q, own_k, own_v = (part.to(where) for part in (q, k, v))
        timing = ctx.measure(lambda: _one_process(own_q, own_k, own_v, causal), budget_s=0.3, on=where)
        study.single_s = timing.median_s
    yield from _lengths(ctx, study)
    yield views.layout_table(study)
    yield views.explanation(study)


def _lengths(ctx: Context, study: Study) -> Iterator[Result]:
    lengths = [study.tokens]
    while lengths[0] > _SHORTEST and len(lengths) < 4:
        lengths.insert(0, lengths[0] // 2)
    for tokens in lengths:
        if tokens == study.tokens:
            study.by_length[tokens] = study.by_layout[study.layout]
        else:
            parts = _inputs(ctx, tokens)
            expected = _one_process(*parts, study.causal)
            study.by_length[tokens] = _ran(ctx, study, study.layout, parts, expected)
        yield views.memory_curve(study)
        yield views.traffic_curve(study)


def _backend(ranks: int) -> str:
    has_nccl = dist.is_available() and dist.is_nccl_available()  # Windows has none
    gpus = torch.cuda.device_count() if has_nccl else 0
    return "nccl" if gpus >= ranks else "gloo"


def _inputs(ctx: Context, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random ``q [H, S, D]``, ``k, v [K, S, D]``, the same in every run."""
    ctx.reserve(
        4 * tokens * (2 * HEADS + 2 * KV_HEADS) * HEAD_DIM * NUMBER_BYTES,
        Text(zh="查询、键、值和结果", en="queries, keys, values and results"),
        Text(zh="把序列缩短。", en="Use a shorter sequence."),
    )
    generator = ctx.generator()
    q, k, v = (
        torch.randn(count, tokens, HEAD_DIM, generator=generator) for count in (HEADS, KV_HEADS, KV_HEADS)
    )
    return q, k, v


def _one_process(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """What one process gets with all keys and values at hand."""
    return F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal, enable_gqa=True)[0]


def _ran(
    ctx: Context, study: Study, layout: Layout, parts: tuple[Tensor, Tensor, Tensor], expected: Tensor
) -> Ran:
    pool = pool_of(study.ranks, study.backend)
    pool.wait_ready(ctx)
    tokens = expected.shape[1]
    with tempfile.TemporaryDirectory(dir=pool.folder) as folder:
        for name, part in zip("qkv", parts, strict=True):
            np.save(Path(folder) / f"{name}.npy", part.numpy())
        answers = pool.run(ctx, {"folder": folder, "layout": layout, "causal": study.causal})
        found = torch.empty_like(expected)
        for rank in range(study.ranks):
            own = positions(rank, study.ranks, tokens, layout)
            found[:, own] = torch.from_numpy(np.load(Path(folder) / f"out-{rank}.npy"))
    records = [Record(**one) for one in answers]
    return Ran(tokens, layout, records, relative_error(found, expected))
