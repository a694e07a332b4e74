"""The engine on the loaded model with a lab's settings, and requests that arrive in real time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from labs.engine.block_manager import BlockManager
from labs.engine.engine import Engine
from labs.engine.events import EventLog
from labs.engine.model_runner import ModelRunner
from labs.engine.policies import POLICIES, PolicyName
from labs.engine.reserving import ReservingManager
from labs.engine.sampling import SamplingParams
from labs.engine.scheduler import Scheduler
from labs.engine.static_scheduler import StaticScheduler
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.engine.engine import StepRecord
    from labs.engine.generation import Generation
    from labs.engine.precision import KVType, Weights
    from labs.engine.scheduler import Preemption

Batching = Literal["static", "bucketed", "dynamic", "continuous", "chunked"]

_IDLE_S = 0.005  # between looks at the clock while nothing is there to do


@dataclass(frozen=True)
class Setting:
    """``blocks`` of ``block_size`` tokens; ``wait_s`` is dynamic batching's: how long a batch may fill.

    ``reserved``: each sequence takes contiguous blocks for all it may need, as was done before paging; then
    there is no prefix cache, and requests may not fork.
    """

    blocks: int = 512
    block_size: int = 16
    batching: Batching = "chunked"
    policy: PolicyName = "fcfs"
    most_sequences: int = 8
    token_budget: int = 256
    prefix_cache: bool = False
    reserved: bool = False
    preemption: Preemption = "recompute"
    wait_s: float = 0.5
    weights: Weights = "fp32"
    kv: KVType = "fp32"


@dataclass(frozen=True)
class Arrival:
    """A request that comes ``at_s`` after the start."""

    at_s: float
    prompt: list[int]
    params: SamplingParams = field(default_factory=SamplingParams)
    user: str = ""
    priority: int = 0
    deadline_s: float = math.inf
    predicted: int = 0


def make_scheduler(setting: Setting, log: EventLog | None) -> Scheduler:
    """The scheduler and its block manager, which need no model."""
    kind = ReservingManager if setting.reserved else BlockManager
    prefix_cache = setting.prefix_cache and not setting.reserved
    manager = kind(setting.blocks, setting.block_size, prefix_cache, log)
    policy, most = POLICIES[setting.policy](), setting.most_sequences
    if setting.batching in ("continuous", "chunked"):
        return Scheduler(
            manager,
            policy=policy,
            most_sequences=most,
            token_budget=setting.token_budget,
            chunked=setting.batching == "chunked",
            preemption=setting.preemption,
            log=log,
        )
    wait_s = setting.wait_s if setting.batching == "dynamic" else math.inf
    buckets = setting.batching == "bucketed"
    budget = max(setting.token_budget, most)
    return StaticScheduler(
        manager,
        wait_s=wait_s,
        buckets=buckets,
        policy=policy,
        most_sequences=most,
        token_budget=budget,
        log=log,
    )


def make_engine(ctx: Context, setting: Setting, record: bool = True) -> Engine:
    """LabError where the KV cache would not fit, or the device lacks the weights' type.

    The weights are packed once a worker and type; the KV cache is this engine's own.
    """
    loaded = ctx.model()
    zh, en = f"{setting.blocks} 块的 KV 缓存", f"a KV cache of {setting.blocks} blocks"
    config, per_number = loaded.config, 4
    tokens = setting.blocks * setting.block_size
    kv_bytes = 2 * config.layers * config.kv_heads * config.head_dim * per_number * tokens
    ctx.reserve(kv_bytes, Text(zh=zh, en=en), Text(zh="减少块数", en="Use fewer blocks"))
    clock = _Clock()
    log = EventLog(clock) if record else None
    scheduler = make_scheduler(setting, log)
    runner = ModelRunner(
        loaded.model,
        blocks=setting.blocks,
        block_size=setting.block_size,
        weights=setting.weights,
        kv=setting.kv,
        device=ctx.device,
    )
    engine = Engine(runner, scheduler, loaded.tokenizer, config.eos_ids, log, clock)
    clock.restart()
    return engine


def serve(
    ctx: Context, engine: Engine, arrivals: Sequence[Arrival], most_s: float = math.inf
) -> Iterator[tuple[StepRecord | None, list[Generation]]]:
    """Let ``arrivals`` (ascending) come at their times, counted from now, and serve them to the end.

    Yields after each step, with the generations so far; also, with None, now and then while nothing runs.
    Stops without error after ``most_s``; Cancelled where the run is stopped.
    """
    start, coming = engine.clock(), list(arrivals)
    generations: list[Generation] = []
    while coming or engine.busy:
        ctx.check()
        now = engine.clock() - start
        if now > most_s:
            return
        while coming and coming[0].at_s <= now:
            generations.append(_arrive(engine, coming.pop(0), start))
        if isinstance(engine.scheduler, StaticScheduler):
            engine.scheduler.drained = not coming
        record = engine.step()
        if record is None:
            time.sleep(_IDLE_S)
        yield record, generations


def _arrive(engine: Engine, arrival: Arrival, start: float) -> Generation:
    return engine.add(
        arrival.prompt,
        arrival.params,
        arrival_s=start + arrival.at_s,
        user=arrival.user,
        priority=arrival.priority,
        deadline_s=start + arrival.deadline_s,
        predicted=arrival.predicted,
    )


class _Clock:
    """Seconds since ``restart``."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._start = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self._start
