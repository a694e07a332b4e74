"""Pictures of a run: occupancy and waste over time, and what other ways to allocate would have held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.engine.replay import CLOCK
from labs.formulas.kv_cache import blocks_for
from labs.results import Axis, Column, Lines, Provenance, Series, Table, array
from labs.text import Text

if TYPE_CHECKING:
    from labs.kv_cache.measured_run import MeasuredRun
    from labs.kv_cache.token_times import TokenTime
    from labs.kv_cache.usage import Moment
    from labs.results import Array

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_TIME = Axis(title=Text(zh="时间", en="time"), unit="s")


def occupancy(run: MeasuredRun) -> Lines:
    """Slots of the pool: allocated, filled, kept for their contents; the gap is waste."""
    size, moments = run.setting.block_size, run.usage.moments
    times = array([one.time_s for one in moments])
    series = [
        Series(
            name=Text(zh="已分配", en="allocated"), x=times, y=array([size * one.owned for one in moments])
        ),
        Series(name=Text(zh="存有 token", en="hold a token"), x=times, y=array([m.filled for m in moments])),
    ]
    if any(one.cached for one in moments):
        cached = array([size * one.cached for one in moments])
        series.append(Series(name=Text(zh="无主，留作缓存", en="kept cached, no owner"), x=times, y=cached))
    if any(one.references > one.owned for one in moments):
        alone = array([size * one.references for one in moments])
        name = Text(zh="不共享要占", en="without sharing")
        series.append(Series(name=name, x=times, y=alone, provenance=_ESTIMATED, reference=True))
    pool = array([run.setting.blocks * size] * len(moments))
    series.append(Series(name=Text(zh="整个池", en="the whole pool"), x=times, y=pool, reference=True))
    return Lines(
        id="occupancy",
        title=Text(zh="缓存池的占用", en="Occupancy of the pool"),
        help=Text(
            zh="“已分配”与“存有 token”之间就是内部碎片。每一步结束时取一点。",
            en="Between “allocated” and “hold a token” lies internal fragmentation. One point a step.",
        ),
        provenance=_MEASURED,
        unit="token",
        x=_TIME,
        y=Axis(title=Text(zh="槽", en="slots"), unit="token"),
        series=series,
        markers=False,
        clock=CLOCK,
    )


def waste(run: MeasuredRun) -> Lines:
    """Share of the allocated slots that is empty: of this run, and of contiguous reservations."""
    size = run.setting.block_size
    moments = [one for one in run.usage.moments if one.owned]
    times = array([one.time_s for one in moments])

    def share(held: list[int], used: list[int]) -> Array:
        return 100 * (1 - array(used) / array(held))

    filled, logical = [m.filled for m in moments], [m.logical for m in moments]
    series = [
        Series(
            name=Text(zh="本次运行", en="this run"),
            x=times,
            y=share([size * m.owned for m in moments], filled),
        )
    ]
    if not run.setting.reserved:
        limits = [sum(map(run.reservation, one.live)) for one in moments]
        name = Text(zh="预留到生成上限", en="reserved to the limit")
        series.append(Series(name=name, x=times, y=share(limits, logical), provenance=_ESTIMATED))
    contexts = [len(one.live) * run.config.context for one in moments]
    name = Text(zh="预留到模型最大长度", en="reserved to the model's context")
    series.append(Series(name=name, x=times, y=share(contexts, logical), provenance=_ESTIMATED))
    return Lines(
        id="waste_over_time",
        title=Text(zh="浪费：已分配却空着的", en="Waste: allocated and empty"),
        help=Text(
            zh="预留：开始时就为一条序列要一整段连续内存，按最长可能的长度。估算用同样的序列。",
            en="Reserved: contiguous memory for the longest that a sequence may become, from its start. "
            "Estimated for the same sequences.",
        ),
        provenance=_MEASURED,
        unit="%",
        x=_TIME,
        y=Axis(title=Text(zh="空着的", en="empty"), unit="%"),
        series=series,
        markers=False,
        clock=CLOCK,
        source=Text(zh="1 − 存下的 token ÷ 分配的槽", en="1 - tokens stored / slots allocated"),
    )


def allocations(run: MeasuredRun) -> Table:
    """The same sequences at the run's peak under each way to allocate."""
    peak = run.usage.peak
    size, pool = run.setting.block_size, run.setting.blocks * run.setting.block_size
    limits = [run.reservation(one) for one in peak.live]
    mean = peak.logical / len(peak.live) if peak.live else 1.0
    rows: list[list[Text | float | int | None]] = [
        _row(run, Text(zh="本次运行", en="this run"), size * peak.owned, peak, pool, peak.filled),
    ]
    if peak.references > peak.owned:
        name = Text(zh="分页，不共享", en="paged, nothing shared")
        rows.append(_row(run, name, size * peak.references, peak, pool, peak.logical))
    if run.setting.reserved:
        paged = len(peak.live) * blocks_for(round(mean), size) * size
        rows.append(_row(run, Text(zh="分页", en="paged"), paged, peak, pool, peak.logical))
    else:
        name = Text(zh="连续预留到生成上限", en="contiguous, to the limit")
        rows.append(_row(run, name, sum(limits), peak, pool, peak.logical))
    name = Text(zh="连续预留到最大长度", en="contiguous, whole context")
    rows.append(_row(run, name, len(peak.live) * run.config.context, peak, pool, peak.logical))
    return Table(
        id="allocations",
        title=Text(
            zh="占用最多时，同样的序列换一种分配", en="The same sequences at the peak, allocated otherwise"
        ),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="分配方式", en="allocation")),
            Column(title=Text(zh="槽", en="slots"), unit="token"),
            Column(title=Text(zh="内存", en="memory"), unit="MiB"),
            Column(title=Text(zh="空着", en="empty"), unit="%"),
            Column(
                title=Text(zh="放得下", en="fit"),
                help=Text(
                    zh="整个池能同时容纳几条这样的序列：并发的上限。",
                    en="How many such sequences the whole pool holds at once: the bound on concurrency.",
                ),
            ),
        ],
        rows=rows,
        highlight=0,
        source=Text(
            zh="第一行实测；其余用本次序列的长度按公式计算",
            en="the first row is measured; the others by formula from the lengths of this run",
        ),
        wide=True,
    )


