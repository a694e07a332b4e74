"""Which replica an arrival goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from labs.simulator.job import Job
    from labs.simulator.replica import Replica


class Router(Protocol):
    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        """One of ``replicas``, which stand as they are when ``job`` arrives."""


class RoundRobin:
    """In turn, whatever they are doing."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        self._next = (self._next + 1) % len(replicas)
        return replicas[self._next - 1]


class LeastLoaded:
    """To the one with the fewest requests, running or waiting; the first of equals."""

    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        return min(replicas, key=lambda replica: replica.jobs)


class PrefixAware:
    """To the one whose cache knows the most of the prompt, unless it has ``slack`` requests more than the
    least loaded one: a popular prefix must not make one replica do all the work."""

    def __init__(self, slack: int = 8) -> None:
        self.slack = slack

    def choose(self, job: Job, replicas: list[Replica]) -> Replica:
        limit = min(replica.jobs for replica in replicas) + self.slack
        free = [replica for replica in replicas if replica.jobs <= limit]
        return max(free, key=lambda one: (len(one.scheduler.manager.known_prefix(job)), -one.jobs))
