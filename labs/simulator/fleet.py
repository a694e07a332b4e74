"""A fleet by its settings: replicas of a deployment, a scheduler each, a router before them, one workload."""

from __future__ import annotations

import itertools
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from labs.engine.block_manager import BlockManager
from labs.engine.policies import POLICIES, PolicyName
from labs.engine.scheduler import Preemption, Scheduler
from labs.engine.static_scheduler import StaticScheduler
from labs.simulator.cost import IDEAL, Constants, RooflineCost
from labs.simulator.deployment import MEMORY_SHARE, Deployment
from labs.simulator.disaggregation import DisaggregatedSimulator
from labs.simulator.replica import Replica
from labs.simulator.report import Report, report
from labs.simulator.routing import LeastLoaded, PrefixAware, RoundRobin
from labs.simulator.served import Objective
from labs.simulator.simulator import Simulator
from labs.simulator.table_cost import TableCost, Timed
from labs.simulator.traces import read_trace
from labs.simulator.workloads import (
    ClosedLoop,
    OpenLoop,
    fixed_lengths,
    gamma_arrivals,
    lognormal_lengths,
    open_workload,
    poisson_arrivals,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from labs.simulator.cost import CostModel
    from labs.simulator.routing import Router
    from labs.simulator.traces import Request
    from labs.simulator.workloads import Lengths, Source

_STATUS = Path("/proc/self/status")

Batching = Literal["chunked", "continuous", "static", "dynamic"]
RouterName = Literal["round_robin", "least_loaded", "prefix_aware"]
ArrivalName = Literal["poisson", "bursty", "closed", "trace"]
LengthName = Literal["lognormal", "fixed", "file"]

_ROUTERS: dict[RouterName, Callable[[], Router]] = {
    "round_robin": RoundRobin,
    "least_loaded": LeastLoaded,
    "prefix_aware": PrefixAware,
}


# Requests that tell the mean of their lengths.
_LOOKED_AT = 2000


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """``requests`` at most. ``path`` is a file of lengths, or a whole trace. ``variation`` is the coefficient
    of variation of the gaps of bursty arrivals, ``length_variation`` that of log-normal lengths."""

    arrivals: ArrivalName = "poisson"
    rate_per_s: float = 4.0
    variation: float = 3.0
    users: int = 32
    think_s: float = 5.0
    requests: int = 2000
    lengths: LengthName = "lognormal"
    prompt: int = 1024
    answer: int = 256
    length_variation: float = 1.0
    most: int = 8192
    path: str = ""
    seed: int = 0

    def source(self) -> Source:
        """LabError where the file cannot be read."""
        if self.arrivals == "trace":
            return OpenLoop(itertools.islice(self._trace(), self.requests))
        if self.arrivals == "closed":
            return ClosedLoop(self.users, self.think_s, self._lengths(), self.requests, self.seed)
        arrivals = poisson_arrivals(self.rate_per_s, self.seed)
        if self.arrivals == "bursty":
            arrivals = gamma_arrivals(self.rate_per_s, self.variation, self.seed)
        return OpenLoop(open_workload(arrivals, self._lengths(), self.requests))

    def _lengths(self) -> Iterator[Lengths]:
        if self.lengths == "file":
            return itertools.cycle(self._pairs(self.requests))
        if self.lengths == "fixed":
            return fixed_lengths(self.prompt, self.answer)
        return lognormal_lengths(self.prompt, self.answer, self.length_variation, self.most, self.seed)

    def _trace(self) -> Iterator[Request]:
        return read_trace(Path(self.path).expanduser())

    def _pairs(self, most: int) -> list[Lengths]:
        """Of the file's first requests. They are read before the simulation begins, whose time is taken."""
        return [(one.input_tokens, one.output_tokens) for one in itertools.islice(self._trace(), most)]

    def mean_lengths(self) -> tuple[float, float]:
        """Of the first requests: what an estimate goes by."""
        known = self.arrivals == "trace" or self.lengths == "file"
        pairs = self._pairs(_LOOKED_AT) if known else list(itertools.islice(self._lengths(), _LOOKED_AT))
        return sum(prompt for prompt, _ in pairs) / len(pairs), sum(n for _, n in pairs) / len(pairs)


class Fleet(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """``prefill_replicas`` more replicas take the prompts where it is not 0; ``replicas`` then decode. With
    a ``table`` of timed steps, it and not the ``constants`` says what a step costs."""

    deployment: Deployment
    constants: Constants = IDEAL
    table: tuple[Timed, ...] = ()
    replicas: int = 1
    prefill_replicas: int = 0
    router: RouterName = "least_loaded"
    batching: Batching = "chunked"
    policy: PolicyName = "fcfs"
    most_sequences: int = 256
    token_budget: int = 512
    block_size: int = 16
    memory_share: float = MEMORY_SHARE
    prefix_cache: bool = False
    preemption: Preemption = "recompute"
    wait_s: float = 0.5
    objective: Objective = Objective()

    @property
    def blocks(self) -> int:
        return self.deployment.kv_blocks(self.block_size, self.memory_share)

    def cost(self) -> CostModel:
        return TableCost(self.table) if self.table else RooflineCost(self.deployment, self.constants)

    def capacity_per_s(self, prompt: float, answer: float) -> float:
        """Requests/s that the fleet can serve at most, estimated: decoding as many at once as fit, and paying
        for each prompt as if the machine did nothing else. Queues grow without end above it."""
        cost, tokens = self.cost(), self.blocks * self.block_size
        batch = max(1, min(self.most_sequences, int(tokens / (prompt + answer / 2))))
        context = round(batch * (prompt + answer / 2))
        decode = cost.linear(batch, batch) + cost.decode_attention(batch, context).ticks
        # Of a step in which prompts and decodes share the budget, the tokens of the prompts.
        chunk = max(1, round(min(self.token_budget, batch * prompt / answer)))
        mixed = cost.linear(batch + chunk, batch) + cost.decode_attention(batch, context).ticks
        prefill = cost.prefill_attention(round(prompt), 0)
        steps = prompt / chunk
        per_request = steps * (mixed - decode) + prefill + answer * decode / batch
        return self.replicas / per_request * 1e12

    def _scheduler(self, batching: Batching) -> Scheduler:
        manager = BlockManager(self.blocks, self.block_size, self.prefix_cache)
        options: dict[str, Any] = {
            "policy": POLICIES[self.policy](),
            "most_sequences": self.most_sequences,
            "token_budget": max(self.token_budget, self.most_sequences),
            "preemption": self.preemption,
        }
        if batching == "static":
            return StaticScheduler(manager, **options)
        if batching == "dynamic":
            return StaticScheduler(manager, wait_s=self.wait_s, **options)
        return Scheduler(manager, chunked=batching == "chunked", **options)

    def _replicas(self, count: int, cost: CostModel) -> list[Replica]:
        return [Replica(self._scheduler(self.batching), cost) for _ in range(count)]

    def simulator(self, source: Source) -> Simulator:
        """LabError where the model does not fit, or two pools have no link between them."""
        cost, router = self.cost(), _ROUTERS[self.router]()
        replicas = self._replicas(self.replicas, cost)
        if not self.prefill_replicas:
            return Simulator(replicas, source, router=router, objective=self.objective)
        return DisaggregatedSimulator(
            self._replicas(self.prefill_replicas, cost),
            replicas,
            source,
            token_bytes=self.deployment.kv_token_bytes,
            link_bandwidth=self.deployment.device.link_bandwidth * self.deployment.tensor_parallel,
            router=router,
            objective=self.objective,
        )


class Outcome(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """``cpu_s`` is processor time of the simulation alone; ``peak_rss_bytes`` of the process so far."""

    report: Report
    replicas: list[Replica]
    cpu_s: float
    peak_rss_bytes: int | None


def simulate(fleet: Fleet, workload: Workload, check: Callable[[], None] | None = None) -> Outcome:
    """Serve the whole workload. LabError where a request can never fit."""
    simulator = fleet.simulator(workload.source())
    start = time.process_time()
    served = simulator.run(check)
    cpu_s = time.process_time() - start
    return Outcome(
        report=report(served, simulator.replicas),
        replicas=simulator.replicas,
        cpu_s=cpu_s,
        peak_rss_bytes=_peak_rss_bytes(),
    )


def _peak_rss_bytes() -> int | None:
    """Of this process since it started; None where the system does not tell.

    Not ``ru_maxrss`` on Linux: it begins with the peak of the process that started this one.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
