"""Waiting in a queue: why latency explodes before a server is full. Seconds, and requests a second.

One server, Poisson arrivals, first come first served. A batching engine is no such server: its rate grows
with its load. Still, the shape of these curves and Little's law are what a serving system must obey.
"""

from __future__ import annotations

import math


def requests_in_system(arrival_rate: float, time_in_system_s: float) -> float:
    """Little's law, ``L = lambda W``: holds for any system in steady state, whatever its scheduling.

    Used for the queue alone it gives the queue's length from the waiting time (Little, 1961).
    """
    return arrival_rate * time_in_system_s


def utilisation(arrival_rate: float, service_s: float) -> float:
    """``rho = lambda E[S]``: the busy share of time. From 1 on the queue grows for ever."""
    return arrival_rate * service_s


def mg1_wait(arrival_rate: float, service_s: float, variation: float) -> float:
    """Mean wait before service, by Pollaczek-Khinchine: ``rho / (1 - rho) * (1 + c**2) / 2 * E[S]``.

    ``variation`` is ``c``, the service time's coefficient of variation: 0 is a fixed time, 1 exponential.
    Answers whose lengths vary more make everyone wait longer at the same load. Infinite from ``rho = 1`` on.
    """
    rho = utilisation(arrival_rate, service_s)
    return rho / (1 - rho) * (1 + variation**2) / 2 * service_s if rho < 1 else math.inf


def mm1_wait(arrival_rate: float, service_s: float) -> float:
    """Mean wait before service with exponential service times: ``rho / (1 - rho) * E[S]``."""
    return mg1_wait(arrival_rate, service_s, 1.0)


def mm1_latency_percentile(arrival_rate: float, service_s: float, percent: float) -> float:
    """Time in the system that ``percent`` of requests keep: it is exponential, of rate ``mu - lambda``."""
    spare_rate = 1 / service_s - arrival_rate
    return -math.log1p(-percent / 100) / spare_rate if spare_rate > 0 else math.inf
