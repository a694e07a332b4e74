"""In which order sequences are served. A policy is the waiting queue, and says who makes room when it must.

Where two are equal, the earlier arrival goes first, then the smaller id: a run can be repeated exactly.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from labs.engine.sequence import Sequence


class Policy:
    """First come, first served; the base of the others, which order by another ``key``.

    A key holds while a sequence waits, so a heap keeps them in order. ``steady``: who is next changes only
    when a sequence comes or goes, not by what those running are served meanwhile. ``preemptive``: it may take
    the place of one that could go on for one that waits.
    """

    steady = True
    preemptive = False

    def __init__(self) -> None:
        self._heap: list[tuple[Any, float, int, Sequence]] = []

    def key(self, sequence: Sequence) -> Any:
        """Smaller goes first."""
        return 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Sequence]:
        """In no particular order."""
        return (entry[-1] for entry in self._heap)

    def add(self, sequence: Sequence, now: float) -> None:
        heapq.heappush(self._heap, self._entry(sequence))

    def peek(self, now: float) -> Sequence:
        """Who is next."""
        return self._heap[0][-1]

    def pop(self, now: float) -> Sequence:
        return heapq.heappop(self._heap)[-1]

    def take(self, wanted: Callable[[Sequence], bool], most: int) -> list[Sequence]:
        """Remove and return the first ``most`` that are ``wanted``, in order."""
        taken = [entry for entry in sorted(self._heap) if wanted(entry[-1])][:most]
        kept = set(self._heap).difference(taken)
        self._heap = list(kept)
        heapq.heapify(self._heap)
        return [entry[-1] for entry in taken]

    def victim(self, running: Iterable[Sequence]) -> Sequence:
        """Who of those running makes room when memory runs out: the one that would be served last."""
        return max(running, key=lambda sequence: self._entry(sequence)[:-1])

    def overtaken(self, running: Iterable[Sequence], now: float) -> Sequence | None:
        """Who of those running makes room for ``peek``, though it could go on; None: they are let finish."""
        return None

    def left(self, sequence: Sequence) -> None:
        """It runs no longer: finished, or preempted."""

    def _entry(self, sequence: Sequence) -> tuple[Any, float, int, Sequence]:
        return self.key(sequence), sequence.arrival_s, sequence.id, sequence


class FirstComeFirstServed(Policy):
    pass


# Llama-3-8B on an A100: 53 us a token (15 GFLOP at 0.91 x 312 TFLOP/s); a step of decodes takes about 11 ms.
PROMPT_WEIGHT = 1 / 200


class ShortestFirst(Policy):
    """By the time that is left, in steps, as far as the length predictor knows; a sequence without a
    prediction counts with the most that it may generate.

    A prompt's tokens are computed together, an answer's one a step: those of the prompt that are left count
    ``prompt_weight`` each. By the plain sum a long prompt with a short answer would pass for a long job.
    """

    def __init__(self, prompt_weight: float = PROMPT_WEIGHT) -> None:
        super().__init__()
        self.prompt_weight = prompt_weight

    def key(self, sequence: Sequence) -> float:
        expected = sequence.predicted or sequence.limit
        prefill = sequence.length - sequence.computed
        return self.prompt_weight * prefill + max(0, expected - sequence.generated)


class PriorityWithAgeing(Policy):
    """By priority, but ``ageing_s`` of waiting count as much as one level, so that nothing starves."""

    def __init__(self, ageing_s: float = 10.0) -> None:
        super().__init__()
        self.ageing_s = ageing_s

    def key(self, sequence: Sequence) -> float:
        if math.isinf(self.ageing_s):
            return sequence.priority
        return sequence.priority * self.ageing_s + sequence.arrival_s


class EarliestDeadlineFirst(Policy):
    """By when the first token is due."""

    def key(self, sequence: Sequence) -> float:
        return sequence.deadline_s


class MultiLevelFeedback(Policy):
    """A sequence starts on level 0 and sinks a level each time it has used up that level's tokens, which
    double from level to level; a sequence of a higher level takes the place of one of a lower.

    Waiting for ``boost_s`` brings it back to the top. FastServe (Wu et al., NSDI 2026, arXiv:2305.05920),
    without its skip-join.
    """

    steady = False
    preemptive = True

    def __init__(self, quantum: int = 32, levels: int = 4, boost_s: float = 10.0) -> None:
        super().__init__()
        self.quantum, self.levels, self.boost_s = quantum, levels, boost_s
        self._queues: list[deque[tuple[float, Sequence]]] = [deque() for _ in range(levels)]
        self._boosted: dict[Sequence, int] = {}  # tokens it had generated when it came back to the top

    def level(self, sequence: Sequence) -> int:
        served = sequence.generated - self._boosted.get(sequence, 0)
        # quantum * (2^level - 1) tokens are used up on the levels above ``level``.
        return min(self.levels - 1, int(math.log2(served / self.quantum + 1)))

    def key(self, sequence: Sequence) -> int:
        return self.level(sequence)

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def __iter__(self) -> Iterator[Sequence]:
        return (sequence for queue in self._queues for _, sequence in queue)

    def add(self, sequence: Sequence, now: float) -> None:
        self._queues[self.level(sequence)].append((now, sequence))

    def peek(self, now: float) -> Sequence:
        self._boost(now)
        return next(queue[0][1] for queue in self._queues if queue)

    def pop(self, now: float) -> Sequence:
        self._boost(now)
        return next(queue.popleft()[1] for queue in self._queues if queue)

    def take(self, wanted: Callable[[Sequence], bool], most: int) -> list[Sequence]:
        taken = [sequence for sequence in self if wanted(sequence)][:most]
        self._queues = [deque(entry for entry in queue if entry[1] not in taken) for queue in self._queues]
        return taken

    def overtaken(self, running: Iterable[Sequence], now: float) -> Sequence | None:
        last = max(running, key=lambda sequence: self._entry(sequence)[:-1], default=None)
        if last is None or not len(self) or self.level(last) <= self.level(self.peek(now)):
            return None
        return last

    def left(self, sequence: Sequence) -> None:
        if sequence.remaining <= 0:
            self._boosted.pop(sequence, None)

    def _boost(self, now: float) -> None:
        for queue in self._queues[1:]:
            while queue and now - queue[0][0] >= self.boost_s:
                sequence = queue.popleft()[1]
                self._boosted[sequence] = sequence.generated
                self._queues[0].append((now, sequence))


class FairShare(Policy):
    """The user who has been served least goes first: a virtual token counter a user (Sheng et al., Fairness
    in Serving Large Language Models, OSDI 2024, algorithm 2), an output token weighing ``output_weight``
    input tokens."""

    steady = False

    def __init__(self, output_weight: float = 2.0) -> None:
        super().__init__()
        self.output_weight = output_weight
        self.counters: dict[str, float] = {}
        self._queues: dict[str, deque[Sequence]] = {}
        self._charged: dict[Sequence, int] = {}  # of those running: generated tokens already counted

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Iterator[Sequence]:
        return (sequence for queue in self._queues.values() for sequence in queue)

    def add(self, sequence: Sequence, now: float) -> None:
        user = sequence.user
        if not self._queues.get(user):
            # Who was away gets no credit for it: lifted to the least served of those who wait.
            waiting = [self.counters[other] for other, queue in self._queues.items() if queue]
            self.counters[user] = max(self.counters.get(user, 0.0), min(waiting, default=0.0))
        self._queues.setdefault(user, deque()).append(sequence)

    def peek(self, now: float) -> Sequence:
        return self._queues[self._least_served()][0]

    def pop(self, now: float) -> Sequence:
        sequence = self._queues[self._least_served()].popleft()
        self._charge(sequence)
        return sequence

    def take(self, wanted: Callable[[Sequence], bool], most: int) -> list[Sequence]:
        taken = [sequence for sequence in self if wanted(sequence)][:most]
        for user, queue in self._queues.items():
            self._queues[user] = deque(sequence for sequence in queue if sequence not in taken)
        for sequence in taken:
            self._charge(sequence)
        return taken

    def victim(self, running: Iterable[Sequence]) -> Sequence:
        """The latest arrival of the user who has been served most."""
        self._settle()
        return max(running, key=lambda one: (self.counters.get(one.user, 0.0), one.arrival_s, one.id))

    def left(self, sequence: Sequence) -> None:
        self._settle()
        self._charged.pop(sequence, None)

    def _least_served(self) -> str:
        self._settle()
        waiting = (user for user, queue in self._queues.items() if queue)
        return min(waiting, key=lambda user: (self.counters[user], self._queues[user][0].arrival_s))

    def _charge(self, sequence: Sequence) -> None:
        """For its prompt, unless it was preempted and has paid already; its output is counted as it comes."""
        if not sequence.preemptions:
            self.counters[sequence.user] += sequence.prompt
        self._charged[sequence] = sequence.generated

    def _settle(self) -> None:
        for sequence, counted in self._charged.items():
            generated = sequence.generated
            self.counters[sequence.user] += self.output_weight * (generated - counted)
            self._charged[sequence] = generated


PolicyName = Literal["fcfs", "sjf", "priority", "mlfq", "fair", "edf"]

POLICIES: dict[PolicyName, Callable[[], Policy]] = {
    "fcfs": FirstComeFirstServed,
    "sjf": ShortestFirst,
    "priority": PriorityWithAgeing,
    "mlfq": MultiLevelFeedback,
    "fair": FairShare,
    "edf": EarliestDeadlineFirst,
}
