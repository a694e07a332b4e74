"""The allocators' lab, mode by mode: results as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.formulas.allocation import (
    LEAST_BLOCK,
    MIB,
    buddy_size,
    mean_class_waste,
    mean_live_length,
)
from labs.formulas.kv_cache import expected_last_block_waste
from labs.memory.allocators import alignment, alignment_views, contest, views
from labs.memory.allocators.explanation import explanation
from labs.memory.allocators.replay import Replay, replay, seconds_a_call
from labs.memory.allocators.requests import most_needed, serving_requests, tensor_requests
from labs.simulator.deployment import Deployment
from labs.simulator.hardware import device
from labs.simulator.models import model
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.context import Context
    from labs.measure import Timing
    from labs.memory.allocators.contest import Name
    from labs.memory.allocators.requests import Request
    from labs.memory.allocators.stores import Growth
    from labs.results import Result

CELLS = 512
PROMPT, ANSWER, VARIATION = 300, 200, 0.8  # mean tokens, and the coefficient of variation of both
RATE_PER_S, MOST_SEQUENCES = 8.0, 32
_TIMED_AGAIN = 3


@dataclass(frozen=True)
class Setting:
    """What the first mode's parameters come to."""

    serving: bool
    growth: Growth
    capacity: int
    requests: int
    answer_limit: int
    page_tokens: int


def deployment() -> Deployment:
    """Llama-3-8B in BF16 on one A100: the KV of a token is 128 KiB."""
    return Deployment(model=model("llama-3-8b"), device=device("a100-80gb-sxm"))


def token_bytes() -> int:
    return int(deployment().kv_token_bytes)


def predicted_internal(setting: Setting, name: Name) -> tuple[float, Text] | None:
    """Share of internal fragmentation, where a formula says it."""
    if not setting.serving:
        if name not in ("buddy", "slab"):
            return None
        steps = 1 if name == "buddy" else 4
        return mean_class_waste(steps), Text(
            zh=f"每翻一倍有 {steps} 个大小类，大小在对数尺度上均匀",
            en=f"size classes per doubling: {steps}; sizes even on a logarithmic scale",
        )
    live = mean_live_length(PROMPT, ANSWER, VARIATION)
    if name == "paged":
        empty = expected_last_block_waste(setting.page_tokens)
        return empty / (live + empty), Text(
            zh="平均半页空着 ÷（运行中序列的平均长度 ＋ 半页）",
            en="half a page empty / (mean length of a running sequence + half a page)",
        )
    if setting.growth == "copy":
        return None
    reserved = PROMPT + setting.answer_limit
    if name == "buddy":
        reserved = buddy_size(reserved * token_bytes(), LEAST_BLOCK) // token_bytes()
    return 1 - live / reserved, Text(
        zh="1 − 运行中序列的平均长度 ÷（提示词 ＋ 回答上限）；伙伴系统再取整到 2 的幂",
        en="1 - mean length of a running sequence / (prompt + answer limit), for buddies a power of two",
    )


def fragmentation(ctx: Context, setting: Setting, shown: Name) -> Iterator[Result]:
    """The one that is shown first, with its map; then the others, for the table."""
    requests = _requests(ctx, setting)
    page_bytes = setting.page_tokens * token_bytes()

    def play(name: Name, cells: int) -> Replay:
        store = contest.make_store(name, setting.capacity, page_bytes, setting.growth)
        return replay(requests, store, cells, ctx.check)

    run = play(shown, 0 if ctx.preview else CELLS)
    yield from views.metrics(run, shown)
    if not ctx.preview:
        yield views.trace(run)
        unit = (token_bytes(), "token") if setting.serving else (1024, "KiB")
        yield views.memory_map(run, shown, *unit)
    yield views.occupancy(run)
    yield views.free_room(run)
    yield views.fragmentation(run)
    if ctx.preview:
        return
    timed: dict[Name, tuple[Replay, float]] = {}
    names = list(contest.TITLES)
    for index, name in enumerate(names):
        title = contest.TITLES[name]
        ctx.progress(index / len(names), Text(zh=f"重放：{title.zh}", en=f"replaying: {title.en}"))
        one = run if name == shown else play(name, 0)
        seconds = min(
            seconds_a_call(one.store, contest.make_allocator(name, setting.capacity, page_bytes))
            for _ in range(_TIMED_AGAIN)
        )
        timed[name] = one, seconds
        yield views.table(timed, shown)
    runs = {name: one for name, (one, _) in timed.items()}
    yield explanation(runs, shown, most_needed(requests), setting.serving)


def _requests(ctx: Context, setting: Setting) -> list[Request]:
    if not setting.serving:
        return tensor_requests(10 * setting.requests, ctx.seed)
    key = ("allocators", setting.requests, setting.answer_limit, ctx.seed)
    return ctx.memo(
        key,
        lambda: serving_requests(
            deployment(),
            requests=setting.requests,
            rate_per_s=RATE_PER_S,
            prompt=PROMPT,
            answer=ANSWER,
            variation=VARIATION,
            answer_limit=setting.answer_limit,
            most_sequences=MOST_SEQUENCES,
            seed=ctx.seed,
            check=ctx.check,
        ),
    )


def aligned(ctx: Context, current: int, budget_s: float) -> Iterator[Result]:
    """Waste of every alignment, then reads, then rows a power of two apart."""
    asked = alignment.sizes(ctx.seed)
    yield alignment_views.waste_metric(alignment.waste(current, asked))
    wastes = ctx.memo(
        ("alignment wastes", ctx.seed), lambda: [alignment.waste(one, asked) for one in alignment.ALIGNMENTS]
    )
    yield alignment_views.waste_curve(wastes, current, len(asked))
    if ctx.preview:
        return

    def measure(call: Callable[[], object]) -> Timing:
        """The quietest of three rounds: another program on the machine would pass for misalignment."""
        rounds = [ctx.measure(call, budget_s=budget_s / 3, on="cpu") for _ in range(3)]
        return min(rounds, key=lambda one: one.median_s)

    offsets = (*alignment.OFFSETS, 1)
    cached: list[alignment.Read] = []
    streamed: list[alignment.Read] = []
    for one in alignment.reads(alignment.CACHED, offsets, measure):
        cached.append(one)
        yield alignment_views.read_bars(cached, streamed)
    for one in alignment.reads(alignment.STREAMED, offsets, measure):
        streamed.append(one)
        yield alignment_views.read_bars(cached, streamed)
    pitches: list[alignment.Pitch] = []
    pairs = tuple(pitch for power in (1024, 4096, 8192) for pitch in (power, power + 64))
    for pitch in alignment.column_sums(pairs, measure):
        pitches.append(pitch)
        yield alignment_views.pitch_bars(pitches)
    yield alignment_views.explanation(wastes, streamed, cached, pitches)


def alignment_waste(current: int) -> float:
    """Per cent, by the formula, with the mean size of the lab's requests."""
    asked = alignment.sizes(0)
    return alignment_views.predicted_share(current, sum(asked) / len(asked))


def arena(mib: int) -> int:
    return mib * MIB
