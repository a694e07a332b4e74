"""What each request and each step of one way of batching did, in seconds from its start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from labs.engine.events import EventKind
from labs.engine.recording import Recording
from labs.formulas import serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labs.batching.strategies import Strategy
    from labs.engine.events import Event
    from labs.engine.recording import Span
    from labs.simulator.traces import Request


class Step(NamedTuple):
    """Tokens computed: of prompts, of answers, for nothing. At its end ``held`` KV slots were reserved, of
    which ``stored`` hold a token of a request that still runs."""

    start_s: float
    end_s: float
    prefill: int
    decode: int
    padding: int
    held: int
    stored: int

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Served:
    request: Request
    admitted_s: float
    token_times_s: list[float]
    answer: list[int]

    @property
    def ttft_s(self) -> float:
        return serving.ttft(self.request.arrival_s, self.token_times_s)

    @property
    def tpot_s(self) -> float | None:
        return serving.tpot(self.token_times_s)

    @property
    def latency_s(self) -> float:
        return serving.end_to_end(self.request.arrival_s, self.token_times_s)

    @property
    def longest_gap_s(self) -> float:
        return max(serving.inter_token_latencies(self.token_times_s), default=0.0)


@dataclass(frozen=True)
class Run:
    """``spans`` say what request ``sequence`` (its place in the order of arrival) did when."""

    strategy: Strategy
    served: list[Served]
    steps: list[Step]
    spans: list[Span]
    preemptions: int

    @property
    def makespan_s(self) -> float:
        return max(one.token_times_s[-1] for one in self.served)

    @property
    def answer_tokens(self) -> int:
        return sum(len(one.token_times_s) for one in self.served)

    @property
    def tokens_per_s(self) -> float:
        return self.answer_tokens / self.makespan_s

    @property
    def busy_share(self) -> float:
        return sum(step.seconds for step in self.steps) / self.makespan_s

    @property
    def largest_step(self) -> int:
        """Tokens computed in it."""
        return max(step.prefill + step.decode + step.padding for step in self.steps)

    @property
    def computed(self) -> int:
        return sum(step.prefill + step.decode + step.padding for step in self.steps)

    @property
    def wasted(self) -> int:
        return sum(step.padding for step in self.steps)

    @property
    def wasted_share(self) -> float:
        return self.wasted / self.computed

    @property
    def decode_waste(self) -> float:
        """Of the rows of decode steps alone, the share of those whose answer had ended."""
        steps = [step for step in self.steps if not step.prefill]
        wasted, useful = sum(step.padding for step in steps), sum(step.decode for step in steps)
        return wasted / (wasted + useful) if steps else 0.0

    @property
    def empty_share(self) -> float:
        """KV slots that were reserved and held nothing needed: their mean share, weighted by time."""
        held = sum(step.held * step.seconds for step in self.steps)
        return 1 - sum(step.stored * step.seconds for step in self.steps) / held if held else 0.0

    def mean_ttft_s(self) -> float:
        return math.fsum(one.ttft_s for one in self.served) / len(self.served)

    def ttft_percentile_s(self, percent: float) -> float:
        return serving.percentile([one.ttft_s for one in self.served], percent)

    def mean_tpot_s(self) -> float:
        gaps = [one.tpot_s for one in self.served if one.tpot_s is not None]
        return math.fsum(gaps) / len(gaps) if gaps else math.nan

    @property
    def longest_gap_s(self) -> float:
        return max(one.longest_gap_s for one in self.served)


def read_run(
    strategy: Strategy, requests: Sequence[Request], events: Sequence[Event], block_size: int
) -> Run:
    """From an engine's events, without a prefix cache; sequence ``n`` must be request ``n``."""
    times: list[list[float]] = [[] for _ in requests]
    answers: list[list[int]] = [[] for _ in requests]
    admitted = [math.nan] * len(requests)
    for event in events:
        if event.kind is EventKind.TOKEN:
            times[event.sequence].append(event.time_s)
            answers[event.sequence].append(event.tokens)
        elif event.kind is EventKind.ADMIT:
            admitted[event.sequence] = event.time_s
    return Run(
        strategy=strategy,
        served=[Served(*one) for one in zip(requests, admitted, times, answers, strict=True)],
        steps=_steps(events, block_size, [len(one) for one in answers]),
        spans=list(_spans(Recording(events, block_size).spans, requests)),
        preemptions=sum(event.kind is EventKind.PREEMPT for event in events),
    )


def _steps(events: Iterable[Event], block_size: int, lengths: list[int]) -> list[Step]:
    stored, said, held, steps = [0] * len(lengths), [0] * len(lengths), 0, list[Step]()
    for event in events:
        match event.kind:
            case EventKind.ALLOCATE:
                held += len(event.blocks)
            case EventKind.RELEASE:
                held -= len(event.blocks)
                stored[event.sequence] = 0
            case EventKind.TOKEN:
                said[event.sequence] += 1
            case EventKind.STEP:
                tokens = {"prefill": 0, "decode": 0, "padding": 0}
                for row in event.rows:
                    tokens[row.phase] += row.tokens
                    stored[row.sequence] += row.tokens if row.phase != "padding" else 0
                # Who had said all before this step needs its KV no more.
                needed = sum(own for own, has, all in zip(stored, said, lengths, strict=True) if has < all)
                step = Step(event.start_s, event.time_s, **tokens, held=held * block_size, stored=needed)
                steps.append(step)
    return steps


def _spans(spans: Sequence[Span], requests: Sequence[Request]) -> Iterator[Span]:
    """A request waits from its arrival, not from when the engine, between two steps, takes note of it. In a
    static prefill a prompt and its padding share the step's time by their tokens."""
    prompts = {(one.sequence, one.start_s): one for one in spans if one.phase == "prefill"}
    padding = {(one.sequence, one.start_s): one for one in spans if one.phase == "padding"}
    for span in spans:
        key = (span.sequence, span.start_s)
        if span.phase == "waiting":
            yield span._replace(start_s=min(requests[span.sequence].arrival_s, span.end_s))
        elif key in prompts and key in padding:
            prompt = prompts[key].tokens
            share = prompt / (prompt + padding[key].tokens)
            middle = span.start_s + share * (span.end_s - span.start_s)
            yield span._replace(end_s=middle) if span.phase == "prefill" else span._replace(start_s=middle)
        else:
            yield span
