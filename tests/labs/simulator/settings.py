"""Small simulations of every kind: few blocks, so that memory runs out, and short lengths, so that all is
quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labs.engine.block_manager import BlockManager
from labs.engine.events import EventLog
from labs.engine.policies import (
    EarliestDeadlineFirst,
    FairShare,
    FirstComeFirstServed,
    MultiLevelFeedback,
    PriorityWithAgeing,
    ShortestFirst,
)
from labs.engine.scheduler import Scheduler
from labs.engine.static_scheduler import StaticScheduler
from labs.simulator.cost import Ramp
from labs.simulator.replica import Replica
from labs.simulator.ticks import NEVER, PER_SECOND

if TYPE_CHECKING:
    from labs.engine.events import Event
    from labs.simulator.cost import CostModel

POLICIES: dict[str, Any] = {
    "fcfs": FirstComeFirstServed,
    "shortest": ShortestFirst,
    "priority": lambda: PriorityWithAgeing(ageing_s=2),
    "deadline": EarliestDeadlineFirst,
    "feedback": lambda: MultiLevelFeedback(quantum=2, levels=3, boost_s=20),
    "fair": FairShare,
}
BATCHING = ("chunked", "continuous", "static", "dynamic", "bucketed")


@dataclass
class PlainCost:
    """Seconds anyone can check: ``step_s``, and for each token, pair and token of context its own."""

    step_s: float = 1.0
    token_s: float = 0.125
    context_s: float = 0.0
    swap_s: float = 0.25

    def linear(self, tokens: int, sequences: int) -> int:
        return round((self.step_s + tokens * self.token_s) * PER_SECOND)

    def prefill_attention(self, tokens: int, cached: int) -> int:
        return round((tokens + cached) * self.context_s * PER_SECOND)

    def decode_attention(self, rows: int, context: int) -> Ramp:
        token = round(self.context_s * PER_SECOND)
        return Ramp(token * context, token * rows, NEVER)

    def swap(self, tokens: int) -> int:
        return round(tokens * self.swap_s * PER_SECOND)


@dataclass
class Setting:
    blocks: int = 64
    block_size: int = 4
    prefix_cache: bool = False
    batching: str = "chunked"
    policy: str = "fcfs"
    most: int = 4
    budget: int = 16
    preemption: Any = "recompute"
    cost: CostModel = field(default_factory=PlainCost)
    fast_forward: bool = True
    logged: bool = False

    def replica(self) -> Replica:
        # The log is made first, and asks the replica for the time once there is one.
        log = EventLog(lambda: replica.now_s()) if self.logged else None
        manager = BlockManager(self.blocks, self.block_size, self.prefix_cache, log)
        options: Any = {
            "policy": POLICIES[self.policy](),
            "most_sequences": self.most,
            "token_budget": max(self.budget, self.most),
            "preemption": self.preemption,
            "log": log,
        }
        waits: dict[str, Any] = {"static": {}, "dynamic": {"wait_s": 5.0}}
        waits["bucketed"] = {"wait_s": 5.0, "buckets": True}
        if self.batching in waits:
            scheduler: Scheduler = StaticScheduler(manager, **waits[self.batching], **options)
        else:
            scheduler = Scheduler(manager, chunked=self.batching == "chunked", **options)
        replica = Replica(scheduler, self.cost, log, fast_forward=self.fast_forward)
        return replica


def events(replica: Replica) -> list[Event]:
    assert replica._log is not None
    return replica._log.events
