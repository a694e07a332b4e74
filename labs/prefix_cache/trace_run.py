"""A request trace through simulated servers whose caches have more and more room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.engine.block_manager import BlockManager
from labs.engine.scheduler import Scheduler
from labs.simulator.replica import Replica
from labs.simulator.report import Report, report
from labs.simulator.simulator import Simulator
from labs.simulator.workloads import OpenLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labs.simulator.cost import CostModel
    from labs.simulator.traces import Request

BLOCK_SIZE = 16
_MOST_SEQUENCES, _BUDGET = 64, 2048


@dataclass(frozen=True)
class CacheRun:
    """``blocks`` of KV in all; ``reused``: whether the prefix cache was on."""

    blocks: int
    reused: bool
    report: Report


def serve_with(
    requests: Sequence[Request], cost: CostModel, blocks: int, reused: bool, check: Callable[[], None]
) -> CacheRun:
    """LabError if a request does not fit in ``blocks`` even alone."""
    scheduler = Scheduler(
        BlockManager(blocks, BLOCK_SIZE, reused), most_sequences=_MOST_SEQUENCES, token_budget=_BUDGET
    )
    simulator = Simulator([Replica(scheduler, cost)], OpenLoop(requests))
    served = simulator.run(check)
    return CacheRun(blocks, reused, report(served, simulator.replicas))


def room_for(requests: Sequence[Request]) -> int:
    """Blocks that the longest request needs: fewer cannot serve the trace at all."""
    longest = max(request.input_tokens + request.output_tokens for request in requests)
    return -(-longest // BLOCK_SIZE)


def sizes(least: int, most: int) -> Iterator[int]:
    """From ``least`` blocks to ``most``, each half as large again as the one before."""
    blocks = least
    while blocks < most:
        yield blocks
        blocks = max(blocks + 1, blocks * 3 // 2)
    yield most
