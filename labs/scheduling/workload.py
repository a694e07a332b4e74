"""The requests that every policy serves. Length, urgency and user are drawn independently of one another, so
that a policy that looks at one of them shows what it does to the others."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from labs.simulator.traces import Request
from labs.simulator.workloads import gamma_arrivals, lognormal_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

Mix = Literal["bimodal", "lognormal", "equal"]

# Tokens of prompt and answer, and their coefficient of variation. A chat and a report, nine to one.
SHORT, LONG, LONG_SHARE, SPREAD = (200, 60), (600, 900), 0.1, 0.4
MIDDLE, VARIATION = (300, 150), 1.2
MOST_TOKENS = 4096

USERS = ("A", "B", "C", "D", "E")
HEAVY = USERS[0]
URGENT, RELAXED = 1, 0  # a Request's priority
# The relaxed ones have so much more time to their first token.
PATIENCE = 10.0


@dataclass(frozen=True)
class Workload:
    """``variation`` is that of the gaps between arrivals; ``heavy_share`` of the requests come from one user
    of five, ``urgent_share`` of them have ``ttft_s`` to their first token, the others PATIENCE as much."""

    mix: Mix = "bimodal"
    requests: int = 1000
    variation: float = 1.0
    heavy_share: float = 0.5
    urgent_share: float = 0.3
    ttft_s: float = 1.0
    seed: int = 0

    def lengths(self) -> list[tuple[int, int]]:
        """The same whatever the rate at which they come."""
        return list(islice(_lengths(self.mix, self.seed), self.requests))

    def at_rate(self, rate_per_s: float) -> list[Request]:
        draw = random.Random(f"{self.seed}/who")
        arrivals = gamma_arrivals(rate_per_s, self.variation, self.seed)
        return [
            self._request(at_s, *pair, draw) for at_s, pair in zip(arrivals, self.lengths(), strict=False)
        ]

    def _request(self, at_s: float, prompt: int, answer: int, draw: random.Random) -> Request:
        heavy, other, urgent = draw.random() < self.heavy_share, draw.randrange(1, len(USERS)), draw.random()
        priority = URGENT if urgent < self.urgent_share else RELAXED
        return Request(
            at_s,
            prompt,
            answer,
            user=HEAVY if heavy else USERS[other],
            priority=priority,
            deadline_s=at_s + self.objective_s(priority),
        )

    def objective_s(self, priority: int) -> float:
        """Time to the first token that a request of this priority is promised."""
        return self.ttft_s if priority == URGENT else PATIENCE * self.ttft_s


def _lengths(mix: Mix, seed: int) -> Iterator[tuple[int, int]]:
    if mix == "equal":
        while True:
            yield MIDDLE
    if mix == "lognormal":
        yield from lognormal_lengths(*MIDDLE, VARIATION, MOST_TOKENS, seed)
    draw = random.Random(f"{seed}/kind")
    short = lognormal_lengths(*SHORT, SPREAD, MOST_TOKENS, seed)
    long = lognormal_lengths(*LONG, SPREAD, MOST_TOKENS, seed + 1)
    while True:
        yield next(long) if draw.random() < LONG_SHARE else next(short)
