"""The simulated race on one clock: what happened, how many wait, and the lives of some of the requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.batching.replay import CATEGORIES, SECONDS, Event, race_trace
from labs.batching.scale_charts import SIMULATED, SOURCE
from labs.batching.strategies import EXPLAINED, TITLES
from labs.results import Axis, Lines, Series, Timeline, array, ints
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labs.batching.simulated_race import Life, ScaleRun
    from labs.results import Trace

CLOCK = "race_at_scale"
# A timeline of a thousand lanes cannot be overlooked: so many requests, evenly chosen, stand for all.
_LANES = 24


def trace(runs: Sequence[ScaleRun]) -> Trace:
    return race_trace(
        CLOCK,
        Text(zh="放大后的赛跑", en="The race at scale"),
        (event for place, run in enumerate(runs) for event in _events(place, run.lives)),
        [run.strategy for run in runs],
        len(runs[0].lives),
        SIMULATED,
    )


def _events(place: int, lives: Sequence[Life]) -> Iterator[Event]:
    for name, one in enumerate(lives):
        came = one.arrival_s
        yield Event(came, "arrive", place, name, one.tokens)
        yield Event(one.admitted_s, "admit", place, name, after_s=one.admitted_s - came)
        yield Event(one.first_s, "first", place, name, after_s=one.first_s - came)
        yield Event(one.end_s, "end", place, name, after_s=one.end_s - came)
    end_s = max(one.end_s for one in lives)
    yield Event(end_s, "done", place, -1, after_s=end_s)


def waiting(runs: Sequence[ScaleRun]) -> Lines:
    """How many had come and were not admitted, over time."""
    return Lines(
        id="scale_waiting",
        title=Text(zh="在排队的请求", en="Requests that wait"),
        help=Text(
            zh="已到达而还没入批的请求数。静态批处理要凑满、要等整批结束，队伍就长。",
            en="Requests that have come and are not in a batch. Static batching waits until a batch is full "
            "and until it ends, hence its queue.",
        ),
        provenance=SIMULATED,
        source=SOURCE,
        x=SECONDS,
        y=Axis(title=Text(zh="排队", en="waiting")),
        series=[
            Series(name=TITLES[run.strategy], x=times, y=counts)
            for run in runs
            for times, counts in [_steps(run.lives)]
        ],
        markers=False,
        clock=CLOCK,
    )


def _steps(lives: Sequence[Life]) -> tuple[np.ndarray, np.ndarray]:
    """A staircase: up at each arrival, down at each admission."""
    times = np.array([one.arrival_s for one in lives] + [one.admitted_s for one in lives])
    change = np.repeat([1, -1], len(lives))
    order = np.argsort(times, kind="stable")
    counts = np.cumsum(change[order])
    return array(np.repeat(times[order], 2)[1:]), array(np.repeat(counts, 2)[:-1])


def timeline(run: ScaleRun) -> Timeline:
    """Some of the requests, evenly chosen: waiting, prefill, decode, and holding a place for nothing."""
    count = len(run.lives)
    chosen = [round(place) for place in np.linspace(0, count - 1, min(_LANES, count))]
    bars = [(lane, *bar) for lane, name in enumerate(chosen) for bar in _bars(run.lives[name])]
    keys = list(CATEGORIES)
    return Timeline(
        id=f"scale_timeline_{run.strategy}",
        title=TITLES[run.strategy],
        help=EXPLAINED[run.strategy],
        provenance=SIMULATED,
        source=SOURCE,
        x=SECONDS,
        lanes=[same(f"#{name}") for name in chosen],
        lane=ints(lane for lane, *_ in bars),
        start=array([start for _, _, start, _ in bars]),
        end=array([end for *_, end in bars]),
        category=ints(keys.index(phase) for _, phase, _, _ in bars),
        categories=list(CATEGORIES.values()),
        clock=CLOCK,
    )


def _bars(one: Life) -> Iterable[tuple[str, float, float]]:
    phases = [
        ("waiting", one.arrival_s, one.admitted_s),
        ("prefill", one.admitted_s, one.first_s),
        ("decode", one.first_s, one.end_s),
        ("padding", one.end_s, one.released_s),
    ]
    return [(phase, start, end) for phase, start, end in phases if end > start]
