"""What the ring mode shows beside the animation: exactness, bytes, balance, and lengths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.distributed.animation import NAME_OF_LAYOUT
from labs.distributed.shape import HEAD_DIM, KV_HEADS, NUMBER_BYTES
from labs.formulas.ring_attention import (
    all_gather_bytes,
    balance,
    block_bytes,
    rank_kv_bytes,
    sent_bytes,
    step_pairs,
)
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
from labs.spec import Prediction
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.distributed.ring_run import Study
    from labs.formulas.ring_attention import Layout

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
SENT_FORMULA = Text(
    zh="(进程数 − 1) × 2 × token/进程数 × KV 头数 × 头维度 × 4 B",
    en="(ranks - 1) × 2 × tokens/ranks × KV heads × head dim × 4 B",
)
HELD_FORMULA = Text(
    zh="min(进程数, 3) 块：自己的、正在用的、正到来的",
    en="min(ranks, 3) blocks: its own, the one in use, the one arriving",
)


def sent(study: Study, tokens: int) -> float:
    return sent_bytes(
        tokens, study.ranks, kv_heads=KV_HEADS, head_dim=HEAD_DIM, bytes_per_element=NUMBER_BYTES
    )


def held(study: Study, tokens: int) -> float:
    return rank_kv_bytes(
        tokens, study.ranks, kv_heads=KV_HEADS, head_dim=HEAD_DIM, bytes_per_element=NUMBER_BYTES
    )


def figures(study: Study) -> Iterator[Metric]:
    """Exactness first: without it no other figure means anything."""
    ran = study.by_layout[study.layout]
    yield Metric(
        id="difference",
        title=Text(zh="与单进程结果之差", en="Off one process's result"),
        provenance=_MEASURED,
        value=ran.difference,
        better="lower",
        help=Text(
            zh="相对误差；FP32 只有加法次序不同。环形注意力是精确的，不是近似。",
            en="Relative; in FP32 only the order of additions differs. Ring attention is exact, no "
            "approximation.",
        ),
        source=Text(zh=f"{study.backend}，对照 torch SDPA", en=f"{study.backend}, against torch's SDPA"),
    )
    yield Metric(
        id="sent_bytes",
        title=Text(zh="每个进程发出的 KV", en="KV that each rank sends"),
        provenance=_MEASURED,
        unit="B",
        value=max(one.sent_bytes for one in ran.records),
        predicted=sent(study, study.tokens),
        formula=SENT_FORMULA,
        source=Text(zh="按实际发送的张量计", en="counted from the tensors that were sent"),
    )
    yield Metric(
        id="held_bytes",
        title=Text(zh="每个进程同时持有的 KV", en="KV on a rank at once"),
        provenance=_MEASURED,
        unit="B",
        value=max(one.held_bytes for one in ran.records),
        predicted=held(study, study.tokens),
        formula=HELD_FORMULA,
        better="lower",
        source=Text(zh="按实际持有的张量计", en="counted from the tensors that were held"),
    )
    if study.causal:
        yield Metric(
            id="balance",
            title=Text(zh="负载均衡", en="Balance"),
            provenance=_MEASURED,
            unit="%",
            value=100 * _measured_balance(study),
            predicted=100 * balance(study.ranks, study.tokens, study.layout),
            formula=BALANCE_FORMULA,
            better="higher",
            help=Text(
                zh="每步都等最慢的进程。总计算量 ÷ (进程数 × 各步最大计算量之和)；100% 表示没人白等。",
                en="Each step waits for its slowest rank: all work / (ranks × the sum over steps of the "
                "largest). At 100% nobody waits.",
            ),
            source=Text(zh="各进程每步算的对数", en="pairs computed by each rank in each step"),
        )


BALANCE_FORMULA = Text(
    zh="全部因果对 ÷ (进程数 × Σ 各步最多的对)", en="all causal pairs / (ranks × sum of each step's most)"
)


def _measured_balance(study: Study) -> float:
    pairs = [one.pairs for one in study.by_layout[study.layout].records]
    most: int = sum(max(step) for step in zip(*pairs, strict=True))
    return sum(map(sum, pairs)) / (study.ranks * most)


def pair_bars(study: Study) -> Bars:
    """Each rank's share of the work, by layout: computed where it has run, else by formula."""
    series = []
    for layout, name in NAME_OF_LAYOUT.items():
        ran = study.by_layout.get(layout)
        steps = step_pairs(study.ranks, study.tokens, layout)
        expected = [sum(step[rank] for step in steps) for rank in range(study.ranks)]
        counted = [sum(one.pairs) for one in ran.records] if ran else expected
        total = sum(expected)
        series.append(
            BarSeries(
                name=name,
                values=array([100 * one / total for one in counted]),
                provenance=_MEASURED if ran else _ESTIMATED,
            )
        )
    return Bars(
        id="pairs",
        title=Text(zh="因果掩码下各进程分到的计算", en="Work of each rank under the causal mask"),
        help=Text(
            zh="连续切分时，后面的进程要看前面所有的块，第 0 个几乎没事做。zigzag 一头一尾搭配，"
            "条纹每隔几个取一个。",
            en="Cut contiguously, late ranks look at all blocks before theirs and rank 0 has next to "
            "nothing. Zigzag pairs a piece from the front with one from the back; stripes take every n-th "
            "token.",
        ),
        provenance=_MEASURED if study.by_layout else _ESTIMATED,
        unit="%",
        categories=[Text(zh=f"进程 {rank}", en=f"rank {rank}") for rank in range(study.ranks)],
        y=Axis(title=Text(zh="占全部对", en="of all pairs"), unit="%"),
        series=series,
        source=BALANCE_FORMULA,
    )


