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


def fill_wait(arrival_rate: float, batch_size: int) -> float:
    """Mean wait until a batch is full: ``(B - 1) / (2 lambda)``, for any arrivals of that mean rate.

    The first of a batch waits for ``B - 1`` others, the last for none. It falls with load, unlike any queue.
    """
    return (batch_size - 1) / (2 * arrival_rate)


def full_batch_wait(arrival_rate: float, batch_size: int, batch_s: float) -> float:
    """Mean wait before service when only full batches leave, each served in ``batch_s``; Poisson arrivals.

    Filling, then a queue of batches: their gaps have the squared variation ``1 / B``, their service none, so
    by Kingman's approximation they wait ``rho / (1 - rho) / (2 B) * T`` (Kingman, 1961), a little more than
    they really do. Infinite from ``rho = lambda T / B = 1`` on.
    """
    rho = utilisation(arrival_rate / batch_size, batch_s)
    queue = rho / (1 - rho) / (2 * batch_size) * batch_s if rho < 1 else math.inf
    return fill_wait(arrival_rate, batch_size) + queue
