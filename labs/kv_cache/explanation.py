"""What one sees and why, in the run's own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.kv_cache import expected_last_block_waste
from labs.kv_cache.geometry import flops_ratio
from labs.results import Markdown, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.kv_cache.measured_run import MeasuredRun
    from labs.kv_cache.token_times import TokenTime


def explanation(run: MeasuredRun, times: list[TokenTime]) -> Markdown:
    """A paragraph for each thing that happened in this run."""
    parts = [*_memory(run), *_sharing(run), *_shortage(run), *_without_cache(run, times)]
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        body=Text(zh="\n\n".join(part.zh for part in parts), en="\n\n".join(part.en for part in parts)),
        wide=True,
    )


def _memory(run: MeasuredRun) -> Iterator[Text]:
    usage, setting, config = run.usage, run.setting, run.config
    peak, size = usage.peak, run.setting.block_size
    yield Text(
        zh=f"**字节。** 一个 token 的 KV 是 2 × {config.layers} 层 × {config.kv_heads} 个 KV 头 × "
        f"{config.head_dim} 维 × 每个数的字节数 = {run.token_bytes:,.0f} B，一块 {size} 个 token 就是 "
        f"{run.block_bytes / 2**20:.2f} MiB。最多时 {len(peak.live)} 条序列占 {peak.owned} 块，池里共 "
        f"{setting.blocks} 块。",
        en=f"**Bytes.** A token's KV is 2 × {config.layers} layers × {config.kv_heads} KV heads × "
        f"{config.head_dim} numbers × bytes a number = {run.token_bytes:,.0f} B, so a block of {size} tokens "
        f"takes {run.block_bytes / 2**20:.2f} MiB. At the peak {peak.owned} of the pool's {setting.blocks} "
        f"blocks were owned, by {len(peak.live)} sequence{'' if len(peak.live) == 1 else 's'}.",
    )
    empty = usage.empty_slots(size)
    if setting.reserved:
        yield Text(
            zh=f"**预留。** 每条序列一来就占下“提示词 + 上限”的一整段连续块，平均有 {empty:.1f} 个槽空着："
            "还没写到，或者回答提前结束，永远写不到。别的序列看得见空位，却用不上。",
            en="**Reserved.** Each sequence takes contiguous blocks for its prompt and its limit when it "
            f"starts, and {empty:.1f} slots of it are empty on average: not written yet, or never, for the "
            "answer ends early. Others see the room and cannot use it.",
        )
        return
    expected = expected_last_block_waste(size)
    why = _why_waste_differs(run, empty, expected)
    yield Text(
        zh=f"**碎片。** 分页后只有每条序列的最后一块装不满：理论上平均空 (块大小 − 1) / 2 = {expected:.1f} 个"
        f"槽，实测 {empty:.1f}。{why.zh}",
        en="**Fragmentation.** With paging only a sequence's last block is not full: in theory "
        f"(block size − 1) / 2 = {expected:.1f} slots are empty on average, measured {empty:.1f}. {why.en}",
    )


def _why_waste_differs(run: MeasuredRun, empty: float, expected: float) -> Text:
    if abs(empty - expected) <= max(1.0, 0.2 * expected):
        return Text(zh="两者相符。", en="They agree.")
    return Text(
        zh="差在样本小：回答只有几十个 token，长度没有均匀落在块内各处；分叉后共用的块也只算一次。",
        en="The sample is small: answers of a few dozen tokens do not end everywhere in a block equally "
        "often, and a block that forks share counts once.",
    )


def _sharing(run: MeasuredRun) -> Iterator[Text]:
    usage, setting = run.usage, run.setting
    if usage.spared:
        prompts = sum(map(len, run.scenario.prompts))
        yield Text(
            zh=f"**公共前缀。** 提示词共 {prompts} 个 token，{usage.spared} 个直接用了前缀缓存里的块，"
            f"没有再算。"
            f"只有整块能复用，所以是 {setting.block_size} 的倍数。",
            en=f"**Shared prefix.** Of {prompts} prompt tokens {usage.spared} came from blocks of the prefix "
            f"cache and were not computed. Only whole blocks are reused: a multiple of {setting.block_size}.",
        )
    elif setting.prefix_cache and not setting.reserved and len(run.scenario.prompts) > 1:
        yield Text(
            zh="**公共前缀。** 这次一块也没有复用：没有共同的整块，或者请求同时到达，前缀还没算完。",
            en="**Shared prefix.** No block was reused: there is no common whole block, or the requests came "
            "together, before the prefix had been computed.",
        )
    if usage.forks:
        eager = usage.forked_tokens * run.token_bytes / 2**20
        done = usage.copies * run.block_bytes / 2**20
        yield Text(
            zh=f"**写时复制。** {usage.forks} 次分叉，当场一个字节也没搬，只把块表抄了一份；"
            f"之后谁要往共用的最后"
            f"一块里写，才复制那一块：{usage.copies} 块，{done:.2f} MiB。分叉时就整份复制，要搬 {eager:.2f} "
            f"MiB。",
            en=f"**Copy on write.** {usage.forks} forks moved not a byte when they happened: a block table "
            f"was "
            f"copied. Only who was to write into a shared last block copied that one: {usage.copies} blocks, "
            f"{done:.2f} MiB. Copying everything at each fork would have moved {eager:.2f} MiB.",
        )


def _shortage(run: MeasuredRun) -> Iterator[Text]:
    usage, setting = run.usage, run.setting
    if usage.preempted:
        swapped = setting.preemption == "swap" or run.scenario.params.beams > 0
        how = (
            Text(
                zh="KV 换到主机内存，回来时再搬进来，不必重算",
                en="their KV went to host memory and came back, nothing was computed again",
            )
            if swapped and not usage.recomputed
            else Text(
                zh=f"回来时重算了 {usage.recomputed} 个 token",
                en=f"{usage.recomputed} tokens were computed a second time",
            )
        )
        yield Text(
            zh=f"**块用完了。** {usage.preempted} 次抢占：后来者让出全部块，先来者继续；{how.zh}。回答不变，"
            f"只是"
            "变慢。",
            en=f"**Out of blocks.** {usage.preempted} preemptions: who came last gave up all its blocks so "
            f"that those before could go on; {how.en}. Answers do not change, they come later.",
        )
    if usage.evicted:
        yield Text(
            zh=f"**淘汰。** 有 {usage.evicted} 个无主的缓存块被收回改用，最久没用的先走。",
            en=f"**Evicted.** {usage.evicted} cached blocks without an owner were taken back, the least "
            "recently used first.",
        )


def _without_cache(run: MeasuredRun, times: list[TokenTime]) -> Iterator[Text]:
    if not times:
        return
    last, first = times[-1], times[0]
    ratio, flops = last.recomputed_s / last.cached_s, flops_ratio(run.config, last.length)
    same = all(one.same for one in times)
    verdict = (
        Text(
            zh="两种算法选出的下一个 token 处处相同", en="both ways choose the same next token at each length"
        )
        if same
        else Text(zh="两种算法的 token 不尽相同（舍入）", en="not all tokens agree (rounding)")
    )
    slow, fast = 1e3 * last.recomputed_s, 1e3 * last.cached_s
    grown = last.recomputed_s / first.recomputed_s, last.cached_s / first.cached_s
    yield Text(
        zh=f"**没有缓存会怎样。** 文本长 {last.length} 时，算一个 token 不用缓存要 {slow:.0f} ms，用缓存要 "
        f"{fast:.0f} ms，差 {ratio:.0f} 倍。从长 {first.length} 到 {last.length}，前者的时间变成 "
        f"{grown[0]:.1f} 倍，后者 {grown[1]:.1f} 倍。两者的计算量差 {flops:.0f} 倍，与时间之比不同：只算一个 "
        f"token 也要把全部权重读一遍。{verdict.zh}。",
        en=f"**Without a cache.** With {last.length} tokens of text one token takes {slow:.0f} ms without "
        f"the cache and {fast:.0f} ms with it: {ratio:.0f} times. From {first.length} to {last.length} "
        f"tokens the time became {grown[0]:.1f} times as long without it, {grown[1]:.1f} times with it. "
        f"FLOPs differ {flops:.0f} times, not as time does: one token, too, needs all weights read once. "
        f"{verdict.en[0].upper()}{verdict.en[1:]}.",
    )