def memory_curve(study: Study) -> Lines:
    lengths = sorted(study.by_length)
    measured = [max(one.held_bytes for one in study.by_length[n].records) for n in lengths]

    def line(values: list[float], zh: str, en: str) -> Series:
        return Series(
            name=Text(zh=zh, en=en), x=array(lengths), y=array(values), provenance=_ESTIMATED, reference=True
        )

    whole = [all_gather_bytes(n, study.ranks, KV_HEADS, HEAD_DIM, NUMBER_BYTES) for n in lengths]
    return Lines(
        id="memory_by_length",
        title=Text(zh="每个进程持有的 KV 与长度", en="KV on a rank against the length"),
        help=Text(
            zh="先全部收集（all-gather）的话，每个进程都要放下整个序列的 KV；环上只有三块。",
            en="If all is gathered first, each rank holds the whole sequence's KV; on the ring it is three "
            "blocks.",
        ),
        provenance=_MEASURED,
        unit="B",
        x=Axis(title=Text(zh="序列长度", en="sequence length"), unit="token"),
        y=Axis(title=Text(zh="一层的 KV", en="KV of a layer"), unit="B"),
        series=[
            Series(name=Text(zh="环，实测", en="ring, measured"), x=array(lengths), y=array(measured)),
            line([held(study, n) for n in lengths], "环，公式", "ring, by formula"),
            line(whole, "全部收集（或单进程）", "all gathered (or one process)"),
        ],
        source=HELD_FORMULA,
    )


def traffic_curve(study: Study) -> Lines:
    lengths = sorted(study.by_length)
    measured = [max(one.sent_bytes for one in study.by_length[n].records) for n in lengths]
    expected = [sent(study, n) for n in lengths]
    return Lines(
        id="traffic_by_length",
        title=Text(zh="每个进程发出的字节与长度", en="Bytes that a rank sends against the length"),
        help=Text(
            zh="通信与长度成正比，计算与长度的平方成正比：序列够长，传输就藏得住。",
            en="Traffic grows with the length, computing with its square: with enough tokens it is hidden.",
        ),
        provenance=_MEASURED,
        unit="B",
        x=Axis(title=Text(zh="序列长度", en="sequence length"), unit="token"),
        y=Axis(title=Text(zh="一层发出的 KV", en="KV sent a layer"), unit="B"),
        series=[
            Series(name=Text(zh="实测", en="measured"), x=array(lengths), y=array(measured)),
            Series(
                name=Text(zh="公式", en="formula"),
                x=array(lengths),
                y=array(expected),
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        source=SENT_FORMULA,
    )


def layout_table(study: Study) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for layout, ran in study.by_layout.items():
        rows.append(
            [
                NAME_OF_LAYOUT[layout],
                ran.difference,
                100 * balance(study.ranks, study.tokens, layout) if study.causal else 100.0,
                ran.lockstep_cpu_s if ran.passed else None,
                ran.seconds if ran.passed else None,
                Text(zh="通过", en="passed") if ran.passed else Text(zh="未过", en="failed"),
            ]
        )
    return Table(
        id="layouts",
        title=Text(zh="三种分法", en="Three ways to deal out the sequence"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="分法", en="layout")),
            Column(title=Text(zh="误差", en="off by")),
            Column(title=Text(zh="均衡", en="balance"), unit="%", provenance=_ESTIMATED),
            Column(
                title=Text(zh="最慢者的计算", en="slowest compute"),
                unit="s",
                help=Text(
                    zh="各步中最慢进程的处理器时间之和：每个进程各有一块设备时的样子，不受核少的影响。",
                    en="The sum over steps of the slowest rank's processor time: what a device for each "
                    "rank would see, however few the cores are here.",
                ),
            ),
            Column(
                title=Text(zh="墙钟", en="wall clock"),
                unit="s",
                help=Text(
                    zh="进程多于核时，量到的主要是操作系统的调度。",
                    en="With more ranks than cores this measures the operating system's scheduler.",
                ),
            ),
            Column(title=Text(zh="检查", en="check")),
        ],
        rows=rows,
        source=BALANCE_FORMULA,
        wide=True,
    )


