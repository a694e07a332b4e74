"""This machine's roofs, measured once a session: bandwidths by level, ceilings by type, an empty call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from labs.quantization.threads import threads as limited
from labs.roofline.bandwidths import Level, Streamed, keep_faster, levels, sweep, working_sets
from labs.roofline.ceilings import Ceiling, ceilings, keep_higher
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.measure import Timing
    from labs.roofline.streams import Kind


@dataclass
class Machine:
    """What has been measured so far with so many ``threads``; ``complete`` when all of it has."""

    device: str
    threads: int
    quick: bool = False
    streamed: list[Streamed] = field(default_factory=list)
    ceilings: list[Ceiling] = field(default_factory=list)
    empty_call: Timing | None = None
    complete: bool = False

    def levels(self, kind: Kind = "read") -> list[Level]:
        return levels(self.streamed, kind, self.threads, self.device)

    @property
    def bandwidth(self) -> float:
        """Bytes/s of reading memory, beyond all caches."""
        return self.levels()[-1].bandwidth

    def peak(self, precision: str) -> float:
        """FLOP/s: the best that anything of this type reached."""
        return max(one.rate for one in self.ceilings if one.precision == precision)

    @property
    def call_s(self) -> float:
        """Seconds of an operator that has next to nothing to do: dispatch, or a kernel's launch."""
        assert self.empty_call is not None
        return self.empty_call.low_s

    def answers(self, wanted: Sequence[Kind], quick: bool) -> bool:
        """Whether all of it has been measured, as carefully as asked."""
        return {one.kind for one in self.streamed}.issuperset(wanted) and (quick or not self.quick)

    @property
    def timings(self) -> list[Timing]:
        empty = [self.empty_call] if self.empty_call else []
        return [*(one.timing for one in self.streamed), *(one.timing for one in self.ceilings), *empty]


class _Kept:
    """The machines that a session has measured, by threads."""

    def __init__(self) -> None:
        self.by_threads: dict[int, Machine] = {}


def known_machine(ctx: Context, threads: int) -> Machine | None:
    """The machine if this session has measured it; measures nothing."""
    return _kept(ctx).by_threads.get(threads)


def measure_machine(
    ctx: Context,
    threads: int,
    *,
    again: bool = False,
    quick: bool = False,
    wanted: Sequence[Kind] = ("read",),
) -> Iterator[Machine]:
    """The same object each time, as it fills: kept from an earlier run unless ``again``.

    ``wanted`` are the ways to stream; a kept machine that lacks one of them is measured anew, as is one that
    was measured in a hurry unless this is to be ``quick`` too.
    """
    kept = known_machine(ctx, threads)
    if kept is not None and not again and kept.answers(wanted, quick):
        yield kept
        return
    machine = Machine(ctx.device, threads, quick)
    sizes = working_sets(ctx.device, threads, quick)
    pairs = [(kind, threads) for kind in wanted]
    with limited(threads):
        machine.empty_call = empty_call(ctx)
        ctx.progress(0.0, Text(zh="测计算峰值", en="Measuring compute ceilings"))
        for ceiling in ceilings(ctx, threads, quick):
            keep_higher(machine.ceilings, ceiling)
            yield machine
        for one in sweep(ctx, pairs, sizes, quick):
            before = len(machine.streamed)
            keep_faster(machine.streamed, one)
            share = sizes.index(one.working_bytes) / len(sizes) / 2 + (len(machine.streamed) == before) / 2
            ctx.progress(0.1 + 0.4 * share, Text(zh="测带宽", en="Measuring bandwidth"))
            yield machine
    machine.complete = True
    _kept(ctx).by_threads[threads] = machine
    yield machine


def empty_call(ctx: Context) -> Timing:
    """Of an operator on one element: what a call costs before it does anything."""
    one = torch.ones(1, device=ctx.device)
    return ctx.measure(lambda: torch.neg(one), budget_s=0.1)


def _kept(ctx: Context) -> _Kept:
    return ctx.memo(("roofline machines", ctx.device), _Kept)
