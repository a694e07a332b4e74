"""The figures of a run: bytes, waste, and what sharing saved, each beside what theory says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.kv_cache import expected_last_block_waste
from labs.formulas.prefill import reusable_prefix
from labs.results import Metric, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.kv_cache.measured_run import MeasuredRun

_MEASURED = Provenance.MEASURED


def byte_figures(run: MeasuredRun) -> Iterator[Metric]:
    """What the store's tensors take; the predictions come from the lab's ``predict``."""
    store = run.engine.runner.kv
    yield Metric(
        id="token_bytes",
        title=Text(zh="每个 token 的 KV", en="KV of a token"),
        provenance=_MEASURED,
        unit="B",
        value=store.nbytes / (store.blocks * store.block_size),
        help=Text(
            zh="张量的字节数 ÷ 槽数：所有层的 K 与 V，INT8 含缩放因子。",
            en="Bytes of the tensors over slots: K and V of all layers, scales of INT8 included.",
        ),
    )
    yield Metric(
        id="pool_bytes",
        title=Text(zh="KV 缓存池", en="KV cache pool"),
        provenance=_MEASURED,
        unit="B",
        value=float(store.nbytes),
        help=Text(
            zh="启动时一次分配好，之后只在池内分块，不再向系统申请内存。",
            en="Allocated once at the start. From then on blocks are handed out inside it and the system "
            "is asked for nothing.",
        ),
    )


def waste_figure(run: MeasuredRun) -> Metric:
    """Empty slots a sequence, averaged over steps and the sequences that hold blocks."""
    size = run.setting.block_size
    expected, formula = expected_last_block_waste(size), _HALF_A_BLOCK
    if run.setting.reserved:
        expected, formula = _reserved_waste(run), _RESERVED
    return Metric(
        id="waste",
        title=Text(zh="每条序列的空槽", en="Empty slots a sequence"),
        provenance=_MEASURED,
        unit="token",
        value=run.usage.empty_slots(size),
        predicted=expected,
        formula=formula,
        better="lower",
        help=Text(
            zh="内部碎片：已分配给序列却没有 token 的槽，对每一步、每条占着块的序列取平均。",
            en="Internal fragmentation: slots that a sequence owns and that hold no token, averaged over "
            "steps and the sequences "
            "that "
            "hold blocks.",
        ),
    )


_HALF_A_BLOCK = Text(
    zh="（块大小 − 1）÷ 2：只有最后一块装不满，长度落在块内各处的机会相等",
    en="(block size - 1) / 2: only the last block is not full, and lengths end anywhere in it equally often",
)
_RESERVED = Text(
    zh="预留的槽 − 提示词 − 生成上限的一半：若每个回答都写到上限，平均空着一半",
    en="reserved slots - prompt - half of the limit: what is empty on average if every answer reaches it",
)


def _reserved_waste(run: MeasuredRun) -> float:
    manager = run.engine.scheduler.manager
    roots = {root.id: root for root in run.roots.values()}.values()
    slots = [manager.blocks_for(root.prompt + root.limit) * manager.block_size for root in roots]
    return sum(held - root.prompt - root.limit / 2 for held, root in zip(slots, roots, strict=True)) / max(
        1, len(slots)
    )


def peak_figure(run: MeasuredRun) -> Metric:
    peak = run.usage.peak
    empty = 0.0 if run.setting.reserved else expected_last_block_waste(run.setting.block_size)
    tokens = sum(map(run.reservation, peak.live)) if run.setting.reserved else peak.filled
    return Metric(
        id="peak_bytes",
        title=Text(zh="最多时占用", en="Held at the peak"),
        provenance=_MEASURED,
        unit="B",
        value=float(peak.owned * run.block_bytes),
        predicted=(tokens + empty * len(peak.live)) * run.token_bytes,
        formula=Text(
            zh="（存下的 token ＋ 每条序列半块）× 每 token 字节；预留时是（提示词 ＋ 上限）× 每 token 字节",
            en="(tokens stored + half a block a sequence) x bytes a token; reserved: (prompt + limit) x "
            "bytes "
            "a token",
        ),
        help=Text(
            zh=f"第 {peak.event + 1} 个事件之后：{peak.owned} 块归 {len(peak.live)} 条序列所有。",
            en=f"After event {peak.event + 1}: {len(peak.live)} sequences own {peak.owned} blocks.",
        ),
    )


def sharing_figures(run: MeasuredRun) -> Iterator[Metric]:
    """What can happen in this run: with reserved memory nothing is shared, and nobody has to give way."""
    usage, setting, params = run.usage, run.setting, run.scenario.params
    if setting.reserved:
        return
    if setting.prefix_cache and len(run.scenario.prompts) > 1:
        yield _prefix_figure(run)
    saved = usage.most_sharing.references - usage.most_sharing.owned
    if params.n > 1 or params.beams or setting.prefix_cache:
        yield Metric(
            id="shared",
            title=Text(zh="共享省下的块", en="Blocks saved by sharing"),
            provenance=_MEASURED,
            unit="block",
            value=float(saved),
            better="higher",
            help=Text(
                zh="省得最多时，块表里的引用数 − 真正占用的块数：不共享就要多占这么多。",
                en="References in the block tables minus blocks owned, where most is saved: so many more "
                "would be needed without "
                "sharing.",
            ),
        )
    if params.n > 1 or params.beams:
        yield _copy_figure(run)
    yield _preemption_figure(run)


def _prefix_figure(run: MeasuredRun) -> Metric:
    prompts, size = run.scenario.prompts, run.setting.block_size
    shared = sum(_reusable(prompts[:i], prompts[i], size) for i in range(len(prompts)))
    # Of those that come together, which ones find a prefix computed is up to the scheduler.
    apart = run.scenario.arrive_every > 0
    return Metric(
        id="prefix_tokens",
        title=Text(zh="前缀缓存省下的预填充", en="Prefill spared by the prefix cache"),
        provenance=_MEASURED,
        unit="token",
        value=float(run.usage.spared),
        predicted=float(shared) if apart else None,
        formula=_COMMON_PREFIXES if apart else None,
        better="higher",
        help=Text(
            zh="共同前缀必须已经算完才能复用：同时到达的请求各算各的。",
            en="A prefix can be used once it has been computed: requests that come together compute it each.",
        ),
    )


_COMMON_PREFIXES = Text(
    zh="每条提示词与先到者的最长公共前缀，取整块",
    en="of each prompt, the longest prefix that an earlier one has too, in whole blocks",
)


def _reusable(earlier: list[list[int]], prompt: list[int], block_size: int) -> int:
    shared = max((_common(one, prompt) for one in earlier), default=0)
    return reusable_prefix(shared, len(prompt), block_size)


def _common(one: list[int], other: list[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


_COPIES = Text(
    zh="每个请求 n − 1 次；提示词恰好填满整块时为 0",
    en="n - 1 a request; none where the prompt fills its last block exactly",
)


def _copy_figure(run: MeasuredRun) -> Metric:
    usage, params, size = run.usage, run.scenario.params, run.setting.block_size
    sampled = None
    if not params.beams and not usage.preempted:
        sampled = float(sum((params.n - 1) * bool(len(prompt) % size) for prompt in run.scenario.prompts))
    eager = usage.forked_tokens * run.token_bytes
    done = usage.copies * run.block_bytes
    return Metric(
        id="copies",
        title=Text(zh="写时复制的块", en="Blocks copied on write"),
        provenance=_MEASURED,
        unit="block",
        value=float(usage.copies),
        predicted=sampled,
        formula=None if sampled is None else _COPIES,
        better="lower",
        help=Text(
            zh=f"{usage.forks} 次分叉。写时复制搬了 {done / 2**20:.2f} MiB；分叉时整份复制要搬 "
            f"{eager / 2**20:.2f} MiB（估算）。",
            en=f"{usage.forks} forks. Copied on write: {done / 2**20:.2f} MiB; copying all at each fork "
            f"would take {eager / 2**20:.2f} MiB (estimated).",
        ),
    )


def _preemption_figure(run: MeasuredRun) -> Metric:
    usage = run.usage
    return Metric(
        id="preemptions",
        title=Text(zh="抢占", en="Preemptions"),
        provenance=_MEASURED,
        value=float(usage.preempted),
        better="lower",
        help=Text(
            zh=f"块不够时让出全部块的次数。重算了 {usage.recomputed} 个已经算过的 token。",
            en="How often a sequence gave up all its blocks because none were left. "
            f"{usage.recomputed} tokens were computed a second time.",
        ),
    )


def speed_figure(run: MeasuredRun) -> Metric:
    return Metric(
        id="rate",
        title=Text(zh="生成速度（全部序列）", en="Generation, all sequences"),
        provenance=_MEASURED,
        unit="token/s",
        value=run.said / run.seconds if run.seconds else None,
        better="higher",
    )
