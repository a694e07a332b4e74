"""What one sees in a run of the layer fusion lab, and why, from the run's own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.fusion import crossing
from labs.fusion.layers.stage_views import STEP_TITLES
from labs.fusion.layers.stages import predicted, predicted_saving_s
from labs.results import Markdown, Provenance
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.formulas.decoder_block import Step
    from labs.fusion.layers.stage_views import Found


def explanation(found: Found, missing: list[tuple[Step, Text]]) -> Markdown:
    points = [_kernels(found), _bytes(found), *_time(found), *_int8(found), *_wrong(found)]
    for step, reason in missing:
        name = STEP_TITLES[step]
        points.append(Text(zh=f"没有做「{name.zh}」：{reason.zh}。", en=f"Left out: {name.en}: {reason.en}."))
    points.append(_ELSEWHERE)
    return Markdown(
        id="why",
        title=Text(zh="看到了什么，为什么", en="What you see and why"),
        provenance=Provenance.MEASURED,
        body=Text(
            zh="\n".join(f"- {one.zh}" for one in points), en="\n".join(f"- {one.en}" for one in points)
        ),
    )


# What a Llama block does not have cannot be fused in it.
_ELSEWHERE = Text(
    zh="这个模型的层没有偏置，所以这里没有「偏置 + 激活」：在"
    "[内核融合](lab:operator/kernel_fusion?chain=bias_gelu)里逐步切开它；"
    "[单独的 softmax](lab:operator/kernel_fusion?chain=softmax) 也在那里。",
    en="This model's block has no biases, so there is no bias and activation here: "
    "[kernel fusion](lab:operator/kernel_fusion?chain=bias_gelu) has that chain to be cut at will, and "
    "[softmax by itself](lab:operator/kernel_fusion?chain=softmax).",
)


def _kernels(found: Found) -> Text:
    before, after = found.stages[0].counted, found.stages[-1].counted
    zh = en = ""
    if found.costs:
        call = f"{found.costs.call_s * 1e6:.2g} µs"
        zh, en = f"（此处一次调用 {call}）", f" (one takes {call} here)"
    return Text(
        zh=f"kernel 从 **{before}** 个减到 **{after}** 个，每少一个就少一次调用{zh}。",
        en=f"Kernels fell from **{before}** to **{after}**; each one less is a call less{en}.",
    )


def _bytes(found: Found) -> Text:
    before, after = (
        predicted(found.flow, frozenset()).bytes,
        predicted(found.flow, frozenset(found.chosen)).bytes,
    )
    share = sum(size for name, size in found.flow.sizes.items() if name.startswith("w.")) / after
    return Text(
        zh=f"读写从 {before / 2**20:.4g} MiB 减到 {after / 2**20:.4g} MiB。剩下的 {share:.0%} 是权重，"
        "融合省不掉它：要靠量化或更大的批。",
        en=f"Bytes fell from {before / 2**20:.4g} MiB to {after / 2**20:.4g} MiB. {share:.0%} of what is "
        "left are weights, of which fusing saves nothing: that takes quantisation or a larger batch.",
    )


def _time(found: Found) -> Iterator[Text]:
    warning = noise_warning([one.timing for one in found.stages if one.timing])
    if warning:
        yield warning
        return
    first, last = found.stages[0].timing, found.stages[-1].timing
    if not (first and last and found.costs):
        return
    times = f"{first.median_s * 1e3:.3g} → {last.median_s * 1e3:.3g} ms"
    saved = f"{(first.median_s - last.median_s) * 1e3:.3g} ms"
    expected = f"{predicted_saving_s(found.flow, found.stages[-1].steps, found.costs) * 1e3:.3g} ms"
    yield Text(
        zh=f"时间 {times}，省 {saved}；字节与调用只解释 {expected}。差额在公式之外：指令效率、缓存、"
        "矩阵乘的形状。",
        en=f"Time {times}: {saved} saved; bytes and calls make {expected}. The rest lies outside the formula:"
        " how well instructions are used, caches, the products' shapes.",
    )


def _int8(found: Found) -> Iterator[Text]:
    loss = found.stages[-1].loss
    if loss is None:
        return
    sizes = found.flow.sizes
    wide, narrow = 4 * sizes["codes1"], sizes["codes1"] + sizes["row.scale1"]
    spelled = sum(sum(crossing(found.flow, [f"{name}1"])) for name in _SPELLED)
    yield Text(
        zh=f"量化若单独做，每处读写 {spelled:,} B；放进归一化的内核里，它只是把写出的 {wide:,} B 换成 "
        f"{narrow:,} B（一个数一字节，一行一个缩放）。代价与融合无关：这一层加进残差流的部分与 fp32 差 "
        f"{loss:.2%}。o 与 down 不在归一化之后，这里仍是 fp32。",
        en=f"Quantising by itself moves {spelled:,} B each time; inside the norm's kernel it only writes "
        f"{narrow:,} B in place of {wide:,} (a byte a number, a scale a row). What it costs has nothing to "
        f"do with fusing: what the block adds to the stream is {loss:.2%} off fp32. o and down do not follow "
        "a norm and stay in fp32 here.",
    )


_SPELLED = ("abs", "most", "least", "per_code", "divide", "round", "codes")


def _wrong(found: Found) -> Iterator[Text]:
    if wrong := sum(not one.right for one in found.stages):
        yield Text(
            zh=f"⚠ 有 {wrong} 步的结果超出误差上限，没有给出速度。",
            en=f"⚠ Results of {wrong} stages are beyond the tolerance: no speed is shown for them.",
        )
