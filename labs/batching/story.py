"""What a race showed and why, in its own numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.batching.strategies import TITLES
from labs.formulas.batching import continuous_speedup_bound, static_steps
from labs.results import Markdown, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.batching.run import Run, Served
    from labs.batching.strategies import Strategy

# Below this gain in throughput nothing has been won that another run might not lose.
_WON = 1.05


def story(runs: dict[Strategy, Run], most_sequences: int) -> Markdown:
    """The closing text: a paragraph for each comparison that the runs allow."""
    parts = []
    if "static" in runs:
        parts.append(_static(runs["static"], most_sequences))
    if "static" in runs and "continuous" in runs:
        parts.append(_continuous(runs["static"], runs["continuous"], most_sequences))
    if "static" in runs and "dynamic" in runs:
        parts.append(_dynamic(runs["static"], runs["dynamic"]))
    if "continuous" in runs and "chunked" in runs:
        parts.append(_chunked(runs["continuous"], runs["chunked"]))
    parts.append(_answers(list(runs.values())))
    return Markdown(
        id="story",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        body=Text(
            zh="\n".join(f"- {part.zh}" for part in parts), en="\n".join(f"- {part.en}" for part in parts)
        ),
    )


def _static(run: Run, places: int) -> Text:
    if not run.wasted:
        return Text(
            zh=f"**静态批处理这次没有白算。** 同批的提示词一样长、回答也一样长，{run.computed:,} 个 token 都"
            "有人要："
            "浪费来自长短不齐，不来自批处理本身。",
            en="**Static batching wasted nothing here.** In each batch all prompts and all answers are as "
            "long, "
            f"and somebody wanted all {run.computed:,} tokens: waste comes from uneven lengths, not from "
            "batching.",
        )
    batches = [run.served[start : start + places] for start in range(0, len(run.served), places)]
    number = max(range(len(batches)), key=lambda index: _idle_rows(batches[index]))
    answers = [one.request.output_tokens for one in batches[number]]
    longest, mean = max(answers), sum(answers) / len(answers)
    zh = (
        f"**静态批处理为什么浪费。** 一批一起开始、一起结束。按到达顺序的第 {number + 1} 组 {len(answers)} "
        "条，"
        f"回答长 {_list(answers)} 个 token：同批时最长的要 {longest} 步，平均只有 {mean:.1f} 步有用；"
        f"短的答完后，它的行还在每一步里照算（橙红色的条）。整个过程算了 {run.computed:,} 个 token，"
        f"其中 {run.wasted:,} 个（{run.wasted_share:.0%}）没有人要；只看解码，是 {run.decode_waste:.0%}。"
        f"已预留的 KV 槽位平均有 {run.empty_share:.0%} 空着：每条都按最长的提示词加最长的回答预留。"
        f"后来的请求即使有空行也进不来，平均等 {run.mean_ttft_s():.2f} s 才看到首个 token。"
    )
    en = (
        f"**Why static batching wastes.** A batch starts together and ends together. The answers of the "
        f"{len(answers)} requests of group {number + 1}, in order of arrival, are {_list(answers)} tokens "
        "long: "
        f"in one batch the longest takes {longest} steps, of which the mean answer needs {mean:.1f}. When a "
        f"short one has ended, its row is computed all the same (the orange-red bars). In all, "
        f"{run.computed:,} tokens were computed and nobody wanted {run.wasted:,} of them "
        f"({run.wasted_share:.0%}); of decoding alone, {run.decode_waste:.0%}. Of the reserved KV slots "
        f"{run.empty_share:.0%} stood unused on average: each sequence reserves the longest prompt and the "
        f"longest answer. Who came later could not use the idle rows, and waited {run.mean_ttft_s():.2f} s "
        f"on average for a first token."
    )
    return Text(zh=zh, en=en)


def _idle_rows(batch: Sequence[Served]) -> int:
    answers = [one.request.output_tokens for one in batch]
    return max(answers) * len(answers) - sum(answers)


def _continuous(static: Run, continuous: Run, places: int) -> Text:
    steps, step, busy = gain_factors(static, continuous)
    gain = continuous.tokens_per_s / static.tokens_per_s
    limit = _limit(static, places)
    ttft = f"{static.mean_ttft_s():.2f} s", f"{continuous.mean_ttft_s():.2f} s"
    won = gain > _WON
    zh_head = "连续批处理赢在哪里" if won else "连续批处理这次没有赢多少"
    zh = (
        f"**{zh_head}。** 答完的立刻离开，空位在下一步就给排队的，所以白算 {continuous.wasted} 个 token，"
        f"平均 TTFT 从 {ttft[0]} 变为 {ttft[1]}，吞吐是静态的 {gain:.2f} 倍。这个倍数恰好是三项之积："
        f"步数之比 {len(static.steps)} ÷ {len(continuous.steps)} = {steps:.2f}，每步耗时之比 {step:.2f}"
        f"（白算的行和满员的行都要时间），忙碌时间之比 {busy:.2f}（静态要空等凑满一批）。{limit.zh}"
    )
    en_head = "What continuous batching wins" if won else "Continuous batching wins little here"
    en = (
        f"**{en_head}.** Who ends leaves at once and the next step gives the place to who waits: "
        f"{continuous.wasted} tokens for nothing, a mean TTFT of {ttft[1]} instead of {ttft[0]}, and "
        f"{gain:.2f} "
        f"times the throughput. That is exactly the product of three ratios: of steps, {len(static.steps)} / "
        f"{len(continuous.steps)} = {steps:.2f}; of the time of a step, {step:.2f} (rows for nothing take "
        "time, "
        f"and so do rows of use); of busy time, {busy:.2f} (static batching idles until a batch is full). "
        f"{limit.en}"
    )
    return Text(zh=zh, en=en)


def _limit(static: Run, places: int) -> Text:
    """What the lengths alone say of the steps."""
    answers = [one.request.output_tokens for one in static.served]
    expected, bound = static_steps(answers, places), continuous_speedup_bound(answers, places)
    if len(static.steps) > expected:
        return Text(
            zh=f"KV 放不下 {places} 条最长的预留，静态的批只好变小：步数从 {expected} 增加到 "
            f"{len(static.steps)}。",
            en=f"The KV cache has no room to reserve {places} of the longest, so static batches had to "
            "shrink: "
            f"{len(static.steps)} steps instead of {expected}.",
        )
    return Text(
        zh=f"步数之比的上限由长度决定，是 {bound:.2f}：每步都满员也要 {expected / bound:.0f} 步；差距来自预填"
        "充另占的步，"
        "和请求没到齐或快答完时坐不满的位置。",
        en=f"The lengths bound the ratio of steps at {bound:.2f}, for a batch that is always full still "
        "takes "
        f"{expected / bound:.0f}; what is missing went into steps of prefill and into places not taken while "
        "requests had not come yet, or no more came.",
    )


def gain_factors(static: Run, other: Run) -> tuple[float, float, float]:
    """Ratios of steps, of the mean time of a step, of busy shares: their product is that of throughputs."""
    mean_s = [sum(step.seconds for step in run.steps) / len(run.steps) for run in (static, other)]
    return len(static.steps) / len(other.steps), mean_s[0] / mean_s[1], other.busy_share / static.busy_share


def _dynamic(static: Run, dynamic: Run) -> Text:
    waits = _timed_wait(static, dynamic)
    ttft = f"{dynamic.mean_ttft_s():.2f} s", f"{static.mean_ttft_s():.2f} s"
    zh = (
        f"**动态批处理只改了何时开始。** 限时等待之后，{waits.zh}（平均 TTFT {ttft[0]}，静态 {ttft[1]}）。"
        f"批一旦开始就不变，仍有 {dynamic.wasted_share:.0%} 白算（静态 {static.wasted_share:.0%}）。"
    )
    en = (
        f"**Dynamic batching only changes when a batch starts.** With a timed wait, {waits.en} (mean TTFT "
        f"{ttft[0]}, static {ttft[1]}). A batch that has begun does not change: {dynamic.wasted_share:.0%} "
        f"is still computed for nothing (static {static.wasted_share:.0%})."
    )
    return Text(zh=zh, en=en)


def _timed_wait(static: Run, dynamic: Run) -> Text:
    """What it did: nothing where requests come so fast that batches are full before the time is over."""
    batches = [len({one.admitted_s for one in run.served}) for run in (static, dynamic)]
    if batches[0] == batches[1]:
        return Text(
            zh="批在时限之前就满了，与静态的一样，差别只是机器的波动",
            en="batches were full before the time was over, as static ones are, and differences are the "
            "machine's",
        )
    if dynamic.mean_ttft_s() < static.mean_ttft_s():
        return Text(zh="不必等凑满，来了的先走", en="nobody need wait until a batch is full")
    return Text(
        zh="先到的先走，但不满的批占住引擎，后来的反而等得更久",
        en="the first leave sooner, but a batch that is not full holds the engine, and the next wait longer",
    )


def _chunked(continuous: Run, chunked: Run) -> Text:
    longest = max(one.request.input_tokens for one in continuous.served)
    before, after = continuous.largest_step, chunked.largest_step
    zh = (
        f"**分块预填充限制的是一步有多大。** 不分块时，最大的一步算了 {before} 个 token（最长的提示词 "
        f"{longest} 个），"
        f"正在解码的都要等它；分块后最大的一步 {after} 个。任一回答的最长停顿："
        f"{1e3 * continuous.longest_gap_s:.0f} "
        f"ms 与 {1e3 * chunked.longest_gap_s:.0f} ms。代价是长提示词要分几步才算完：平均 TTFT "
        f"{continuous.mean_ttft_s():.2f} s 与 {chunked.mean_ttft_s():.2f} s。"
    )
    en = (
        f"**Chunked prefill bounds how big a step is.** Without it the largest step computed {before} tokens "
        "(the "
        f"longest prompt has {longest}), and all who decode waited for it; with it, {after}. The longest "
        "stall "
        f"within an answer: {1e3 * continuous.longest_gap_s:.0f} ms and {1e3 * chunked.longest_gap_s:.0f} "
        "ms. "
        f"The price: a long prompt takes several steps. Mean TTFT: {continuous.mean_ttft_s():.2f} s and "
        f"{chunked.mean_ttft_s():.2f} s."
    )
    return Text(zh=zh, en=en)


def _answers(runs: Sequence[Run]) -> Text:
    """That the race compares like with like: the tokens are the same whatever the batch."""
    first, *others = runs
    differ = sum(
        one.answer != other.answer
        for run in others
        for one, other in zip(first.served, run.served, strict=True)
    )
    count = len(first.served) * len(others)
    if not differ:
        return Text(
            zh=f"批怎么组不影响内容：{count} 个回答与{TITLES[first.strategy].zh}的逐 token 相同。",
            en=f"How a batch is formed does not change what is said: all {count} answers equal those of "
            f"{TITLES[first.strategy].en} batching, token by token.",
        )
    return Text(
        zh=f"{count} 个回答中有 {count - differ} 个与{TITLES[first.strategy].zh}的逐 token 相同。其余的在两个"
        "几乎"
        "一样可能的 token 间选了另一个：批的形状不同，浮点加法的次序就不同（FP32 权重时少见）。",
        en=f"Of {count} answers {count - differ} equal those of {TITLES[first.strategy].en} batching, token "
        "by "
        "token. The others chose differently between two tokens about as likely: in a batch of another shape "
        "floating point adds up in another order (seldom with FP32 weights).",
    )


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
