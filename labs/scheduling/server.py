"""The simulated server: Llama-3-8B on one A100, and what it could serve at most."""

from __future__ import annotations

import functools
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.engine.block_manager import BlockManager
from labs.engine.scheduler import Scheduler
from labs.formulas.scheduling import mgk_wait
from labs.simulator.constants import constants
from labs.simulator.cost import RooflineCost
from labs.simulator.deployment import Deployment
from labs.simulator.hardware import device
from labs.simulator.models import model
from labs.simulator.replica import Replica
from labs.simulator.ticks import PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.engine.events import EventLog
    from labs.engine.policies import Policy
    from labs.engine.scheduler import Preemption
    from labs.simulator.traces import Request

MODEL, DEVICE = "llama-3-8b", "a100-80gb-sxm"
BLOCK_SIZE = 16


@functools.cache
def cost_model() -> RooflineCost:
    """By times of its kernels; what the host adds to a step is left out."""
    return RooflineCost(Deployment(model=model(MODEL), device=device(DEVICE)), constants("kernels", DEVICE))


@dataclass(frozen=True)
class Server:
    """``most_sequences`` at once, ``token_budget`` tokens a step, ``blocks`` of KV."""

    most_sequences: int = 32
    token_budget: int = 512
    blocks: int = 4096
    preemption: Preemption = "recompute"

    def replica(self, policy: Policy, log: EventLog | None = None, prefix_cache: bool = False) -> Replica:
        scheduler = Scheduler(
            BlockManager(self.blocks, BLOCK_SIZE, prefix_cache, None),
            policy=policy,
            most_sequences=self.most_sequences,
            token_budget=max(self.token_budget, self.most_sequences),
            chunked=True,
            preemption=self.preemption,
            log=log,
        )
        return Replica(scheduler, cost_model())

    def alone_s(self, request: Request) -> float:
        """From arrival to the last token on an idle server."""
        cost, ticks, done = cost_model(), 0, 0
        while done < request.input_tokens:
            tokens = min(self.token_budget, request.input_tokens - done)
            last = done + tokens == request.input_tokens
            ticks += cost.prefill_attention(tokens, done) + cost.linear(tokens, int(last))
            done += tokens
        steps = request.output_tokens - 1
        ramp = cost.decode_attention(1, request.input_tokens + 1)
        ticks += steps * (cost.linear(1, 1) + ramp.ticks) + ramp.rise * (steps * (steps - 1) // 2)
        return ticks / PER_SECOND

    def full(self, requests: Sequence[Request]) -> Full:
        """What it does with all places taken, by the means of these requests."""
        answer = statistics.fmean(one.output_tokens for one in requests)
        prompt = statistics.fmean(one.input_tokens for one in requests)
        held = sum(one.output_tokens * (one.input_tokens + one.output_tokens / 2) for one in requests)
        context = held / sum(one.output_tokens for one in requests)
        places = min(self.most_sequences, max(1, int(self.blocks * BLOCK_SIZE / context)))
        prefills = -(-prompt // self.token_budget)
        steps = prefills + answer - 1
        return Full(places, steps, self._step_s(places, places / steps, prompt, context), requests)

    def _step_s(self, places: int, prompts: float, prompt: float, context: float) -> float:
        """Mean step: by chance some hold the ``prompts`` that a step has on average, the others none."""
        cost = cost_model()
        some = -math.expm1(-prompts)
        each = prompts / some
        attention = cost.decode_attention(places, int(places * context)).ticks
        without = cost.linear(places, places)
        tokens = int(places + each * prompt)
        chunk = each * cost.prefill_attention(int(prompt), 0)
        with_prompt = cost.linear(tokens, places) + chunk
        return (some * with_prompt + (1 - some) * without + attention) / PER_SECOND


@dataclass(frozen=True)
class Full:
    """A full server: ``places`` sequences at once, ``steps`` steps a request, ``step_s`` a step."""

    places: int
    steps: float
    step_s: float
    requests: Sequence[Request]

    @property
    def service_s(self) -> float:
        """Time in the batch."""
        return self.steps * self.step_s

    @property
    def capacity_per_s(self) -> float:
        """Requests a second: beyond it the queue only grows."""
        return self.places / self.service_s

    def fcfs_wait_s(self, rate_per_s: float) -> float:
        """Mean wait for a place, as if each were a server of its own; and half a step, as nobody is admitted
        while one is under way."""
        answers = [one.output_tokens for one in self.requests]
        variation = statistics.pstdev(answers) / statistics.fmean(answers)
        return mgk_wait(rate_per_s, self.service_s, variation, self.places) + self.step_s / 2
