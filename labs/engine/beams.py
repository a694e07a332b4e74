"""Beam search over the sequences of one request: which beams go on, which fork, which have ended.

The search keeps the ``beams`` likeliest unfinished answers. Candidates that end are set aside as finished,
their score the log probability over their length to the power ``length_penalty`` (Wu et al., GNMT,
arXiv:1609.08144, in the simpler form that transformers uses).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from labs.engine.sampling import SamplingParams


class Step(NamedTuple):
    """Beam ``parent`` (an index) goes on with ``token``; ``score`` is the log probability of all so far."""

    parent: int
    token: int
    score: float


@dataclass
class BeamSearch:
    """``scores``: of the live beams, in their order. ``finished``: (score over length, tokens)."""

    params: SamplingParams
    stops: frozenset[int]
    scores: list[float] = field(default_factory=lambda: [0.0])
    finished: list[tuple[float, list[int]]] = field(default_factory=list)

    def advance(self, log_probabilities: Tensor, answers: list[list[int]]) -> list[Step]:
        """The steps of the next beams, best first, from ``[beams, V]``; ``answers`` are the tokens that each
        live beam has generated. Fewer than ``beams`` live ones only at the first step."""
        vocabulary = log_probabilities.shape[1]
        totals = log_probabilities + log_probabilities.new_tensor(self.scores)[:, None]
        # Each live beam has one way for each stop token to end, and enough others must remain.
        most = min(totals.numel(), self.params.beams * (1 + max(1, len(self.stops))))
        best = totals.flatten().topk(most)
        steps: list[Step] = []
        for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            parent, token = divmod(place, vocabulary)
            if token in self.stops:
                self._set_aside(score, answers[parent])
            else:
                steps.append(Step(parent, token, score))
            if len(steps) == self.params.beams:
                break
        self.scores = [step.score for step in steps]
        return steps

    def done(self, length: int) -> bool:
        """Whether it can end before the longest answer; ``length``: of the live beams, in tokens."""
        if len(self.finished) < self.params.beams:
            return False
        if self.params.early_stopping:
            return True
        return min(score for score, _ in self.finished) >= self._normalised(max(self.scores), length)

    def close(self, answers: list[list[int]]) -> list[tuple[float, list[int]]]:
        """The ``n`` best answers with their scores, live beams counting as they stand."""
        for score, answer in zip(self.scores, answers, strict=True):
            self._set_aside(score, answer)
        return heapq.nlargest(self.params.n, self.finished, key=lambda one: one[0])

    def _set_aside(self, score: float, answer: list[int]) -> None:
        self.finished.append((self._normalised(score, len(answer)), list(answer)))
        self.finished = heapq.nlargest(self.params.beams, self.finished, key=lambda one: one[0])

    def _normalised(self, score: float, length: int) -> float:
        return float(score / max(1, length) ** self.params.length_penalty)
