"""Routers beside those of the simulator: by chance, by two chances, by work, and by news that is old."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs.simulator.job import Job
    from labs.simulator.replica import Replica
    from labs.simulator.routing import Router


class AtRandom:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed}/routes")

    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        return self._random.choice(replicas)


class BetterOfTwo:
    """Of two drawn at random the one with fewer requests: almost as good as to ask all (Mitzenmacher)."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed}/routes")

    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        return min(self._random.sample(replicas, 2), key=lambda replica: replica.jobs)


class LeastWork:
    """The fewest tokens left to compute, going by the predicted lengths: four long answers are not four
    short ones."""

    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        return min(replicas, key=outstanding)


def outstanding(replica: Replica) -> int:
    """Tokens of prompts and answers that are still to be computed, as predicted."""
    scheduler = replica.scheduler
    left = 0
    for queue in (scheduler.policy, scheduler.iter_running()):
        for one in queue:
            left += one.length - one.computed + max(0, (one.predicted or one.limit) - one.generated)
    return left


class OldNews:
    """Loads are reported every ``period_s`` seconds, and chosen by until then.

    ``choices`` 0 looks at all, 2 at two drawn at random. ``counting``: what was sent since the last report is
    added to it, as a gateway can that all requests pass through.
    """

    def __init__(self, period_s: float, seed: int, choices: int = 0, counting: bool = False) -> None:
        self.period_s, self.choices, self.counting = period_s, choices, counting
        self._random = random.Random(f"{seed}/routes")
        self._loads: list[int] = []
        self._due_s = 0.0

    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        if job.arrival_s >= self._due_s:
            self._loads = [replica.jobs for replica in replicas]
            self._due_s = job.arrival_s + self.period_s
        places = range(len(replicas))
        seen = self._random.sample(places, min(self.choices, len(replicas))) if self.choices else places
        chosen = min(seen, key=lambda place: self._loads[place])
        if self.counting:
            self._loads[chosen] += 1
        return replicas[chosen]


class Watched:
    """Another router, with the requests at each replica noted at each arrival."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.times_s: list[float] = []
        self.loads: list[list[int]] = []

    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        self.times_s.append(job.arrival_s)
        self.loads.append([replica.jobs for replica in replicas])
        return self.router.choose(job, replicas)
