"""The engine's scheduler and block manager on requests with shared prefixes: who refers to which block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from labs.engine.block_manager import BlockManager
from labs.engine.events import EventKind, EventLog
from labs.engine.recording import CACHED, Recording
from labs.engine.scheduler import Scheduler
from labs.simulator.cost import Constants, RooflineCost
from labs.simulator.replica import Replica
from labs.simulator.simulator import Simulator
from labs.simulator.traces import HASH_BLOCK_TOKENS, Request
from labs.simulator.workloads import OpenLoop, poisson_arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labs.memory.eviction import Chain
    from labs.simulator.deployment import Deployment

_ANSWER = 64  # tokens of each answer
_MOST_SEQUENCES = 8


class Count(NamedTuple):
    """After ``event``: blocks that somebody refers to, all references to them, the most to a single one, and
    blocks that nobody refers to but whose contents are kept."""

    event: int
    time_s: float
    owned: int
    references: int
    most: int
    cached: int


@dataclass(frozen=True)
class SharedRun:
    recording: Recording
    counts: list[Count]
    blocks: int

    @property
    def most_shared(self) -> Count:
        return max(self.counts, key=lambda one: (one.most, one.references))

    @property
    def evicted(self) -> int:
        events = self.recording.events
        return sum(len(event.blocks) for event in events if event.kind is EventKind.EVICT)


def serve_chains(
    chains: Sequence[Chain],
    deployment: Deployment,
    *,
    blocks: int,
    rate_per_s: float,
    seed: int,
    check: Callable[[], None],
) -> SharedRun:
    """Blocks of 512 tokens. Each prompt ends with a token of its own, so that all its blocks can be found."""
    arrivals = poisson_arrivals(rate_per_s, seed)
    requests = [
        Request(next(arrivals), len(chain) * HASH_BLOCK_TOKENS + 1, _ANSWER, hash_ids=chain)
        for chain in chains
    ]
    log = EventLog(lambda: replica.now_s())
    manager = BlockManager(blocks, HASH_BLOCK_TOKENS, prefix_cache=True, log=log)
    scheduler = Scheduler(
        manager, most_sequences=_MOST_SEQUENCES, token_budget=4 * HASH_BLOCK_TOKENS, log=log
    )
    replica = Replica(scheduler, RooflineCost(deployment, Constants()), log)
    Simulator([replica], OpenLoop(requests)).run(check)
    recording = Recording(log.events, HASH_BLOCK_TOKENS)
    return SharedRun(recording, list(_counts(recording)), blocks)


def _counts(recording: Recording) -> Iterator[Count]:
    rows, place = recording.blocks, 0
    owners: dict[int, int] = {}
    cached: set[int] = set()
    for index, event in enumerate(recording.events):
        begin = place
        while place < len(rows) and rows[place].event <= index:
            row = rows[place]
            place += 1
            if row.owners:
                owners[row.block] = row.owners
                cached.discard(row.block)
                continue
            owners.pop(row.block, None)
            if row.owner == CACHED:
                cached.add(row.block)
            else:
                cached.discard(row.block)
        if place > begin:
            counts = owners.values()
            yield Count(index, event.time_s, len(owners), sum(counts), max(counts, default=0), len(cached))
