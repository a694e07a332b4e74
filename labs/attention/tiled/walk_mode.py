"""The walk mode: tiled attention on real or typed numbers, checked against naive, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.attention.tiled import walk as walking
from labs.attention.tiled import walk_views as views
from labs.attention.tiled.heads import one_head, typed_numbers
from labs.attention.tiled.walk import naive, walk
from labs.attention.tiled.walk_study import METHOD, Study
from labs.results import Markdown, Metric, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.attention.tiled.walk import Order, Walk
    from labs.context import Context
    from labs.results import Result

_MEASURED = Provenance.MEASURED


def run_walk(
    ctx: Context,
    *,
    source: str,
    text: str,
    numbers: str,
    layer: int,
    head: int,
    tokens: int,
    order: Order,
    rows: int,
    columns: int,
    causal: bool,
    query: int,
) -> Iterator[Result]:
    """The walk in full; everything is small, so a slider may drag it."""
    ctx.progress(None, Text(zh="取模型的 Q、K、V", en="taking Q, K and V from the model"))
    if source == "typed":
        (q, k, v, words), causal = typed_numbers(numbers), False
    else:
        q, k, v, words = one_head(ctx, text, layer, head, tokens)
    scores, expected = naive(q, k, v, causal=causal)
    found = walk(order, q, k, v, rows=rows, columns=columns, causal=causal)
    study = Study(found, q, k, v, words, scores, expected, causal, min(query, len(q)) - 1)
    yield from figures(study)
    yield views.trace(study)
    yield views.tiles(study)
    yield views.state_curve(study)
    yield views.row_table(study)
    yield views.traffic_curve(study)
    yield explanation(study)


def figures(study: Study) -> Iterator[Metric]:
    found = study.found
    yield Metric(
        id="largest",
        title=Text(zh="存在过的最大一块 S", en="Largest piece of S that existed"),
        provenance=_MEASURED,
        value=float(found.largest),
        predicted=float(min(found.rows, len(study.q)) * min(found.columns, len(study.k))),
        formula=Text(zh="Q 块的行数 × K 块的行数", en="rows of the Q block × rows of the K tile"),
        better="lower",
        help=Text(
            zh=f"整个 S 有 {study.scores.size} 个数，一次也没有写进内存。",
            en=f"All of S would be {study.scores.size} numbers; none was ever written to memory.",
        ),
        source=METHOD,
    )
    yield Metric(
        id="difference",
        title=Text(zh="与朴素实现之差", en="Off the naive result"),
        provenance=_MEASURED,
        value=study.difference,
        better="lower",
        help=Text(
            zh="相对误差。数学上相等，差的只是浮点加法的次序。",
            en="Relative. Equal in mathematics; what differs is the order of additions.",
        ),
        source=METHOD,
    )
    yield Metric(
        id="moved",
        title=Text(zh="进出内存的数", en="Numbers that crossed the bus"),
        provenance=_MEASURED,
        value=float(found.moved),
        better="lower",
        help=Text(
            zh=f"三个内核的朴素实现至少要 {study.naive_moved} 个。",
            en=f"Three naive kernels: {study.naive_moved}.",
        ),
        source=METHOD,
    )


def explanation(study: Study) -> Markdown:
    found, states = study.found, study.states
    rises = sum(state.now > state.before for state in states[1:])
    first = states[0]
    loads = {tensor: _loads(found, tensor) for tensor in (walking.Q, walking.K, walking.O)}
    stored = sum(
        a.stop - a.start for a in found.accesses if a.tensor == walking.O and a.kind == walking.STORE
    )
    less = found.moved / study.naive_moved
    share = study.scores.size / found.largest
    zh, en = ("：N 太短，矩阵还不大", ": so short a matrix is small") if less > 1 else ("", "")
    compared = Text(
        zh=f"是朴素三个内核的 {less:.0%}{zh}", en=f"{less:.0%} of what three naive kernels move{en}"
    )
    body = Text(
        zh=f"**不用整行也能做 softmax。** 第 {study.followed + 1} 个查询先看到前 "
        f"{min(found.columns, len(study.k))} 个键，m = {first.now:.3g}；之后 m 又升了 {rises} 次，"
        "每升一次，旧的 ℓ 和 O 乘一个 e^(m旧−m新) 就补齐了，不必回头重读。最后与朴素结果相差 "
        f"{study.difference:.1e}。\n\n**S 从没写过。** 最大的一块只有 {found.largest} 个数，是整个 S 的 "
        f"1/{share:.0f}，用完就丢。\n\n**谁被重读。** Q 共读 {loads[walking.Q]} 个数，K 读 {loads[walking.K]}"
        f" 个，O 读回 {loads[walking.O]} 个、写 {stored} 个。总共 {found.moved} 个，{compared.zh}。"
        + (
            "外层是 K、V 时，每来一块 K 都要把所有的 O、m、ℓ 读出再写回；换成 v2 的次序看看谁变少了。"
            if found.order == "keys_outer"
            else "外层是 Q 时，O 一直留在片上，只写一次；代价是每块 Q 都要重读一遍 K、V，块越高，重读越少。"
        ),
        en=f"**Softmax without the whole row.** Query {study.followed + 1} first sees "
        f"{min(found.columns, len(study.k))} keys and holds m = {first.now:.3g}; m then rises {rises} more "
        "times, and each time the old ℓ and O are put right by one factor, e^(m before − m now), without "
        f"reading anything again. The end is {study.difference:.1e} off the naive result.\n\n**S was never "
        f"written.** Its largest piece had {found.largest} numbers, 1/{share:.0f} of S, and was dropped at "
        f"once.\n\n**What is read again.** Loaded were {loads[walking.Q]} numbers of Q, {loads[walking.K]} "
        f"of K, {loads[walking.O]} of O, and {stored} of O stored: {found.moved} in all, {compared.en}. "
        + (
            "With the keys outside, every tile of K brings all of O, m and ℓ in and out again: try v2's "
            "order and see what shrinks."
            if found.order == "keys_outer"
            else "With the queries outside O stays on the chip and is stored once; the price is that every "
            "block of Q loads all of K and V, less often the taller the block."
        ),
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=body,
        wide=True,
    )


def _loads(found: Walk, tensor: int) -> int:
    mine = (a for a in found.accesses if a.tensor == tensor and a.kind == walking.LOAD)
    return sum(a.stop - a.start for a in mine)
