"""Requests made by chance: when they arrive, how long they are, and users who wait for their answers.

Everything is an iterator, drawn from a generator that the seed alone determines, so that a million requests
need no more memory than one and the same seed gives the same workload.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from typing import TYPE_CHECKING, Protocol

from labs.simulator.traces import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Lengths = tuple[int, int]  # tokens of the prompt, and of the answer


def poisson_arrivals(rate_per_s: float, seed: int) -> Iterator[float]:
    """Times of a Poisson process from time 0 on: independent exponential gaps of mean ``1 / rate_per_s``."""
    _check_positive(rate_per_s=rate_per_s)
    draw = _random(seed, "arrivals").expovariate
    return itertools.accumulate(draw(rate_per_s) for _ in itertools.repeat(None))


def gamma_arrivals(rate_per_s: float, variation: float, seed: int) -> Iterator[float]:
    """Gaps of a gamma distribution with a coefficient of variation: 1 is Poisson, above is bursty, 0 is even.

    Shape ``1 / variation**2`` and scale ``variation**2 / rate``, so the mean gap stays ``1 / rate_per_s``.
    """
    _check_positive(rate_per_s=rate_per_s)
    if variation == 0:
        return (count / rate_per_s for count in itertools.count(1))
    _check_positive(variation=variation)
    draw = _random(seed, "arrivals").gammavariate
    shape, scale = variation**-2, variation**2 / rate_per_s
    return itertools.accumulate(draw(shape, scale) for _ in itertools.repeat(None))


def fixed_lengths(input_tokens: int, output_tokens: int) -> Iterator[Lengths]:
    """Every request the same."""
    _check_positive(input_tokens=input_tokens, output_tokens=output_tokens)
    return itertools.repeat((input_tokens, output_tokens))


def lognormal_lengths(
    mean_input: float, mean_output: float, variation: float, most: int, seed: int
) -> Iterator[Lengths]:
    """Log-normal lengths of a given mean and coefficient of variation, rounded and cut to ``1..most``.

    The long tail is what real answers have; cutting it lowers the mean where ``most`` is near. ``sigma**2 =
    ln(1 + variation**2)`` and ``mu = ln(mean) - sigma**2 / 2``.
    """
    _check_positive(mean_input=mean_input, mean_output=mean_output, variation=variation, most=most)
    sigma = math.sqrt(math.log1p(variation**2))
    means = [math.log(mean) - sigma**2 / 2 for mean in (mean_input, mean_output)]
    draw, exp = _random(seed, "lengths").gauss, math.exp  # gauss takes half of lognormvariate's time

    def tokens(mu: float) -> int:
        return min(max(round(exp(draw(mu, sigma))), 1), most)

    return ((tokens(means[0]), tokens(means[1])) for _ in itertools.repeat(None))


def open_workload(arrivals: Iterator[float], lengths: Iterator[Lengths], count: int) -> Iterator[Request]:
    """``count`` requests that arrive when they do, however long the server takes for those before."""
    return (
        Request(arrival_s, tokens[0], tokens[1])
        for arrival_s, tokens in zip(arrivals, itertools.islice(lengths, count), strict=False)
    )


class Source(Protocol):
    """Where a server's requests come from. ``next_arrival_s`` is infinite while none is due."""

    next_arrival_s: float

    def take(self) -> Request:
        """The request of ``next_arrival_s``."""

    def completed(self, request: Request, at_s: float) -> None:
        """Tells that a request has been answered, which may be what the next one waits for."""


class OpenLoop:
    """A source that does not care for answers: a workload or a trace."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._requests = iter(requests)
        self._next = next(self._requests, None)
        self.next_arrival_s = self._next.arrival_s if self._next else math.inf

    def take(self) -> Request:
        assert self._next is not None, "nothing is due"
        taken, self._next = self._next, next(self._requests, None)
        self.next_arrival_s = self._next.arrival_s if self._next else math.inf
        return taken

    def completed(self, request: Request, at_s: float) -> None:
        pass


class ClosedLoop:
    """``users`` who each ask, wait for the answer, think, and ask again: ``count`` requests in all.

    Thinking takes an exponential time of mean ``think_s``, or none; the first questions come after it too, so
    that the users do not start in step. The server can never have more than ``users`` requests at once.
    """

    def __init__(self, users: int, think_s: float, lengths: Iterator[Lengths], count: int, seed: int) -> None:
        _check_positive(users=users, count=count)
        if think_s < 0:
            raise ValueError(f"think_s = {think_s}, expected at least 0")
        self._think_s, self._random = think_s, _random(seed, "thinking")
        self._lengths, self._left = lengths, count
        # (when, user) of those who are thinking.
        self._due = [(self._thinking_s(), f"user {user}") for user in range(users)]
        heapq.heapify(self._due)
        self.next_arrival_s = self._due[0][0]

    def take(self) -> Request:
        assert self._left and self._due, "nothing is due"
        arrival_s, user = heapq.heappop(self._due)
        input_tokens, output_tokens = next(self._lengths)
        self._left -= 1
        self._look_ahead()
        return Request(arrival_s, input_tokens, output_tokens, user=user)

    def completed(self, request: Request, at_s: float) -> None:
        heapq.heappush(self._due, (at_s + self._thinking_s(), request.user))
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.next_arrival_s = self._due[0][0] if self._due and self._left else math.inf

    def _thinking_s(self) -> float:
        return self._random.expovariate(1 / self._think_s) if self._think_s else 0.0


def _random(seed: int, purpose: str) -> random.Random:
    """A generator for one purpose: another rate of arrivals must not change the lengths."""
    return random.Random(f"{seed}/{purpose}")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} = {value}, expected a positive number")