def explanation(study: Study) -> Markdown:
    ran, ranks = study.by_layout[study.layout], study.ranks
    block = block_bytes(study.tokens, ranks, KV_HEADS, HEAD_DIM, NUMBER_BYTES)
    zh = (
        f"**发生了什么。** {study.tokens:,} 个 token 分给 {ranks} 个进程。查询不动；每步各进程把手里的 KV 块"
        f"（{block / 2**10:,.0f} KiB）传给右邻，同时用它算。{ranks - 1} 次传递之后，每个查询看过了所有块。"
        f"\n\n**为什么精确。** 每块给出一个已归一的结果和它的 log-sum-exp；合并时各按自己的权重和占比相加，"
        f"与一次看全部键在数学上相同。与单进程之差 {ran.difference:.1e}，只是浮点加法的次序。"
    )
    en = (
        f"**What happened.** {study.tokens:,} tokens on {ranks} ranks. Queries stay; in each step every rank "
        f"passes the block of KV at hand ({block / 2**10:,.0f} KiB) to the right and computes with it "
        f"meanwhile. After {ranks - 1} passes every query has seen every block.\n\n**Why it is exact.** A "
        "block gives a normalised result and its log-sum-exp; merging weighs each by its share of the total "
        "weight, which is the same as seeing all keys at once. Off one process's result: "
        f"{ran.difference:.1e}, the order of additions."
    )
    if study.causal:
        zh += _balance_text(study).zh
        en += _balance_text(study).en
    if study.single_s is not None and ran.passed:
        zh += (
            f"\n\n**时间。** 单进程 SDPA {study.single_s * 1e3:.0f} ms，环 {ran.seconds * 1e3:.0f} ms。"
            "同一台机器上没有更多的核可用，环不会更快：它换来的是每个设备只需放下自己那一份。"
        )
        en += (
            f"\n\n**Time.** One process, SDPA: {study.single_s * 1e3:.0f} ms; the ring: "
            f"{ran.seconds * 1e3:.0f} ms. On one machine there are no more cores to use, so the ring is no "
            "faster: what it buys is that each device holds its own part only."
        )
    if math.isnan(ran.difference) or not ran.passed:
        zh += "\n\n**检查未过**，不显示时间。"
        en += "\n\n**The check failed**; no times are shown."
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )


def _balance_text(study: Study) -> Text:
    share = {one: balance(study.ranks, study.tokens, one) for one in NAME_OF_LAYOUT}
    return Text(
        zh=f"\n\n**因果掩码与均衡。** 连续切分时有人做 {study.ranks} 块、有人只做半块，而每步都要等最慢的："
        f"效率只有 {share['contiguous']:.0%}。zigzag 是 {share['zigzag']:.0%}，条纹是 "
        f"{share['striped']:.0%}。",
        en=f"\n\n**Causality and balance.** Cut contiguously some compute {study.ranks} blocks and some "
        f"half a one, and each step waits for the slowest: {share['contiguous']:.0%} of the time is work. "
        f"Zigzag has {share['zigzag']:.0%}, stripes {share['striped']:.0%}.",
    )


def predictions(ranks: int, tokens: int, layout: Layout, causal: bool) -> Iterator[Prediction]:
    """What the ring must send and hold, and how well its work is balanced."""
    shape = (ranks, KV_HEADS, HEAD_DIM, NUMBER_BYTES)
    yield Prediction(
        id="sent_bytes",
        title=Text(zh="每个进程发出的 KV", en="KV that each rank sends"),
        value=sent_bytes(tokens, *shape),
        unit="B",
        formula=SENT_FORMULA,
    )
    yield Prediction(
        id="held_bytes",
        title=Text(zh="每个进程同时持有的 KV", en="KV on a rank at once"),
        value=rank_kv_bytes(tokens, *shape),
        unit="B",
        formula=HELD_FORMULA,
    )
    if causal:
        yield Prediction(
            id="balance",
            title=Text(zh="负载均衡", en="Balance"),
            value=100 * balance(ranks, tokens, layout),
            unit="%",
            formula=BALANCE_FORMULA,
        )
