"""What the users got: the latencies of all requests, as the field defines them, in constant memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from labs.simulator.histogram import Histogram
from labs.simulator.ticks import NEVER, ticks


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """A service level: a request keeps it if both its TTFT and its TPOT do (DistServe, 2401.09670)."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf


@dataclass(slots=True)
class Served:
    """Latencies in ticks. ``queueing`` lasts until a request is first admitted, ``ttft`` until its first
    token; ``tpot`` is the mean gap of each request's tokens, where it has two at least."""

    objective: Objective = field(default_factory=Objective)
    arrived: int = 0
    requests: int = 0
    kept: int = 0  # of these, how many kept the objective
    input_tokens: int = 0
    output_tokens: int = 0
    first_arrival: int = NEVER
    last_end: int = 0
    queueing: Histogram = field(default_factory=Histogram)
    ttft: Histogram = field(default_factory=Histogram)
    tpot: Histogram = field(default_factory=Histogram)
    end_to_end: Histogram = field(default_factory=Histogram)

    def arrive(self, now: int) -> None:
        self.arrived += 1
        if now < self.first_arrival:
            self.first_arrival = now

    def end(
        self,
        prompt: int,
        generated: int,
        arrival_s: float,
        admitted_s: float,
        first_token_s: float,
        finished_s: float,
    ) -> None:
        self.requests += 1
        self.input_tokens += prompt
        self.output_tokens += generated
        ttft_s = first_token_s - arrival_s
        self.queueing.add(ticks(admitted_s - arrival_s))
        self.ttft.add(ticks(ttft_s))
        self.end_to_end.add(ticks(finished_s - arrival_s))
        kept = ttft_s <= self.objective.ttft_s
        if generated > 1:
            tpot_s = (finished_s - first_token_s) / (generated - 1)
            self.tpot.add(ticks(tpot_s))
            kept = kept and tpot_s <= self.objective.tpot_s
        self.kept += kept
        self.last_end = max(self.last_end, ticks(finished_s))
