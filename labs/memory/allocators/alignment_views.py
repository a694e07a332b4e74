"""Waste against alignment, and reads that are aligned or not, with what this machine says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.allocation import expected_rounding
from labs.memory.allocators import alignment as measured
from labs.results import Axis, Bars, BarSeries, Lines, Mark, Markdown, Metric, Provenance, Series, array
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.memory.allocators.alignment import Pitch, Read, Waste
    from labs.results import Array


def share(one: Waste) -> float:
    """Of what is granted, per cent that nobody asked for."""
    return 100 * (1 - one.asked / one.granted)


def predicted_share(alignment: int, mean: float) -> float:
    added = expected_rounding(alignment)
    return 100 * added / (mean + added)


def waste_curve(wastes: Sequence[Waste], current: int, count: int) -> Lines:
    mean = wastes[0].asked / count
    x = array([one.alignment for one in wastes])
    return Lines(
        id="waste_curve",
        title=Text(zh="对齐浪费多少", en="What alignment wastes"),
        help=Text(
            zh=f"{count} 个请求，64 B 到 64 KiB，平均 {mean / 1024:.1f} KiB，首次适应分配。虚线：每次平均"
            "多给 "
            "(A − 1) / 2 字节，只在 A 比请求小得多时成立。",
            en=f"{count} requests of 64 B to 64 KiB, {mean / 1024:.1f} KiB on average, first fit. Dashed: "
            "(A − 1) / 2 bytes more each, which holds only while A is much smaller than the requests.",
        ),
        provenance=Provenance.SIMULATED,
        unit="%",
        x=Axis(title=Text(zh="对齐 A", en="alignment A"), unit="B", log=True),
        y=Axis(title=Text(zh="给出而没人要的", en="granted, not asked for"), unit="%"),
        series=[
            Series(name=Text(zh="模拟", en="simulated"), x=x, y=array([share(one) for one in wastes])),
            Series(
                name=Text(zh="公式 (A − 1) / 2", en="formula (A − 1) / 2"),
                x=x,
                y=array([predicted_share(one.alignment, mean) for one in wastes]),
                provenance=Provenance.ESTIMATED,
                reference=True,
            ),
        ],
        marks=[Mark(x=current, name=Text(zh="当前", en="current"))],
    )


def waste_metric(one: Waste) -> Metric:
    return Metric(
        id="waste",
        title=Text(zh=f"对齐到 {one.alignment} B 的浪费", en=f"Waste when aligned to {one.alignment} B"),
        provenance=Provenance.SIMULATED,
        unit="%",
        value=share(one),
        better="lower",
    )


def read_bars(cached: Sequence[Read], streamed: Sequence[Read]) -> Bars:
    groups = {
        Text(zh="16 KiB，在一级缓存里", en="16 KiB, in the first cache"): cached,
        Text(zh="32 MiB", en="32 MiB"): streamed,
    }
    longest = max(groups.values(), key=len)
    return Bars(
        id="reads",
        title=Text(zh="起点偏移对读取速度的影响", en="Reading from an offset"),
        help=Text(
            zh="从 64 字节边界往后偏移若干字节，求 float32 向量与自己的点积（BLAS，向量指令）。须是 4 的倍"
            "数，每个"
            "数才各自对齐。",
            en="The dot product of a float32 vector with itself (BLAS, vector instructions), which begins so "
            "many bytes past a 64-byte boundary. Multiples of 4 keep each number aligned.",
        ),
        provenance=Provenance.MEASURED,
        unit="GB/s",
        categories=[same(f"+{one.offset} B") for one in longest],
        series=[
            BarSeries(
                name=name,
                values=_padded([1e-9 * r.nbytes / r.timing.median_s for r in some], len(longest)),
                low=_padded([1e-9 * r.nbytes / r.timing.high_s for r in some], len(longest)),
                high=_padded([1e-9 * r.nbytes / r.timing.low_s for r in some], len(longest)),
            )
            for name, some in groups.items()
        ],
        y=Axis(title=Text(zh="读取速度", en="read"), unit="GB/s"),
    )


def pitch_bars(pitches: Sequence[Pitch]) -> Bars:
    each = measured.ROWS
    return Bars(
        id="pitches",
        title=Text(zh="行距是 2 的幂：太整齐也不好", en="Rows a power of two apart: too well aligned"),
        help=Text(
            zh=f"把 {each} 行里的同一列加起来，每个数各在一条缓存行。行距 4096 B 时它们挤在少数几个缓存组"
            "里，互相"
            "赶出去；多垫 64 B 就错开了。",
            en=f"One column of {each} rows is added up, each number in a cache line of its own. Rows 4096 B "
            "apart meet in few cache sets and push each other out; 64 B of padding spread them.",
        ),
        provenance=Provenance.MEASURED,
        unit="ns",
        categories=[same(f"{one.pitch} B") for one in pitches],
        series=[
            BarSeries(
                name=Text(zh="每个数", en="a number"),
                values=array([1e9 * one.timing.median_s / each for one in pitches]),
            )
        ],
        y=Axis(title=Text(zh="时间", en="time"), unit="ns"),
    )


def _padded(values: list[float], count: int) -> Array:
    return array(values + [float("nan")] * (count - len(values)))


def explanation(
    wastes: Sequence[Waste], streamed: Sequence[Read], cached: Sequence[Read], pitches: Sequence[Pitch]
) -> Markdown:
    at = {one.alignment: share(one) for one in wastes}
    rate = {one.offset: 1e-9 * one.nbytes / one.timing.median_s for one in streamed}
    inner = {one.offset: 1e-9 * one.nbytes / one.timing.median_s for one in cached}
    even = [rate[offset] for offset in measured.OFFSETS if offset and offset % 32]
    crooked = sum(even) / len(even)
    lost = 100 * (1 - crooked / rate[0])
    verdict = (
        Text(zh="在这台机器上差别看得见", en="on this machine the difference shows")
        if lost > 5
        else Text(zh="在这台机器上几乎没有差别", en="on this machine there is hardly a difference")
    )
    parts = [
        Text(
            zh=f"**对齐要花多少。** 对齐到 512 B（PyTorch 的最小粒度）浪费 {at[512]:.1f}%，到 4 KiB 是 "
            f"{at[4096]:.0f}%，到 64 KiB 是 {at[65536]:.0f}%：对齐一旦大过请求，每个请求都得占一整格，公式"
            "也就"
            "不再适用。所以大粒度（如 2 MiB）只用于大块。",
            en=f"**What alignment costs.** To 512 B (PyTorch's smallest unit) {at[512]:.1f} % are wasted, to "
            f"4 KiB {at[4096]:.0f} %, to 64 KiB {at[65536]:.0f} %: beyond the size of the requests each "
            "takes "
            "a whole unit, and the formula no longer holds. So a coarse unit, such as 2 MiB, is for large "
            "blocks.",
        ),
        Text(
            zh=f"**每个数对齐，向量不对齐。** 读 32 MiB：对齐时 {rate[0]:.0f} GB/s，偏移 4、16、60 B 时平均 "
            f"{crooked:.0f} GB/s，差 {lost:.0f}%，{verdict.zh}。跨缓存行的向量读要碰两条行。",
            en=f"**Each number aligned, the vectors not.** Reading 32 MiB: {rate[0]:.0f} GB/s aligned, "
            f"{crooked:.0f} GB/s on average from offsets 4, 16 and 60 B, {lost:.0f} % less: {verdict.en}. A "
            "vector across two cache lines touches both.",
        ),
        Text(
            zh=f"**连每个数都不对齐。** 偏移 1 B：32 MiB 只有 {rate[1]:.1f} GB/s，16 KiB 从 "
            f"{inner[0]:.0f} 掉到 "
            f"{inner[1]:.1f} GB/s。numpy 不敢直接算，先复制一份：罚的是那次复制，不是读取本身。",
            en=f"**Not even the numbers.** Offset 1 B: {rate[1]:.1f} GB/s for 32 MiB, and {inner[1]:.1f} "
            f"instead of {inner[0]:.0f} GB/s for 16 KiB. numpy copies first: that copy is the penalty, not "
            "the read.",
        ),
        _too_well(pitches),
    ]
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        body=Text(zh="\n\n".join(p.zh for p in parts), en="\n\n".join(p.en for p in parts)),
        wide=True,
    )


def _too_well(pitches: Sequence[Pitch]) -> Text:
    each = {one.pitch: 1e9 * one.timing.median_s / measured.ROWS for one in pitches}
    even, padded = each[4096], each[4096 + 64]
    ratio = even / padded
    verdict = (
        Text(
            zh=f"{ratio:.1f} 倍，对齐不是越大越好",
            en=f"a factor of {ratio:.1f}: more alignment is not better",
        )
        if ratio > 1.15
        else Text(
            zh="这次没有量出差别（机器忙的时候会这样，再跑一次）",
            en="no difference this time, as happens while the machine is busy: run it again",
        )
    )
    return Text(
        zh=f"**太整齐。** 行距 4096 B 时每个数要 {even:.1f} ns，垫到 4160 B 是 {padded:.1f} ns："
        f"{verdict.zh}。",
        en=f"**Too well aligned.** With rows 4096 B apart a number takes {even:.1f} ns, padded to 4160 B "
        f"{padded:.1f} ns: {verdict.en}.",
    )
