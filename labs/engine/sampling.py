"""From logits to the next token: greedy, temperature, top-k, top-p, min-p and a penalty for repeating.

The order is that of vLLM and transformers: penalty, temperature, top-k, top-p, min-p. Holtzman et al. (ICLR
2020) for top-p, Nguyen et al. (arXiv:2407.01082) for min-p, Keskar et al. (CTRL, arXiv:1909.05858, section
4.1) for the penalty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import torch

from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How one request is answered. LabError for a value that means nothing.

    ``temperature`` 0 is greedy. ``top_k`` 0, ``top_p`` 1 and ``min_p`` 0 keep every token. ``n`` answers are
    sampled from one prompt; ``beams`` > 0 searches instead, with so many beams, and gives the ``n`` best
    (scores divided by length to the power ``length_penalty``; with ``early_stopping`` it ends with as many
    finished answers as beams, else when no beam can beat them). ``stop`` strings end an answer and are not
    part of it.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    n: int = 1
    beams: int = 0
    length_penalty: float = 1.0
    early_stopping: bool = True
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _need("max_tokens", self.max_tokens, self.max_tokens >= 1, ">= 1")
        _need("temperature", self.temperature, self.temperature >= 0, ">= 0")
        _need("top_k", self.top_k, self.top_k >= 0, ">= 0")
        _need("top_p", self.top_p, 0 < self.top_p <= 1, "(0, 1]")
        _need("min_p", self.min_p, 0 <= self.min_p <= 1, "[0, 1]")
        _need("repetition_penalty", self.repetition_penalty, self.repetition_penalty > 0, "> 0")
        _need("beams", self.beams, self.beams >= 0, ">= 0")
        most = self.beams or self.n
        _need("n", self.n, 1 <= self.n <= most, f"1 … {most}")
        _need("n", self.n, self.n == 1 or self.beams > 0 or self.temperature > 0, "1 (temperature = 0)")
        _need("stop", self.stop, "" not in self.stop, '!= ""')


def choose(logits: Tensor, params: SamplingParams, generator: torch.Generator, seen: Sequence[int]) -> int:
    """One token from ``logits [V]`` (fp32); ``seen`` are the ids of prompt and answer so far."""
    if params.repetition_penalty != 1.0 and seen:
        logits = penalised(logits, params.repetition_penalty, seen)
    if params.temperature == 0:
        return int(logits.argmax())
    probabilities = filtered(logits, params)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def filtered(logits: Tensor, params: SamplingParams) -> Tensor:
    """The probabilities ``[V]`` that a token is drawn with: zero for those left out, the rest adding to 1."""
    scaled = logits / params.temperature
    if params.top_k and params.top_k < len(scaled):
        least = scaled.topk(params.top_k).values[-1]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    probabilities = scaled.softmax(dim=-1)
    if params.top_p < 1:
        ordered, ids = probabilities.sort(descending=True)
        # A token stays while those before it have not reached top_p, so the likeliest always stays.
        ordered[ordered.cumsum(dim=-1) - ordered >= params.top_p] = 0
        probabilities = torch.zeros_like(probabilities).scatter_(0, ids, ordered)
        probabilities /= probabilities.sum()
    if params.min_p > 0:
        least = params.min_p * probabilities.max()
        probabilities = probabilities.masked_fill(probabilities < least, 0)
        probabilities /= probabilities.sum()
    return probabilities


def penalised(logits: Tensor, penalty: float, seen: Sequence[int]) -> Tensor:
    """Of tokens that occurred, positive logits divided by the penalty and negative ones multiplied."""
    ids = torch.tensor(sorted(set(seen)), device=logits.device)
    chosen = logits[ids]
    return logits.scatter(0, ids, torch.where(chosen > 0, chosen / penalty, chosen * penalty))


def _need(name: str, value: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise LabError(
            Text(zh=f"{name} = {value}，应为 {allowed}", en=f"{name} = {value}, allowed: {allowed}")
        )
