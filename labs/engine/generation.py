"""One request on its way through the engine: its sequences, what they have said, and when each has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from labs.engine.beams import BeamSearch
    from labs.engine.sampling import SamplingParams
    from labs.engine.sequence import Sequence
    from labs.models.tokenizer import ModelTokenizer


@dataclass(frozen=True)
class Answer:
    """``tokens`` without the stop token; ``text`` without the stop string. ``reason``: length, eos, stop or
    pruned. ``score`` is a beam's, its log probability over its length."""

    tokens: list[int]
    text: str
    reason: str
    token_times_s: list[float]
    score: float | None = None


@dataclass
class Generation:
    """``root`` is the sequence of the prompt; parallel samples and beams are forks of it."""

    id: int
    root: Sequence
    params: SamplingParams
    search: BeamSearch | None = None
    live: list[Sequence] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    generators: dict[Sequence, torch.Generator] = field(default_factory=dict)
    token_times_s: dict[Sequence, list[float]] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return not self.live

    def join(self, sequence: Sequence, sample: int = 0) -> None:
        """``sample`` numbers parallel samples: each draws random numbers of its own."""
        self.live.append(sequence)
        self.generators[sequence] = torch.Generator().manual_seed(self.params.seed + 1_000_003 * sample)
        self.token_times_s[sequence] = list(self.token_times_s.get(self.root, []))

    def leave(self, sequence: Sequence) -> None:
        self.live.remove(sequence)
        del self.generators[sequence]

    def generated(self, sequence: Sequence) -> list[int]:
        return sequence.tokens[self.root.prompt :]


def found_stop(tokenizer: ModelTokenizer, generated: Seq[int], stops: Seq[str]) -> bool:
    """Whether the newest token has completed a stop string."""
    if not stops:
        return False
    # A token is a byte at least, so so many tokens hold the longest stop string; a few more for what
    # decoding makes of a character cut at the start.
    most = max(len(stop.encode()) for stop in stops) + 4
    tail = tokenizer.decode(generated[-most:])
    return any(stop in tail for stop in stops)


def text_before_stop(text: str, stops: Seq[str]) -> str:
    ends = [text.index(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text
