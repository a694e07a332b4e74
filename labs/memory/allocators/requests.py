"""A trace of memory requests: who needs how many bytes from when on. Every allocator gets the same one."""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING, NamedTuple

from labs.engine.block_manager import BlockManager
from labs.engine.events import EventKind, EventLog
from labs.engine.scheduler import Scheduler
from labs.simulator.cost import Constants, RooflineCost
from labs.simulator.replica import Replica
from labs.simulator.simulator import Simulator
from labs.simulator.workloads import OpenLoop, lognormal_lengths, open_workload, poisson_arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labs.engine.events import Event
    from labs.simulator.deployment import Deployment

_BLOCK = 16  # of the recorded run, whose pool is large enough for all
_SMALL, _LARGE = (9, 19), (20, 26)  # powers of two between which tensors' sizes lie
_SMALL_SHARE = 0.7


class Request(NamedTuple):
    """From ``time_s`` on ``owner`` needs ``size`` bytes; 0: it has ended. ``limit`` is the most it may need,
    which a server knows when it starts; its true length nobody does."""

    time_s: float
    owner: int
    size: int
    limit: int


def most_needed(requests: Sequence[Request]) -> int:
    """Bytes that all owners together need at one time, at most, if nobody is given up."""
    sizes: dict[int, int] = {}
    needed = most = 0
    for request in requests:
        needed += request.size - sizes.get(request.owner, 0)
        sizes[request.owner] = request.size
        most = max(most, needed)
    return most


def serving_requests(
    deployment: Deployment,
    *,
    requests: int,
    rate_per_s: float,
    prompt: float,
    answer: float,
    variation: float,
    answer_limit: int,
    most_sequences: int,
    seed: int,
    check: Callable[[], None],
) -> list[Request]:
    """What the KV of sequences needs while the engine's own scheduler serves them, with continuous batching
    and room for all. A sequence may grow to its prompt and ``answer_limit`` tokens; few answers get there.
    """
    lengths = lognormal_lengths(prompt, answer, variation, answer_limit, seed)
    workload = open_workload(poisson_arrivals(rate_per_s, seed), lengths, requests)
    blocks = most_sequences * -(-answer_limit // _BLOCK) * 2 + 1
    log = EventLog(lambda: replica.now_s())
    scheduler = Scheduler(BlockManager(blocks, _BLOCK, log=log), most_sequences=most_sequences, log=log)
    replica = Replica(scheduler, RooflineCost(deployment, Constants()), log)
    Simulator([replica], OpenLoop(workload)).run(check)
    token = int(deployment.kv_token_bytes)
    return list(_from_events(log.events, token, answer_limit * token))


def _from_events(events: Sequence[Event], token_bytes: int, answer_limit: int) -> Iterator[Request]:
    tokens: dict[int, int] = {}
    limits: dict[int, int] = {}
    for event in events:
        if event.kind is EventKind.ARRIVE:
            limits[event.sequence] = event.tokens * token_bytes + answer_limit
        elif event.kind is EventKind.STEP:
            for row in event.rows:
                tokens[row.sequence] = tokens.get(row.sequence, 0) + row.tokens
                yield Request(
                    event.start_s, row.sequence, tokens[row.sequence] * token_bytes, limits[row.sequence]
                )
        elif event.kind is EventKind.FINISH:
            yield Request(event.time_s, event.sequence, 0, limits[event.sequence])


def tensor_requests(count: int, seed: int, live: int = 24) -> list[Request]:
    """Temporary tensors of mixed sizes: seven in ten between 512 B and 512 KiB, the others 1 to 64 MiB, even
    on a logarithmic scale. About ``live`` exist at once; each lives for an exponential time."""
    draw = random.Random(f"{seed}/tensors")
    found: list[Request] = []
    ends: list[tuple[float, int]] = []
    for owner in range(count):
        now = 1e-3 * owner
        while ends and ends[0][0] <= now:
            found.append(Request(*heapq.heappop(ends), 0, 0))
        low, high = _SMALL if draw.random() < _SMALL_SHARE else _LARGE
        size = int(2 ** draw.uniform(low, high))
        found.append(Request(now, owner, size, size))
        heapq.heappush(ends, (now + 1e-3 * live * draw.expovariate(1.0), owner))
    while ends:
        found.append(Request(*heapq.heappop(ends), 0, 0))
    return found
