"""The runs of a race on one clock: a trace of what happened in all of them, and a timeline for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labs.batching.strategies import EXPLAINED, TITLES
from labs.results import Axis, EventKind, Timeline, Trace, array, ints
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labs.batching.run import Run, Step
    from labs.batching.strategies import Strategy
    from labs.results import Provenance

CLOCK = "race"
SECONDS = Axis(title=Text(zh="从开始起的时间", en="time since the start"), unit="s")

# In an order that gives waste the warning colour, and the same colours to all timelines.
CATEGORIES = {
    "prefill": Text(zh="预填充", en="prefill"),
    "padding": Text(zh="白算（填充、已答完）", en="computed for nothing"),
    "decode": Text(zh="解码", en="decode"),
    "preempted": Text(zh="被抢占", en="preempted"),
    "waiting": Text(zh="排队", en="waiting"),
}
_SERVER = Text(zh="每一步", en="steps")


class Event(NamedTuple):
    """``kind`` is one of ``_KINDS``, ``strategy`` and ``name`` are places in the trace's names."""

    time_s: float
    kind: str
    strategy: int
    name: int
    tokens: int = 0
    wasted: int = 0
    took_ms: float = 0.0
    after_s: float = 0.0


_KINDS = {
    "arrive": EventKind(
        name=Text(zh="到达", en="arrives"),
        template=Text(
            zh="{strategy}：{name} 到达，要生成 {tokens} 个 token",
            en="{strategy}: {name} arrives, {tokens} tokens to generate",
        ),
    ),
    "admit": EventKind(
        name=Text(zh="入批", en="admitted"),
        template=Text(
            zh="{strategy}：{name} 排了 {after:.2f} s，入批",
            en="{strategy}: {name} joins the batch after waiting {after:.2f} s",
        ),
    ),
    "step": EventKind(
        name=Text(zh="一步", en="step"),
        template=Text(
            zh="{strategy}：一步 {took:.1f} ms，有用 {tokens} 个 token，白算 {wasted} 个",
            en="{strategy}: a step of {took:.1f} ms, {tokens} tokens of use, {wasted} for nothing",
        ),
    ),
    "first": EventKind(
        name=Text(zh="首个 token", en="first token"),
        template=Text(
            zh="{strategy}：{name} 的首个 token，到达后 {after:.2f} s（TTFT）",
            en="{strategy}: first token of {name}, {after:.2f} s after it came (TTFT)",
        ),
    ),
    "end": EventKind(
        name=Text(zh="答完", en="ends"),
        template=Text(
            zh="{strategy}：{name} 答完，到达后 {after:.2f} s",
            en="{strategy}: {name} has its answer, {after:.2f} s after it came",
        ),
    ),
    "done": EventKind(
        name=Text(zh="全部答完", en="all served"),
        template=Text(
            zh="{strategy}：全部答完，用了 {after:.2f} s", en="{strategy}: all are served, in {after:.2f} s"
        ),
    ),
}


def trace(runs: Sequence[Run], provenance: Provenance) -> Trace:
    """What happened in all runs, each counted from its own start: playing it lets them race."""
    return race_trace(
        CLOCK,
        Text(zh="赛跑：各策略从各自的起点计时", en="The race: each strategy timed from its own start"),
        (event for place, run in enumerate(runs) for event in _events(place, run)),
        [run.strategy for run in runs],
        len(runs[0].served),
        provenance,
    )


def race_trace(
    clock: str,
    title: Text,
    events: Iterable[Event],
    strategies: Sequence[Strategy],
    requests: int,
    provenance: Provenance,
) -> Trace:
    """``events`` in any order; only the kinds that occur are offered."""
    events = sorted(events, key=lambda event: event.time_s)
    kinds = [kind for kind in _KINDS if any(event.kind == kind for event in events)]
    number = {kind: place for place, kind in enumerate(kinds)}
    return Trace(
        id=clock,
        title=title,
        help=Text(
            zh="各策略先后服务了同样的请求。按播放（空格），它们从同一时刻起并排重跑；"
            "点任一条时间线就跳到那一刻。",
            en="The strategies served the same requests one after the other. Press play (space) and they run "
            "again side by side; a click on any timeline goes to that moment.",
        ),
        provenance=provenance,
        unit="s",
        wide=True,
        times=array([event.time_s for event in events]),
        kinds=[_KINDS[kind] for kind in kinds],
        kind_index=ints(number[event.kind] for event in events),
        columns={
            "strategy": ints(event.strategy for event in events),
            "name": ints(event.name + 1 for event in events),
            "tokens": ints(event.tokens for event in events),
            "wasted": ints(event.wasted for event in events),
            "took": array([event.took_ms for event in events]),
            "after": array([event.after_s for event in events]),
        },
        names={
            "strategy": [TITLES[strategy] for strategy in strategies],
            "name": [same("–"), *(same(f"#{index}") for index in range(requests))],
        },
    )


def _events(place: int, run: Run) -> Iterable[Event]:
    for name, one in enumerate(run.served):
        came, times = one.request.arrival_s, one.token_times_s
        yield Event(came, "arrive", place, name, one.request.output_tokens)
        yield Event(one.admitted_s, "admit", place, name, after_s=one.admitted_s - came)
        yield Event(times[0], "first", place, name, after_s=one.ttft_s)
        yield Event(times[-1], "end", place, name, after_s=one.latency_s)
    for step in run.steps:
        useful = step.prefill + step.decode
        yield Event(step.end_s, "step", place, -1, useful, step.padding, took_ms=1e3 * step.seconds)
    yield Event(run.makespan_s, "done", place, -1, after_s=run.makespan_s)


def timeline(run: Run, provenance: Provenance) -> Timeline:
    """The first lane are the steps, coloured by what most of their tokens were for; the others the requests:
    a bar a step in which one was computed."""
    keys = list(CATEGORIES)
    bars = [(0, *_step_bar(step)) for step in run.steps]
    bars += [(1 + one.sequence, one.start_s, one.end_s, one.phase, one.tokens) for one in run.spans]
    lanes = [f"#{index}" for index in range(len(run.served))]
    return Timeline(
        id=f"timeline_{run.strategy}",
        title=TITLES[run.strategy],
        help=EXPLAINED[run.strategy],
        provenance=provenance,
        unit="token",
        x=SECONDS,
        lanes=[_SERVER, *map(same, lanes)],
        lane=ints(lane for lane, *_ in bars),
        start=array([start for _, start, *_ in bars]),
        end=array([end for _, _, end, *_ in bars]),
        category=ints(keys.index("preempted" if phase == "swapped" else phase) for *_, phase, _ in bars),
        categories=list(CATEGORIES.values()),
        value=array([float(tokens) for *_, tokens in bars]),
        value_name=Text(zh="计算的 token", en="tokens computed"),
        clock=CLOCK,
    )


def _step_bar(step: Step) -> tuple[float, float, str, int]:
    """Coloured by what most of its tokens were for."""
    tokens = {"decode": step.decode, "prefill": step.prefill, "padding": step.padding}
    return step.start_s, step.end_s, max(tokens, key=lambda phase: tokens[phase]), sum(tokens.values())
