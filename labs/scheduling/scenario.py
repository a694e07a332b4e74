"""All that a comparison needs: the requests, the server, what the policies are told, and the load."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from labs.scheduling.orders import Knobs
from labs.scheduling.policy_run import PolicyRun, serve
from labs.scheduling.predictor import noisy
from labs.scheduling.server import Server
from labs.scheduling.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.results import Array
    from labs.scheduling.orders import Order
    from labs.scheduling.server import Full
    from labs.simulator.traces import Request


@dataclass(frozen=True)
class Scenario:
    """``load`` is the offered rate over the server's estimated capacity; ``error`` the length predictor's;
    ``tpot_s`` the objective that all requests share."""

    workload: Workload = field(default_factory=Workload)
    server: Server = field(default_factory=Server)
    knobs: Knobs = field(default_factory=Knobs)
    load: float = 0.95
    error: float = 0.5
    tpot_s: float = 0.05

    @functools.cached_property
    def full(self) -> Full:
        return self.server.full(self.workload.at_rate(1.0))

    @property
    def rate_per_s(self) -> float:
        return self.load * self.full.capacity_per_s

    @functools.cached_property
    def requests(self) -> list[Request]:
        return self.workload.at_rate(self.rate_per_s)

    @functools.cached_property
    def alone_s(self) -> Array:
        return np.array([self.server.alone_s(one) for one in self.requests])

    def at_load(self, load: float) -> Scenario:
        return replace(self, load=load)

    def serve(self, order: Order, check: Callable[[], None] | None = None) -> PolicyRun:
        predict = noisy(self.error, self.workload.seed)
        return serve(
            order,
            self.requests,
            self.alone_s,
            self.server,
            self.workload,
            self.knobs,
            tpot_s=self.tpot_s,
            predict=predict,
            check=check,
        )
