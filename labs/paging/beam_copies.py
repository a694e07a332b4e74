"""A real beam search, and what its forks cost: copied on write, copied when forking, or rebuilt each step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.engine import replay
from labs.engine.events import EventKind
from labs.engine.serving import Setting, make_engine
from labs.formulas.paged_attention import copies_of_forks, reordered_tokens
from labs.kv_cache import scenario as scenarios
from labs.kv_cache.measured_run import MeasuredRun
from labs.results import Axis, Bars, BarSeries, Lines, Markdown, Metric, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.engine.model_runner import ModelRunner
    from labs.measure import Timing
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_LOOK_S = 0.5
_SPARE_BLOCKS = 8


@dataclass(frozen=True)
class Copied:
    """Bytes that the same search would copy, three ways; ``steps`` is how many tokens the beams had."""

    beams: int
    prompt: int
    steps: int
    forks: int
    copies: int
    on_write: int
    at_fork: float
    reordered: float


def counted(run: MeasuredRun) -> Copied:
    """From the events of the run: what was copied, what each fork shared, how long the beams became."""
    root = run.engine.generations[0].root
    steps = max(len(times) for times in run.engine.generations[0].token_times_s.values())
    beams = run.scenario.params.beams
    reordered = reordered_tokens(beams, root.prompt, steps)
    usage = run.usage
    return Copied(
        beams=beams,
        prompt=root.prompt,
        steps=steps,
        forks=usage.forks,
        copies=usage.copies,
        on_write=usage.copies * run.block_bytes,
        at_fork=usage.forked_tokens * run.token_bytes,
        reordered=reordered * run.token_bytes,
    )


def run_beams(ctx: Context, *, prompt: str, beams: int, new_tokens: int, block_size: int) -> Iterator[Result]:
    """The search, replayed; then its copies, and what such copies take on this device."""
    tokenizer = ctx.model().tokenizer
    ids = scenarios.chat_ids(tokenizer, "", prompt)
    params = scenarios.sampling(samples=1, beams=beams, new_tokens=new_tokens, seed=ctx.seed)
    scenario = scenarios.Scenario([ids], params, 0)
    blocks = beams * (-(-(len(ids) + new_tokens) // block_size) + 1) + _SPARE_BLOCKS
    setting = Setting(blocks=blocks, block_size=block_size, most_sequences=2 * beams)
    engine = make_engine(ctx, setting)
    looked = time.monotonic()
    for step, _ in enumerate(scenario.run(ctx, engine), start=1):
        ctx.progress(min(0.9, step / scenario.most_steps), Text(zh=f"第 {step} 步", en=f"step {step}"))
        if time.monotonic() - looked > _LOOK_S:
            looked = time.monotonic()
            yield from _look(MeasuredRun(engine, setting, scenario), at=None)
    run = MeasuredRun(engine, setting, scenario)
    yield from _look(run, at=run.usage.first_copy)
    copied = counted(run)
    ctx.progress(0.95, Text(zh="给复制计时", en="Timing the copies"))
    one, rebuilt = copy_times(ctx, engine.runner, beams, copied.prompt + copied.steps)
    yield from time_figures(copied, one, rebuilt)
    yield explanation(run, copied, one, rebuilt)


def _look(run: MeasuredRun, at: int | None) -> Iterator[Result]:
    """All that the run shows so far; the replay's cursor stands ``at`` an event, or at the last."""
    recording, copied = run.recording, counted(run)
    yield from figures(run, copied)
    yield copied_bars(copied)
    yield replay.trace(recording, _MEASURED, run.engine.tokenizer, at)
    yield replay.block_map(
        recording,
        run.setting.blocks,
        _MEASURED,
        Text(zh="束怎样共用物理块", en="How beams share physical blocks"),
        Text(
            zh="一格是一块，角标是被几条束共用。分叉只抄块表；谁先写共用的最后一块，谁复制那一块。",
            en="A cell is a block; the count says how many beams share it. A fork copies the block table; "
            "who writes into a shared last block first copies that block.",
        ),
    )
    yield sharing_curve(run)
    yield replay.spoken(recording, _MEASURED, run.engine.tokenizer, run.inherited())


