"""What the heads mode shows: sizes by formula, bytes that kernels ask for, times against the bandwidth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.attention.head_loads import COUNTED_CONTEXT, HEAD_DIM, divisors
from labs.formulas.kv_compression import decode_intensity, repeated_kv_bytes, tensor_core_rows
from labs.paging.speed_views import METHOD
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Lines,
    Markdown,
    Metric,
    Provenance,
    Series,
    Table,
    array,
)
from labs.text import Text, same
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.attention.head_loads import Loaded
    from labs.attention.heads_run import Study
    from labs.paging.paths import Measured

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
REPEATED = Text(zh="torch：先复制 KV 头", en="torch: KV heads repeated")
COUNTED = Text(
    zh=f"Triton 解释器里逐地址数的读取，{COUNTED_CONTEXT} 个 token、FP32",
    en=f"loads counted by address in Triton's interpreter, {COUNTED_CONTEXT} tokens, FP32",
)
KV_FORMULA = Text(
    zh="2 × 序列数 × 上下文 × KV 头数 × 头维度 × 每个数的字节",
    en="2 × sequences × context × KV heads × head dim × bytes a number",
)


def kind(heads: int, kv_heads: int) -> str:
    return "MHA" if kv_heads == heads else "MQA" if kv_heads == 1 else "GQA"


def sizes(study: Study) -> Table:
    """Each number of KV heads by formula: what the step reads, its intensity, the matrix rows in use."""
    rows: list[list[Text | float | int | None]] = []
    for kv_heads in divisors(study.heads):
        shape = study.shape(kv_heads)
        group = study.heads // kv_heads
        rows.append(
            [
                kv_heads,
                same(kind(study.heads, kv_heads)),
                group,
                shape.traffic(0).kv_bytes,
                shape.traffic(0).flops,
                decode_intensity(study.heads, kv_heads, shape.element_bytes),
                100 * tensor_core_rows(group),
            ]
        )
    return Table(
        id="sizes",
        title=Text(zh="一层、一步解码要读的 KV", en="KV that a layer reads in a decode step"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="KV 头", en="KV heads")),
            Column(title=Text(zh="称为", en="called")),
            Column(
                title=Text(zh="组", en="group"),
                help=Text(zh="共用一个 KV 头的查询头数 G。", en="Query heads that share a KV head, G."),
            ),
            Column(title=Text(zh="读 KV", en="KV read"), unit="B"),
            Column(title=Text(zh="计算量", en="FLOPs"), unit="FLOP"),
            Column(
                title=Text(zh="算术强度", en="intensity"),
                unit="FLOP/B",
                help=Text(
                    zh="每读一个字节做几次运算：读得越少越高。计算量不随 KV 头数变。",
                    en="Operations a byte read. It rises as less is read; the FLOPs stay.",
                ),
            ),
            Column(
                title=Text(zh="行利用", en="rows in use"),
                unit="%",
                help=Text(
                    zh="矩阵指令一次至少 16 行；一组 G 个查询只占 G 行，其余补零。",
                    en="A tensor core takes 16 rows at least; a group fills G of them, the rest are zeros.",
                ),
            ),
        ],
        rows=rows,
        highlight=divisors(study.heads).index(study.kv_heads),
        source=KV_FORMULA,
        wide=True,
    )


def load_figures(study: Study) -> Iterator[Metric]:
    """The chosen number of KV heads, as the grouped kernel reads it in the interpreter."""
    grouped, alone = (_loaded(study, study.kv_heads, way) for way in (True, False))
    row = 2 * COUNTED_CONTEXT * HEAD_DIM * 4
    yield Metric(
        id="asked_bytes",
        title=Text(zh="分组内核读的 KV", en="KV that the grouped kernel asks for"),
        provenance=_MEASURED,
        unit="B",
        value=grouped.asked_bytes if grouped.passed else None,
        predicted=float(row * study.kv_heads),
        formula=Text(
            zh=f"2 × {COUNTED_CONTEXT} × KV 头数 × {HEAD_DIM} × 4 B",
            en=f"2 × {COUNTED_CONTEXT} × KV heads × {HEAD_DIM} × 4 B",
        ),
        source=COUNTED,
    )
    yield Metric(
        id="asked_alone",
        title=Text(zh="每个查询头各读各的", en="A program a query head"),
        provenance=_MEASURED,
        unit="B",
        value=alone.asked_bytes if alone.passed else None,
        predicted=repeated_kv_bytes(
            COUNTED_CONTEXT, heads=study.heads, head_dim=HEAD_DIM, bytes_per_element=4
        ),
        formula=Text(
            zh=f"2 × {COUNTED_CONTEXT} × 查询头数 × {HEAD_DIM} × 4 B",
            en=f"2 × {COUNTED_CONTEXT} × query heads × {HEAD_DIM} × 4 B",
        ),
        help=Text(
            zh="缓存里 KV 一样小，但内核不懂分组，同一行被读 G 次；能不能省，全看 L2 缓存命不命中。",
            en="The cache is just as small, but the kernel knows no groups and asks for each row G times; "
            "whether memory sees that depends on the L2 cache.",
        ),
        source=COUNTED,
    )


def _loaded(study: Study, kv_heads: int, grouped: bool) -> Loaded:
    return next(one for one in study.loaded if (one.kv_heads, one.grouped) == (kv_heads, grouped))


def load_bars(study: Study) -> Bars:
    counts = divisors(study.heads)

    def asked(grouped: bool) -> list[float]:
        found = [_loaded(study, count, grouped) for count in counts]
        return [one.asked_bytes if one.passed else math.nan for one in found]

    return Bars(
        id="loads",
        title=Text(zh="内核要求读的 KV 字节", en="Bytes of KV that the kernel asks for"),
        help=Text(
            zh="两个内核算的一样，也都与朴素公式核对过。分组的让一组查询共用读进来的一块 K、V。",
            en="Both compute the same and were checked against the naive formula. The grouped one lets a "
            "group's queries share each tile of K and V once it is read.",
        ),
        provenance=_MEASURED,
        unit="B",
        categories=[same(f"{count} ({kind(study.heads, count)})") for count in counts],
        y=Axis(title=Text(zh="读取", en="asked for"), unit="B"),
        series=[
            BarSeries(
                name=Text(zh="分组：一个程序一个 KV 头", en="grouped: a program a KV head"),
                values=array(asked(True)),
            ),
            BarSeries(
                name=Text(zh="不分组：一个程序一个查询头", en="ungrouped: a program a query head"),
                values=array(asked(False)),
            ),
        ],
        source=COUNTED,
    )


def _kernel(study: Study) -> str:
    return "triton" if ("triton", study.kv_heads) in study.timed else "native"


def time_figures(study: Study) -> Iterator[Metric]:
    found = study.timed.get((_kernel(study), study.kv_heads))
    if found is None or found.timing is None:
        return
    yield Metric(
        id="time",
        title=Text(zh="一层注意力，一步", en="One layer's attention, one step"),
        provenance=_MEASURED,
        unit="s",
        value=found.timing.median_s,
        low=found.timing.low_s,
        high=found.timing.high_s,
        predicted=found.needed_bytes / study.bandwidth,
        formula=Text(zh="要读的字节 ÷ 实测带宽", en="bytes to read / measured bandwidth"),
        better="lower",
        source=METHOD,
    )
    full = study.timed.get((_kernel(study), study.heads))
    if full is not None and full.timing is not None and study.kv_heads < study.heads:
        yield Metric(
            id="speedup",
            title=Text(zh="比 MHA 快", en="Faster than MHA"),
            provenance=_MEASURED,
            unit="×",
            value=full.seconds / found.seconds,
            predicted=full.needed_bytes / found.needed_bytes,
            formula=Text(zh="要读的字节之比", en="ratio of bytes to read"),
            better="higher",
            source=METHOD,
        )


def time_curve(study: Study) -> Lines:
    counts, series = divisors(study.heads), []
    for name in dict.fromkeys(way for way, _ in study.timed):
        found = [study.timed[name, count] for count in counts if (name, count) in study.timed]
        if any(one.timing for one in found):
            series.append(
                Series(
                    name=found[0].way.title,
                    x=array([one_count for one_count in counts if (name, one_count) in study.timed]),
                    y=array([one.seconds for one in found]),
                )
            )
    bound = [study.shape(count).traffic(0).moved_bytes / study.bandwidth for count in counts]
    series.append(
        Series(
            name=Text(zh="只读一遍 KV（按带宽）", en="reading KV once (by bandwidth)"),
            x=array(counts),
            y=array(bound),
            provenance=_ESTIMATED,
            reference=True,
        )
    )
    return Lines(
        id="times",
        title=Text(zh="KV 头数与一步的时间", en="KV heads and the time of a step"),
        help=Text(
            zh="查询头数不变，计算量不变，只有要读的 KV 变。复制开再算的那条不降：它读写的仍是 MHA 的字节。",
            en="Query heads and FLOPs stay; only the KV to read changes. The curve that repeats does not "
            "fall: it still moves the bytes of MHA.",
        ),
        provenance=_MEASURED,
        unit="s",
        x=Axis(title=Text(zh="KV 头数", en="KV heads"), log=True),
        y=Axis(title=Text(zh="每步", en="a step"), unit="s", log=True),
        series=series,
        source=METHOD,
        wide=True,
    )


def table(study: Study) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for (_, count), one in sorted(study.timed.items(), key=lambda item: (item[0][1], item[0][0])):
        rows.append(
            [
                count,
                one.way.title,
                one.difference,
                one.timing.median_s if one.timing else None,
                100 * one.share(study.bandwidth) if one.timing else None,
                one.reason or Text(zh="通过", en="passed"),
            ]
        )
    return Table(
        id="times_table",
        title=Text(zh="各种做法", en="All ways"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="KV 头", en="KV heads")),
            Column(title=Text(zh="做法", en="way")),
            Column(
                title=Text(zh="误差", en="off by"),
                help=Text(zh="与朴素公式的相对差。", en="Relative, from the naive formula."),
            ),
            Column(title=Text(zh="每步", en="a step"), unit="s"),
            Column(
                title=Text(zh="占带宽", en="of the bandwidth"),
                unit="%",
                help=Text(
                    zh="必须读的字节 ÷ 时间 ÷ 实测带宽。", en="Bytes that must be read / time / bandwidth."
                ),
            ),
            Column(title=Text(zh="检查", en="check")),
        ],
        rows=rows,
        source=METHOD,
        wide=True,
    )


def explanation(study: Study) -> Markdown:
    chosen, full = (study.timed.get((_kernel(study), count)) for count in (study.kv_heads, study.heads))
    repeated = study.timed.get(("repeat", study.kv_heads))
    group = study.heads // study.kv_heads
    zh = f"**字节。** {study.heads} 个查询头、{study.kv_heads} 个 KV 头：每步要读的 KV 是 MHA 的 1/{group}。"
    en = (
        f"**Bytes.** {study.heads} query heads on {study.kv_heads} KV heads: a step reads 1/{group} of the "
        "KV of MHA. "
    )
    if study.loaded:
        grouped, alone = (_loaded(study, study.kv_heads, way) for way in (True, False))
        ratio = alone.asked_bytes / grouped.asked_bytes
        zh += f"缓存变小不等于读得少：不分组的内核仍要读 {ratio:.0f} 倍，分组的一字节不多。"
        en += (
            f"A smaller cache is not yet less to read: the ungrouped kernel still asks for {ratio:.0f} times "
            "as much, the grouped one for not a byte more than it must."
        )
    if study.not_counted:
        zh, en = (
            zh + f"（没有数读取：{study.not_counted.zh}）",
            en + f" (Not counted: {study.not_counted.en}.)",
        )
    time = _time_text(study, chosen, full, repeated)
    zh, en = zh + time.zh, en + time.en
    zh += (
        "\n\n**计算量没变。** 每个查询头仍与每个位置做点积；省的是搬运。解码受带宽限制，所以搬运就是时间；"
        "预填充受计算限制，GQA 在那里几乎不快。"
    )
    en += (
        "\n\n**The FLOPs stay.** Each query head still meets every position; what is saved is moving. "
        "Decode is bound by bandwidth, so moving is the time; prefill is bound by compute, and GQA hardly "
        "helps there."
    )
    if warning := noise_warning([one.timing for one in study.timed.values() if one.timing]):
        zh, en = f"{zh}\n\n{warning.zh}", f"{en}\n\n{warning.en}"
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )


def _time_text(
    study: Study, chosen: Measured | None, full: Measured | None, repeated: Measured | None
) -> Text:
    if chosen is None or full is None or chosen.timing is None or full.timing is None:
        reason = chosen.reason if chosen and chosen.reason else None
        why = Text(zh="内核没有计时", en="the kernel was not timed")
        return Text(zh=f"\n\n**时间。** {(reason or why).zh}。", en=f"\n\n**Time.** {(reason or why).en}.")
    zh = f"\n\n**时间。** 分组内核比 MHA 快 {full.seconds / chosen.seconds:.1f} 倍"
    en = f"\n\n**Time.** The grouped kernel is {full.seconds / chosen.seconds:.1f} times faster than MHA"
    if repeated is not None and repeated.timing is not None:
        zh += f"；先复制开再算的要 {repeated.seconds / chosen.seconds:.1f} 倍于它的时间。"
        en += f"; repeating the heads first takes {repeated.seconds / chosen.seconds:.1f} times as long. "
    share, before = (one.share(study.bandwidth) for one in (chosen, full))
    if share < before:
        zh += (
            f"它只占实测带宽的 {share:.0%}，MHA 占 {before:.0%}：KV 越少，不随它变少的（查询、softmax、"
            "线程起停）越显眼。"
        )
        en += (
            f"It has {share:.0%} of the measured bandwidth, MHA {before:.0%}: with less KV what does not "
            "shrink with it (queries, softmax, waking threads) shows."
        )
    return Text(zh=zh, en=en)
