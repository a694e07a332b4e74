"""Prefill and decode on replicas of their own, so that neither waits for the other; the KV moves between.

Zhong et al., DistServe (OSDI 2024); Patel et al., Splitwise (ISCA 2024). A prefill replica gives the first
token; its blocks are free again at once, as if the KV left while it was computed, layer by layer. Then the
prompt's KV crosses the link, one request after another, and a decode replica goes on.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from labs.engine.sequence import Status
from labs.simulator.job import Job
from labs.simulator.routing import LeastLoaded
from labs.simulator.simulator import Simulator
from labs.simulator.ticks import PER_SECOND

if TYPE_CHECKING:
    from labs.simulator.replica import Replica
    from labs.simulator.routing import Router
    from labs.simulator.workloads import Source


class DisaggregatedSimulator(Simulator):
    """``prefill`` and ``decode`` are the pools. ``token_bytes`` of KV a token leave a prefill replica at
    ``link_bandwidth`` bytes/s, after ``latency_s``."""

    def __init__(
        self,
        prefill: list[Replica],
        decode: list[Replica],
        source: Source,
        *,
        token_bytes: float,
        link_bandwidth: float,
        latency_s: float = 0.0,
        decode_router: Router | None = None,
        **options: Any,
    ) -> None:
        super().__init__([*prefill, *decode], source, **options)
        self.prefill, self.decode = prefill, decode
        self.transferred_tokens = 0
        self._decode_router = decode_router or LeastLoaded()
        self._token_ticks = token_bytes / link_bandwidth * PER_SECOND
        self._latency = round(latency_s * PER_SECOND)
        self._link_free = dict.fromkeys(prefill, 0)
        self._prefilled: dict[int, Job] = {}  # the whole job of each that is being prefilled
        self._independent = False

    def _route(self, job: Job, now: int) -> None:
        first = self._copy(job)
        first.limit = 1
        first.keys = job.keys
        self._prefilled[job.id] = job
        self._choose(first, self.router, self.prefill).add(first, now)

    def _end(self, replica: Replica, job: Job) -> None:
        whole = self._prefilled.pop(job.id, None)
        if whole is None:
            super()._end(replica, job)
            return
        whole.admitted_s = job.admitted_s
        whole.first_token, whole.first_token_s = job.first_token, job.first_token_s
        whole.preemptions = 0
        if whole.limit == 1:
            whole.length, whole.finished_s = job.length, job.finished_s
            super()._end(replica, whole)
            return
        self._send(replica, whole)

    def _send(self, replica: Replica, job: Job) -> None:
        """It leaves when those before it have left."""
        job.length = job.prompt + 1
        job.computed, job.status, job.last_token = job.prompt, Status.SWAPPED, replica.now
        leaves = max(replica.now, self._link_free[replica]) + round(job.prompt * self._token_ticks)
        self._link_free[replica] = leaves
        self.transferred_tokens += job.prompt
        heapq.heappush(self._deliveries, (leaves + self._latency, job.id, job))

    def _deliver(self, job: Job, now: int) -> None:
        self._choose(job, self._decode_router, self.decode).add(job, now)

    def _copy(self, job: Job) -> Job:
        return Job(
            id=job.id,
            prompt=job.prompt,
            limit=job.limit,
            arrival_s=job.arrival_s,
            user=job.user,
            priority=job.priority,
            deadline_s=job.deadline_s,
            predicted=job.predicted,
            request=job.request,
            arrived=job.arrived,
        )
