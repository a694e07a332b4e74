"""What each user was served over time, against what was due to it: max-min fairness, window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.formulas.scheduling import jain_index, max_min_shares
from labs.scheduling.workload import USERS

if TYPE_CHECKING:
    from labs.results import Array
    from labs.scheduling.policy_run import PolicyRun

WINDOWS = 30
# As the virtual token counter weighs them: an output token costs about two input tokens.
OUTPUT_WEIGHT = 2.0


class Sharing(NamedTuple):
    """``service[user, window]`` in weighted tokens a second; ``jain`` a window, of what each user that asked
    for anything was granted over what was due to it."""

    middle_s: Array
    service: Array
    jain: Array


def sharing(run: PolicyRun, end_s: float) -> Sharing:
    """Windows from the first arrival to ``end_s``. In ``service`` a prompt counts at its first token, an
    answer evenly between its first and last. ``jain`` looks at the scheduler's decision alone: a request
    counts whole when it is admitted, for how fast it then decodes is not the scheduler's choice."""
    edges = np.linspace(0.0, end_s, WINDOWS + 1)
    shape = len(USERS), WINDOWS
    served, granted, asked = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    times = zip(run.requests, run.admitted_s, run.first_s, run.end_s, strict=True)
    for request, admitted_s, first_s, done_s in times:
        user, answer = USERS.index(request.user), OUTPUT_WEIGHT * request.output_tokens
        whole = request.input_tokens + answer
        served[user] += _spread(edges, request.input_tokens, first_s, first_s)
        served[user] += _spread(edges, answer, first_s, done_s)
        granted[user] += _spread(edges, whole, admitted_s, admitted_s)
        asked[user] += _spread(edges, whole, request.arrival_s, request.arrival_s)
    width = edges[1] - edges[0]
    return Sharing((edges[1:] + edges[:-1]) / 2, served / width, _jain(granted, asked))


def _spread(edges: Array, amount: float, start_s: float, end_s: float) -> Array:
    """``amount`` over the windows, evenly from ``start_s`` to ``end_s``."""
    if end_s <= start_s:
        counts, _ = np.histogram([start_s], edges)
        return counts * amount
    inside = np.clip(edges, start_s, end_s)
    return np.asarray(amount * np.diff(inside) / (end_s - start_s))


def _jain(granted: Array, asked: Array) -> Array:
    """Demand of a window: what was still waiting, and what came."""
    wanted = np.cumsum(asked, 1) - np.cumsum(granted, 1) + granted
    found = []
    for window in range(granted.shape[1]):
        got = [float(one) for one in granted[:, window]]
        due = max_min_shares(sum(got), [float(one) for one in wanted[:, window]])
        found.append(jain_index([one / part for one, part in zip(got, due, strict=True) if part > 0]))
    return np.array(found)
