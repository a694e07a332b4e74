"""What the roofline says, in the run's own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.results import Markdown, Provenance
from labs.roofline.placed import VERDICTS
from labs.roofline.streams import library
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.measure import Timing
    from labs.roofline.machine import Machine
    from labs.roofline.model_views import Found
    from labs.roofline.next_steps import NextStep
    from labs.roofline.placed import Placed

_ABOVE = 1.05  # of a bound: what timings of a quiet machine differ by


def prose(parts: Sequence[Text], result_id: str = "explanation") -> Markdown:
    """Paragraphs as the closing words of a run."""
    return Markdown(
        id=result_id,
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        body=Text(zh="\n\n".join(part.zh for part in parts), en="\n\n".join(part.en for part in parts)),
        wide=True,
    )


def model_explanation(
    found: Found, steps: Sequence[NextStep], checked: dict[str, Timing], machine: Machine
) -> Markdown:
    timings = [one.timing for one in found.parts if one.timing]
    parts = [_where(found), _bounds(found), _gap(found), *_next(found, steps, checked)]
    parts.extend(above_roof(found.parts))
    parts.extend(roofs_by_torch(machine))
    if warning := noise_warning([*timings, *machine.timings]):
        parts.append(warning)
    return prose(parts)


def above_roof(placed: Sequence[Placed]) -> Iterator[Text]:
    """Why some were faster than their bound: what carried their data, or a roof measured too low."""
    if above := [one for one in placed if one.timing and one.share > _ABOVE]:
        most = max(above, key=lambda one: one.share)
        yield Text(
            zh=f"**{len(above)} 个点高过屋顶**，最高的是{most.title.zh}（{most.share:.0%}）。在斜线上"
            "方：数据有一部分来自缓存，不是内存。在平线上方：量屋顶的时候机器更忙，屋顶量低了；等它闲下来，打开“重"
            "新测屋顶”再运行。",
            en=f"**Points above a roof: {len(above)}**, {most.title.en} the highest ({most.share:.0%}). "
            "Above the slope: a part of the data came from a cache, not from memory. Above the level part: "
            "the machine was busier while its roofs were measured; run again with “Measure the roofs again” "
            "when it is quiet.",
        )


def roofs_by_torch(machine: Machine) -> Iterator[Text]:
    """Where the roofs' own kernels do not compile: why, and what stands in for them."""
    kernels = library()
    if machine.device == "cpu" and isinstance(kernels, Text):
        yield Text(
            zh=f"**没有原生内核**：{kernels.zh}。带宽改用 torch 的算子测，小数据里含派发开销；乘加循环没有"
            "测。",
            en=f"**No native kernels**: {kernels.en}. Bandwidth is measured with torch's operators, whose "
            "dispatch counts where the data is small; the loops were not measured.",
        )


def _where(found: Found) -> Text:
    assert found.roof is not None
    intensity, ridge = found.demand.intensity, found.roof.ridge
    side_zh, side_en = ("低于", "below") if intensity < ridge else ("高于", "above")
    bound_zh, bound_en = ("带宽", "bandwidth") if intensity < ridge else ("计算", "computing")
    return Text(
        zh=f"**在屋顶的哪一边。** 整步每字节 {intensity:.2f} 次运算，{side_zh}拐点 {ridge:.1f}"
        f"（{found.roof.peak / 1e9:.0f} GFLOP/s ÷ {found.roof.bandwidth / 1e9:.0f} GB/s），"
        f"所以上限由{bound_zh}定。",
        en=f"**Which side of the roof.** {intensity:.2f} FLOPs a byte, {side_en} the ridge at {ridge:.1f} "
        f"({found.roof.peak / 1e9:.0f} GFLOP/s over {found.roof.bandwidth / 1e9:.0f} GB/s): {bound_en} is "
        "the bound.",
    )


def _bounds(found: Found) -> Text:
    total = found.parts_s
    by_verdict: dict[str, float] = {}
    for one in found.parts:
        by_verdict[one.verdict] = by_verdict.get(one.verdict, 0.0) + one.count * one.seconds / total
    ordered = sorted(by_verdict.items(), key=lambda item: -item[1])
    zh = "，".join(f"{VERDICTS[name].zh} {share:.0%}" for name, share in ordered)  # type: ignore[index]
    en = ", ".join(f"{VERDICTS[name].en} {share:.0%}" for name, share in ordered)  # type: ignore[index]
    largest = max(found.parts, key=lambda one: one.count * one.seconds)
    share = largest.count * largest.seconds / total
    return Text(
        zh=f"**时间按判断分。** {zh}。最大的一块是{largest.title.zh}，占 {share:.0%}，达到它自己上限的 "
        f"{largest.share:.0%}。",
        en=f"**Time by verdict.** {en}. The largest part is {largest.title.en} with {share:.0%}, at "
        f"{largest.share:.0%} of its own bound.",
    )


def _gap(found: Found) -> Text:
    assert found.whole is not None
    step, parts, bound = found.whole.median_s, found.parts_s, found.bound_s
    rest = step - parts
    rest_zh = f"其余 {1e3 * rest:.1f} ms 是部分之间的 Python 与杂项" if rest > 0 else "之间没有剩下什么"
    rest_en = (
        f"the other {1e3 * rest:.1f} ms are Python between the parts and the rest"
        if rest > 0
        else "nothing is left between them"
    )
    return Text(
        zh=f"**离上限多远。** 一步实测 {1e3 * step:.1f} ms，下界之和 {1e3 * bound:.1f} ms，达到 "
        f"{bound / step:.0%}。"
        f"各部分单独计时相加是 {1e3 * parts:.1f} ms，{rest_zh}。",
        en=f"**How far from the bound.** A step takes {1e3 * step:.1f} ms, its bounds add up to "
        f"{1e3 * bound:.1f} ms: {bound / step:.0%}. The parts, timed alone, add up to {1e3 * parts:.1f} ms; "
        f"{rest_en}.",
    )


def _next(found: Found, steps: Sequence[NextStep], checked: dict[str, Timing]) -> Iterator[Text]:
    before = found.parts_s
    best = max(steps, key=lambda one: one.gain(before))
    least = min(steps, key=lambda one: one.gain(before))
    yield Text(
        zh=f"**下一步。** 按上限推算，最值的是“{best.title.zh}”（吞吐 {best.gain(before):.2f} 倍），最不值的"
        "是"
        f"“{least.title.zh}”（{least.gain(before):.2f} 倍）：改的不是它的瓶颈。",
        en=f"**The next step.** By the bounds “{best.title.en}” buys the most ({best.gain(before):.2f} times "
        f"the throughput) and “{least.title.en}” the least ({least.gain(before):.2f} times): it is not what "
        "limits the step.",
    )
    for step in steps:
        tried = checked.get(step.name)
        if tried is None or found.whole is None:
            continue
        real, said = step.work * found.whole.median_s / tried.median_s, step.gain(before)
        near = abs(real / said - 1) < 0.2
        yield Text(
            zh=f"**当场验证。** {step.title.zh}：预计 {said:.2f} 倍，实测 {real:.2f} 倍。"
            + ("相符。" if near else "不符：换了形状，内核达到上限的份额也变了。"),
            en=f"**Tried at once.** {step.title.en}: predicted {said:.2f} times, measured {real:.2f} times. "
            + (
                "They agree."
                if near
                else "They differ: at another shape kernels reach another share of the bound."
            ),
        )
