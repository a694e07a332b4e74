"""Two orders on one clock: what the same requests, those of the fullest moment, did under either."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.engine import events
from labs.results import Axis, EventKind, Provenance, Timeline, Trace, array, ints
from labs.scheduling.orders import EXPLAINED, TITLES
from labs.scheduling.workload import URGENT
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.scheduling.policy_run import PolicyRun
    from labs.scheduling.workload import Workload

CLOCK = "orders"
LANES = 36

# In an order that gives lateness the warning colour.
_CATEGORIES = {
    "prefill": Text(zh="预填充", en="prefill"),
    "late": Text(zh="等待，已过期限", en="waiting, past its deadline"),
    "decode": Text(zh="解码", en="decode"),
    "preempted": Text(zh="被抢占", en="preempted"),
    "waiting": Text(zh="等待", en="waiting"),
}
_KINDS = {
    "arrive": EventKind(
        name=Text(zh="到达", en="arrives"),
        template=Text(
            zh="{order}：{name} 到达，要生成 {tokens} 个 token",
            en="{order}: {name} arrives, {tokens} tokens to generate",
        ),
    ),
    "admit": EventKind(
        name=Text(zh="入批", en="admitted"),
        template=Text(
            zh="{order}：{name} 等了 {after:.2f} s，入批", en="{order}: {name} admitted after {after:.2f} s"
        ),
    ),
    "preempt": EventKind(
        name=Text(zh="被抢占", en="preempted"),
        template=Text(zh="{order}：{name} 被抢占", en="{order}: {name} is preempted"),
    ),
    "resume": EventKind(
        name=Text(zh="恢复", en="resumes"),
        template=Text(zh="{order}：{name} 恢复", en="{order}: {name} resumes"),
    ),
    "first": EventKind(
        name=Text(zh="首个 token", en="first token"),
        template=Text(
            zh="{order}：{name} 的首个 token，到达后 {after:.2f} s",
            en="{order}: first token of {name}, {after:.2f} s after it came",
        ),
    ),
    "end": EventKind(
        name=Text(zh="答完", en="ends"),
        template=Text(
            zh="{order}：{name} 答完，到达后 {after:.2f} s",
            en="{order}: {name} has its answer, {after:.2f} s after it came",
        ),
    ),
}


class _Event(NamedTuple):
    time_s: float
    kind: str
    order: int
    lane: int
    after_s: float = 0.0


def crowded(run: PolicyRun) -> range:
    """Consecutive arrivals from shortly before the queue of ``run`` is longest."""
    arrival = run.arrival_s
    waiting = np.arange(len(arrival)) - np.searchsorted(np.sort(run.admitted_s), arrival)
    lanes = min(LANES, len(arrival))
    first = int(np.clip(int(waiting.argmax()) - lanes // 2, 0, len(arrival) - lanes))
    return range(first, first + lanes)


def trace(runs: Sequence[PolicyRun], chosen: range) -> Trace:
    found = sorted((one for place, run in enumerate(runs) for one in _events(place, run, chosen)))
    kinds = list(_KINDS)
    requests = runs[0].requests
    return Trace(
        id=CLOCK,
        title=Text(
            zh="最挤的时刻：同样的请求，两种策略", en="The fullest moment: the same requests, two policies"
        ),
        help=Text(
            zh="取 FCFS 队列最长前后连续到达的一批请求。按播放，两条时间线同步重放。",
            en="Consecutive arrivals around the moment at which the queue of FCFS is longest. Press play to "
            "replay both timelines together.",
        ),
        provenance=Provenance.SIMULATED,
        unit="s",
        wide=True,
        times=array([one.time_s for one in found]),
        kinds=list(_KINDS.values()),
        kind_index=ints([kinds.index(one.kind) for one in found]),
        columns={
            "order": ints([one.order for one in found]),
            "name": ints([one.lane for one in found]),
            "tokens": ints([requests[chosen[one.lane]].output_tokens for one in found]),
            "after": array([one.after_s for one in found]),
        },
        names={
            "order": [TITLES[run.order] for run in runs],
            "name": [same(f"#{number}") for number in chosen],
        },
    )


def _events(place: int, run: PolicyRun, chosen: range) -> Iterator[_Event]:
    for lane, number in enumerate(chosen):
        came = run.requests[number].arrival_s
        yield _Event(came, "arrive", place, lane)
        yield _Event(float(run.first_s[number]), "first", place, lane, float(run.ttft_s[number]))
        yield _Event(float(run.end_s[number]), "end", place, lane, float(run.latency_s[number]))
    for decision in run.decisions:
        if decision.sequence in chosen:
            lane = chosen.index(decision.sequence)
            after = decision.time_s - run.requests[decision.sequence].arrival_s
            yield _Event(decision.time_s, decision.kind.value, place, lane, after)


def timeline(run: PolicyRun, chosen: range, workload: Workload) -> Timeline:
    bars = [
        (lane, *bar)
        for lane, number in enumerate(chosen)
        for bar in _bars(run, number, workload)
        if bar[1] > bar[0]
    ]
    keys = list(_CATEGORIES)
    return Timeline(
        id=f"timeline_{run.order}",
        title=TITLES[run.order],
        help=EXPLAINED[run.order],
        provenance=Provenance.SIMULATED,
        unit="token",
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        lanes=[_lane(run, number) for number in chosen],
        lane=ints([lane for lane, *_ in bars]),
        start=array([start for _, start, *_ in bars]),
        end=array([end for _, _, end, _ in bars]),
        category=ints([keys.index(phase) for *_, phase in bars]),
        categories=list(_CATEGORIES.values()),
        value=array([float(run.requests[chosen[lane]].output_tokens) for lane, *_ in bars]),
        value_name=Text(zh="要生成", en="to generate"),
        clock=CLOCK,
    )


def _lane(run: PolicyRun, number: int) -> Text:
    request = run.requests[number]
    urgent = request.priority == URGENT
    zh, en = ("急 " if urgent else ""), ("urgent " if urgent else "")
    return Text(zh=f"{zh}{request.output_tokens}", en=f"{en}{request.output_tokens}")


def _bars(run: PolicyRun, number: int, workload: Workload) -> Iterator[tuple[float, float, str]]:
    request = run.requests[number]
    came, admitted = request.arrival_s, float(run.admitted_s[number])
    first, end = float(run.first_s[number]), float(run.end_s[number])
    due = came + workload.objective_s(request.priority)
    yield came, min(admitted, due), "waiting"
    yield max(came, min(admitted, due)), admitted, "late"
    at, phase = admitted, "prefill"
    own = [one for one in run.decisions if one.sequence == number and one.kind is not events.EventKind.ADMIT]
    turns = [(one.time_s, one.kind) for one in own]
    for time_s, kind in [*turns, (end, None)]:
        if phase == "preempted" or time_s <= first or at >= first:
            yield at, time_s, "decode" if phase != "preempted" and at >= first else phase
        else:
            yield at, first, "prefill"
            yield first, time_s, "decode"
        at, phase = time_s, "preempted" if kind is events.EventKind.PREEMPT else "prefill"