def _row(
    run: MeasuredRun, name: Text, slots: int, peak: Moment, pool: int, stored: int
) -> list[Text | float | int | None]:
    each = slots / len(peak.live) if peak.live else 0
    empty = 100 * (1 - stored / slots) if slots else None
    memory = slots * run.token_bytes / 2**20
    return [name, slots, memory, empty, int(pool // each) if each else None]


def token_curves(times: list[TokenTime]) -> Lines:
    """Time of one token against the length of the text, with the cache and without."""
    lengths = array([one.length for one in times])
    return Lines(
        id="token_time",
        title=Text(zh="算一个 token 的时间", en="Time to compute one token"),
        help=Text(
            zh="同一个模型、同样的内核。不用缓存：把整段文本重算一遍。用缓存：只算最后一个 token。",
            en="The same model and kernels. Without the cache the whole text is computed again; with it, the "
            "last token alone.",
        ),
        provenance=_MEASURED,
        unit="ms",
        x=Axis(title=Text(zh="文本长度", en="length of the text"), unit="token", log=True),
        y=Axis(title=Text(zh="每 token 时间", en="time a token"), unit="ms", log=True),
        series=[
            Series(
                name=Text(zh="不用缓存", en="without the cache"),
                x=lengths,
                y=array([1e3 * one.recomputed_s for one in times]),
            ),
            Series(
                name=Text(zh="用缓存", en="with the cache"),
                x=lengths,
                y=array([1e3 * one.cached_s for one in times]),
            ),
        ],
        wide=True,
    )