def sharing_curve(run: MeasuredRun) -> Lines:
    """Blocks that exist, and how many there would be if none was shared."""
    moments = run.usage.moments
    times = array([one.time_s for one in moments])
    return Lines(
        id="sharing",
        title=Text(zh="块数：共享与不共享", en="Blocks: shared, and if not"),
        provenance=_MEASURED,
        unit="block",
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        y=Axis(title=Text(zh="块数", en="blocks"), unit="block"),
        series=[
            Series(name=Text(zh="实际占用", en="really owned"), x=times, y=array([m.owned for m in moments])),
            Series(
                name=Text(zh="每条束各存一份", en="one copy a beam"),
                x=times,
                y=array([m.references for m in moments]),
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        markers=False,
        clock=replay.CLOCK,
        source=Text(
            zh="引擎的事件；虚线是各块表的长度之和",
            en="the engine's events; dashed: the lengths of all block tables",
        ),
    )


def figures(run: MeasuredRun, copied: Copied) -> Iterator[Metric]:
    """Copies beside the formula; what sharing saved."""
    yield Metric(
        id="block_bytes",
        title=Text(zh="一块的字节", en="Bytes of a block"),
        provenance=_MEASURED,
        unit="B",
        value=run.block_bytes,
        predicted=run.token_bytes * run.setting.block_size,
        formula=BLOCK_FORMULA,
    )
    size = run.setting.block_size
    yield Metric(
        id="copies",
        title=Text(zh="写时复制的块", en="Blocks copied on write"),
        provenance=_MEASURED,
        unit="block",
        value=copied.copies,
        predicted=copies_of_forks(copied.forks, size),
        formula=Text(
            zh=f"{copied.forks} 次分叉 × (1 − 1/块大小)：最后一块恰好写满时不用复制",
            en=f"{copied.forks} forks × (1 - 1 / block size): a last block that is just full needs no copy",
        ),
        better="lower",
        source=Text(zh="引擎的 COPY 事件", en="the engine's COPY events"),
    )
    peak = run.usage.most_sharing
    yield Metric(
        id="saved",
        title=Text(zh="共享省下的块（最多时）", en="Saved by sharing, at most"),
        provenance=_MEASURED,
        unit="%",
        value=100 * (1 - peak.owned / peak.references) if peak.references else 0.0,
        better="higher",
        help=Text(
            zh="1 − 真正占用的块 ÷ 各块表长度之和。PagedAttention 论文用同样的定义。",
            en="1 - blocks owned / lengths of all tables together, as the PagedAttention paper defines it.",
        ),
        source=Text(zh="引擎的事件", en="the engine's events"),
    )


BLOCK_FORMULA = Text(
    zh="块大小 × 2 × 层数 × KV 头数 × 头维度 × 4 B", en="block size × 2 × layers × KV heads × head dim × 4 B"
)


def copied_bars(copied: Copied) -> Bars:
    """MiB copied by the same search, three ways."""
    values = [one / 2**20 for one in (copied.on_write, copied.at_fork, copied.reordered)]
    return Bars(
        id="copied",
        title=Text(zh="同一次束搜索要复制多少 KV", en="KV copied by the same beam search"),
        help=Text(
            zh="分叉时整份复制：每次分叉抄一份父束的全部 KV。每步重排："
            "每步把所有束的连续缓存按父束重新拼一遍，transformers 的 reorder_cache 就是这样。",
            en="At each fork: all of the parent's KV. Each step: every beam's contiguous cache is put "
            "together anew by parents, as transformers' reorder_cache does.",
        ),
        provenance=_MEASURED,
        unit="MiB",
        categories=[
            Text(zh="写时复制", en="copy on write"),
            Text(zh="分叉时整份复制", en="all, at each fork"),
            Text(zh="每步全部重排", en="all beams, each step"),
        ],
        series=[BarSeries(name=Text(zh="复制的 KV", en="KV copied"), values=array(values))],
        y=Axis(title=Text(zh="复制的 KV", en="KV copied"), unit="MiB"),
        source=Text(
            zh="写时复制：COPY 事件 × 块字节；其余按同一次运行的分叉与长度计算",
            en="copy on write: COPY events × bytes of a block; the others from the forks and lengths of "
            "this run",
        ),
        wide=True,
    )


def copy_times(ctx: Context, runner: ModelRunner, beams: int, length: int) -> tuple[Timing, Timing]:
    """Copying one block in all layers; and rebuilding ``beams`` contiguous caches of ``length`` tokens."""
    import torch

    config = runner.config
    one = ctx.measure(lambda: runner.copy_blocks([(0, 1)]), budget_s=0.2)
    size = 4 * 2 * config.layers * beams * config.kv_heads * length * config.head_dim
    ctx.reserve(2 * size, Text(zh="连续的束缓存", en="contiguous caches of the beams"))
    caches = [
        torch.zeros(2, beams, config.kv_heads, length, config.head_dim, device=ctx.device)
        for _ in range(config.layers)
    ]
    parents = torch.arange(beams, device=ctx.device).roll(1)
    rebuilt = ctx.measure(lambda: [cache.index_select(1, parents) for cache in caches], budget_s=0.3)
    return one, rebuilt


def time_figures(copied: Copied, one: Timing, rebuilt: Timing) -> Iterator[Metric]:
    """What the copies take on this device."""
    yield Metric(
        id="block_copy",
        title=Text(zh="复制一块（全部层）", en="Copying one block, all layers"),
        provenance=_MEASURED,
        unit="s",
        value=one.median_s,
        low=one.low_s,
        high=one.high_s,
        better="lower",
        source=Text(zh="预热后的中位数", en="median after warming up"),
    )
    yield Metric(
        id="reorder",
        title=Text(zh="重排所有束的缓存，一次", en="Rebuilding all beams' caches, once"),
        provenance=_MEASURED,
        unit="s",
        value=rebuilt.median_s,
        low=rebuilt.low_s,
        high=rebuilt.high_s,
        better="lower",
        help=Text(
            zh=f"{copied.beams} 条束，每条 {copied.prompt + copied.steps} 个 token，index_select。",
            en=f"{copied.beams} beams of {copied.prompt + copied.steps} tokens, index_select.",
        ),
        source=Text(zh="预热后的中位数", en="median after warming up"),
    )


def explanation(run: MeasuredRun, copied: Copied, one: Timing, rebuilt: Timing) -> Markdown:
    """Where the copies come from, in the run's own figures."""
    parts = [_fork_text(run, copied), _copy_text(run, copied), _time_text(copied, one, rebuilt)]
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh="\n\n".join(part.zh for part in parts), en="\n\n".join(part.en for part in parts)),
        wide=True,
    )


