"""What an order of service does to waiting, how fair a division is, and what choosing among servers gains.

Seconds, and requests a second. Arrivals are Poisson; nobody is interrupted once served, unless said.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from labs.formulas.queueing import mm1_wait

if TYPE_CHECKING:
    from collections.abc import Sequence


def mg1_fcfs_wait(arrival_rate: float, service_s: Sequence[float]) -> float:
    """Pollaczek-Khinchine from the service times themselves: ``lambda E[S**2] / (2 (1 - rho))``.

    The same holds for every order that does not look at service times. Infinite from ``rho = 1`` on.
    """
    rho = arrival_rate * _mean(service_s)
    return _residual(arrival_rate, service_s) / (1 - rho) if rho < 1 else math.inf


def mg1_sjf_waits(arrival_rate: float, service_s: Sequence[float]) -> list[float]:
    """Mean wait of each of these services where the shortest goes next: ``W0 / ((1 - below) (1 - upto))``.

    ``W0 = lambda E[S**2] / 2`` is what remains of the service under way, ``below`` and ``upto`` the load of
    those that are shorter, and of those not longer. Phipps (1956); Cobham's priorities (1954), a class a
    service time. Infinite for those so long that they and the shorter ones fill the server.
    """
    count, residual = len(service_s), _residual(arrival_rate, service_s)
    waits: dict[float, float] = {}
    below = 0.0
    for service, same in itertools.groupby(sorted(service_s)):
        upto = below + arrival_rate * service * len(list(same)) / count
        waits[service] = residual / ((1 - below) * (1 - upto)) if upto < 1 else math.inf
        below = upto
    return [waits[service] for service in service_s]


def mg1_sjf_wait(arrival_rate: float, service_s: Sequence[float]) -> float:
    """Mean over all requests of ``mg1_sjf_waits``."""
    return _mean(mg1_sjf_waits(arrival_rate, service_s))


def mgk_wait(arrival_rate: float, service_s: float, variation: float, servers: int) -> float:
    """Approximate mean wait before ``servers`` servers: Erlang's C for exponential times, scaled by
    ``(1 + c**2) / 2`` (Lee and Longton, 1959). Exact for one server, and for ``variation`` 1."""
    load = arrival_rate * service_s
    if load >= servers:
        return math.inf
    blocked = 1.0  # Erlang's B, by its recursion
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    rho = load / servers
    waiting = blocked / (1 - rho * (1 - blocked))
    return waiting * service_s / (servers - load) * (1 + variation**2) / 2


def jain_index(shares: Sequence[float]) -> float:
    """``(sum x)**2 / (n sum x**2)``: 1 where all have the same, ``1 / n`` where one has everything.

    Jain, Chiu and Hawe (DEC-TR-301, 1984); ``x`` is what each got over what is due to it. 1.0 of nothing.
    """
    squares = math.fsum(share * share for share in shares)
    return math.fsum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def max_min_shares(capacity: float, demands: Sequence[float]) -> list[float]:
    """What is due to each: equal parts, but nobody gets more than asked for, and what is left over is
    divided among the others."""
    shares = [0.0] * len(demands)
    left = capacity
    for place, index in enumerate(sorted(range(len(demands)), key=lambda one: demands[one])):
        shares[index] = min(demands[index], left / (len(demands) - place))
        left -= shares[index]
    return shares


def fair_share_gap(most_input: int, most_batch_tokens: int, output_weight: float = 2.0) -> float:
    """Most by which the service of two users that both keep waiting can drift apart, however long they do:
    ``2 max(w_p L_input, w_q M)`` weighted tokens, ``w_p`` 1 (Sheng et al., OSDI 2024, section 4)."""
    return 2 * max(most_input, output_weight * most_batch_tokens)


def supermarket_time(load: float, choices: int, terms: int = 64) -> float:
    """Mean time in the system, in mean service times, where each arrival joins the shortest of ``choices``
    queues drawn at random, of infinitely many: ``sum load**((d**i - d) / (d - 1))``.

    Exponential services, first come first served (Mitzenmacher, 2001). One choice: ``1 / (1 - load)``.
    """
    if load >= 1:
        return math.inf
    if choices == 1:
        return 1 / (1 - load)
    total = 0.0
    for i in range(1, terms):
        exponent = (choices**i - choices) // (choices - 1)
        if exponent * math.log(load or 0.5) < -50:
            break
        total += load**exponent
    return total


def pooled_wait(arrival_rate: float, service_s: float, servers: int) -> tuple[float, float]:
    """Mean wait with a queue a server, arrivals spread at random, and with one queue before all of them;
    exponential services. The difference is what perfect balancing can win."""
    return mm1_wait(arrival_rate / servers, service_s), mgk_wait(arrival_rate, service_s, 1.0, servers)


def any_slow(share: float, parts: int) -> float:
    """How likely one of ``parts`` independent parts is slow, if each is with probability ``share``:
    ``1 - (1 - p)**n`` (Dean and Barroso, The Tail at Scale, 2013)."""
    return -math.expm1(parts * math.log1p(-share)) if share < 1 else 1.0


def prediction_tau(spread: float, error: float) -> float:
    """Kendall's rank correlation of log-normal lengths and their predictions, off by log-normal factors.

    ``spread`` and ``error`` are standard deviations of the logarithms. ``2 / pi asin(r)`` with ``r = spread /
    sqrt(spread**2 + error**2)`` (Greiner's relation). Of two requests ``(1 + tau) / 2`` are ordered right.
    """
    return 2 / math.pi * math.asin(spread / math.hypot(spread, error)) if spread or error else 0.0


def log_spread(variation: float) -> float:
    """Standard deviation of the logarithm of a log-normal quantity with this coefficient of variation."""
    return math.sqrt(math.log1p(variation**2))


def _residual(arrival_rate: float, service_s: Sequence[float]) -> float:
    """Mean of what remains of the service under way when someone arrives, 0 where there is none."""
    return arrival_rate * _mean([service * service for service in service_s]) / 2


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
