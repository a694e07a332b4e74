"""What one sees in a run of the kernel fusion lab, and why, from the run's own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.fusion.chains.product_views import slack_at
from labs.results import Markdown, Provenance
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from labs.fusion.chains.outcome import Outcome, Setting


def story(outcome: Outcome) -> Markdown:
    parts = [_bytes(outcome), _expected(outcome), _cut(outcome), _cost(outcome), _here(outcome)]
    told = [one for one in parts if one is not None]
    return Markdown(
        id="story",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        wide=True,
        body=Text(
            zh="\n\n".join(one.zh for one in told),
            en="\n\n".join(one.en for one in told),
        ),
    )


def _bytes(outcome: Outcome) -> Text:
    apart, chosen, one = (outcome.counted[cut] for cut in ("apart", "chosen", "one"))
    if not outcome.passed:
        return Text(
            zh="**结果与参照不符**，所以不谈速度。",
            en="**The outputs differ from the reference**, so no speed is told.",
        )
    return Text(
        zh=f"**字节**：每步一个内核搬 {apart.bytes:,} B，所选的切分 {chosen.bytes:,} B（"
        f"前者的 {chosen.bytes / apart.bytes:.0%}），全部融合 {one.bytes:,} B。计算一步没少，"
        f"少的只是中间结果的写出与读回。相对误差依次为 {apart.gap:.1e}、{chosen.gap:.1e}、{one.gap:.1e}："
        "留在 fp32 寄存器里的值不被舍入。",
        en=f"**Bytes**: a kernel a step moves {apart.bytes:,} B, the cut chosen {chosen.bytes:,} B "
        f"({chosen.bytes / apart.bytes:.0%} of that), all in one {one.bytes:,} B. Not one operation fewer is "
        f"computed: only intermediates are no longer written and read. The relative error is "
        f"{apart.gap:.1e}, {chosen.gap:.1e} and {one.gap:.1e}: what stays in fp32 registers is not rounded.",
    )


def _expected(outcome: Outcome) -> Text | None:
    if not outcome.passed:
        return None
    apart, chosen, one = (outcome.seconds(cut) * 1e6 for cut in ("apart", "chosen", "one"))
    share, name = outcome.launches_s("apart") / apart * 1e6, outcome.setting.device.title
    rest = Text(zh="省的主要是流量", en="traffic is most of it")
    if outcome.setting.multiplies:
        rest = Text(zh="大头是矩阵乘本身", en="the product itself is most of it")
    most = Text(zh="省的主要是启动", en="launches are most of it") if share > 0.5 else rest
    tokens = outcome.setting.tokens
    return Text(
        zh=f"**{name}，{tokens} 行（推算）**：每步一个内核 {apart:.3g} µs，"
        f"所选 {chosen:.3g} µs，全部融合 {one:.3g} µs；不是实测。未融合时启动占 "
        f"{share:.0%}，{most.zh}。",
        en=f"**{name}, {tokens} rows (estimated)**: apart {apart:.3g} µs, as chosen "
        f"{chosen:.3g} µs, all in one {one:.3g} µs; not measured. "
        f"Launching is {share:.0%} of the unfused time: {most.en}.",
    )


def _cut(outcome: Outcome) -> Text | None:
    setting = outcome.setting
    if not (setting.multiplies and outcome.passed):
        return None
    most = slack_at(setting, setting.tokens, setting.launch_s)
    return Text(
        zh=f"**切在哪里**：{setting.tokens} 行时，自己的矩阵乘比库的慢得不到 {most:.0%}，带着尾声就划算；"
        "否则切在矩阵乘之后，让 RoPE 与存放合成一个内核。这两步之间再切一刀什么也换不来。",
        en=f"**Where to cut**: at {setting.tokens} rows the epilogue pays while your product is slower than "
        f"a library's by less than {most:.0%}; else cut behind the product and leave RoPE and the layout in "
        "one kernel. The cut between those two buys nothing.",
    )


def _cost(outcome: Outcome) -> Text:
    apart, chosen = outcome.built["apart"], outcome.built["chosen"]
    before, after = max(k.registers for k in apart), max(k.registers for k in chosen)
    least, most = (min(k.residency.occupancy for k in built) for built in (chosen, apart))
    spilled = max(k.spill_bytes for k in chosen)
    zh = f"，**并溢出 {spilled} B**：换更多线程束，或在中间切一刀" if spilled else "，没有溢出"
    en = (
        f", **and {spilled} B spill**: use more warps, or cut the chain"
        if spilled
        else ", and nothing spills"
    )
    return Text(
        zh=f"**代价**：一个线程最多用 {before} → {after} 个寄存器，最低占用率 {most:.0%} → {least:.0%}{zh}。",
        en=f"**What it costs**: at most {before} → {after} registers a thread, least occupancy {most:.0%} → "
        f"{least:.0%}{en}.",
    )


def _here(outcome: Outcome) -> Text | None:
    eager, fused = outcome.eager, outcome.fused
    if eager is None or fused is None:
        return None
    ratio, call = eager.median_s / fused.median_s, outcome.setting.chain.call
    warning = noise_warning([eager, fused]) or Text(zh="计时稳定。", en="The timings are steady.")
    limit = _limit(outcome.setting)
    return Text(
        zh=f"**本机**：torch 逐步调用 {eager.median_s * 1e3:.3g} ms，`{call}` {fused.median_s * 1e3:.3g} ms，"
        f"{ratio:.2f} 倍；{limit.zh}{warning.zh}",
        en=f"**Here**: torch step by step {eager.median_s * 1e3:.3g} ms, `{call}` "
        f"{fused.median_s * 1e3:.3g} ms: {ratio:.2f}x; {limit.en} {warning.en}",
    )


def _limit(setting: Setting) -> Text:
    """What the ratio of two timings here can be at most, and why it is not."""
    if setting.multiplies:
        return Text(
            zh="矩阵乘两边都是同一个调用，占了大部分时间，省下的只是它后面那些遍。",
            en="the product is the same call in both and most of the time; only the passes behind it differ.",
        )
    limit = setting.moved("apart", setting.tokens) / setting.moved("one", setting.tokens)
    return Text(
        zh=f"字节之比允许 {limit:.2f} 倍。差得远，说明这个调用在 CPU 上并不是一趟走完，"
        "或瓶颈在数学函数与内存分配。",
        en=f"the ratio of bytes would allow {limit:.2f}x. Where it is far off, this call is not one pass on "
        "a CPU, or functions such as exp and allocation are the limit.",
    )