def _fork_text(run: MeasuredRun, copied: Copied) -> Text:
    pruned = sum(e.kind is EventKind.FINISH and e.reason == "pruned" for e in run.recording.events)
    return Text(
        zh=f"**分叉。** {copied.beams} 条束走了 {copied.steps} 步，分叉 {copied.forks} 次，剪掉 {pruned} "
        "条。分叉时只抄一份块表，块的引用数加一；剪枝只是减一，减到零才还块。",
        en=f"**Forks.** {copied.beams} beams took {copied.steps} steps, forked {copied.forks} times, and "
        f"{pruned} were pruned. A fork copies a block table and counts each block up; pruning counts down, "
        "and a block returns at zero.",
    )


def _copy_text(run: MeasuredRun, copied: Copied) -> Text:
    size, mib = run.setting.block_size, 2**20
    written, fork, reorder = copied.on_write / mib, copied.at_fork / mib, copied.reordered / mib
    zh = (
        f"**写时复制。** 有 {copied.copies} 次，要写的最后一块还被别人引用，才复制那一块：{written:.2f} "
        f"MiB。分叉时整份复制要 {fork:.2f} MiB；像连续缓存那样每步重排全部束，要 {reorder:.1f} MiB。"
    )
    en = (
        f"**Copy on write.** {copied.copies} times a last block that others still held was to be written, "
        f"and was copied: {written:.2f} MiB. Copying everything at each fork takes {fork:.2f} MiB, "
        f"rebuilding all beams' contiguous caches at each step {reorder:.1f} MiB. "
    )
    if copied.on_write > copied.at_fork:
        return Text(
            zh=f"{zh}这次写时复制反而多于分叉时整份复制：复制以整块为单位，一块 {size} 个 token，"
            "比分叉时的序列还长，空槽也一起搬了。块太大，连写时复制也浪费。",
            en=f"{en}Here copying on write moves more than copying all at a fork: whole blocks are copied, "
            f"and one of {size} tokens is longer than the sequences were, so that empty slots move too.",
        )
    return Text(
        zh=f"{zh}序列越长差得越多：写时复制每次至多一块（{size} 个 token），整份复制随长度涨。",
        en=f"{en}The gap grows with length: on write it is a block of {size} tokens at most, otherwise all "
        "there is.",
    )


def _time_text(copied: Copied, one: Timing, rebuilt: Timing) -> Text:
    block, caches = 1e3 * one.median_s, 1e3 * rebuilt.median_s
    blocks, steps = copied.copies * block, (copied.steps - 1) * caches
    return Text(
        zh=f"**时间。** 在这台设备上复制一块 {block:.2f} ms，重排一次 {caches:.2f} ms；按次数算，全程 "
        f"{blocks:.1f} ms 对 {steps:.1f} ms。小复制的时间多半是固定开销，所以差距没有字节那么大。",
        en=f"**Time.** Here one block takes {block:.2f} ms and one rebuilding {caches:.2f} ms; times their "
        f"numbers, {blocks:.1f} ms against {steps:.1f} ms. A small copy is mostly overhead, so times "
        "differ by less than bytes.",
    )
