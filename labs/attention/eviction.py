"""Which cached tokens a query still sees: sliding window, StreamingLLM, H2O and SnapKV.

All of them leave the prompt's own prefill untouched and cut the cache to a budget behind it; then tokens come
one by one. What is visible to each is a mask, so that one pass over all of them gives exactly what a cache
that really drops rows gives (a test compares the two).

StreamingLLM's positions are those within the cache (``cache_positions``); the others keep those of the text.

Sources: StreamingLLM (Xiao et al., 2309.17453), H2O (Zhang et al., 2306.14048, algorithm 1), SnapKV (Li et
al., 2404.14469, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from labs.attention.cache_positions import Positions, turned_scores, turns
from labs.attention.model_pass import causal, mix, scores_of
from labs.attention.prompt import joined

if TYPE_CHECKING:
    from torch import Tensor

    from labs.attention.model_pass import Attend
    from labs.attention.prompt import Prompt
    from labs.models.config import ModelConfig

Policy = Literal["full", "window", "streaming", "h2o", "snapkv"]
POLICIES: tuple[Policy, ...] = ("window", "streaming", "h2o", "snapkv")

SINKS = 4  # StreamingLLM's initial tokens
POOLED = 5  # SnapKV: a chosen position brings its neighbours along


@dataclass(frozen=True)
class Eviction:
    """``budget``: tokens that may stay, the query's own among them. SnapKV cuts the prompt to it, and what
    is generated stays besides. ``positions`` and ``streamed`` (see ``cache_positions``): StreamingLLM's."""

    policy: Policy
    budget: int
    sinks: int = SINKS
    positions: Positions = "cache"
    streamed: int = 0

    def scores(self, q: Tensor, keys: Tensor, config: ModelConfig) -> Tensor:
        """``[B, K, G, C, S]`` of the last C of S tokens, ``q [B, H, C, D]``, with all ``keys``."""
        if self.policy != "streaming":
            return scores_of(q, keys)
        seen = keys.shape[2]
        queries = torch.arange(seen - q.shape[2], seen, device=q.device)
        by = turns(queries, self.positions, self.budget, self.streamed)
        return turned_scores(q, keys, self.sinks, by, config)

    def visible(self, scores: Tensor, mass: Tensor, recent: Tensor) -> Tensor:
        """``[B, K, C, S]`` bool: what each of the C new tokens sees in one layer.

        ``scores [B, K, G, C, S]`` unmasked; ``mass [B, K, P]`` and ``recent [B, K, W, P]`` of the prompt.
        """
        batch, heads, _, new, seen = scores.shape
        allowed = causal(new, seen - new, scores.device)
        if self.policy == "h2o":
            return self._heavy_hitters(scores, mass)
        if self.policy == "snapkv":
            return F.pad(self.kept(mass, recent), (0, new), value=True)[:, :, None] & allowed
        if self.policy != "full":
            sinks = self.sinks if self.policy == "streaming" else 0
            allowed = allowed & window(new, seen, self.budget - sinks, sinks, scores.device)
        return allowed.expand(batch, heads, new, seen)

    def kept(self, mass: Tensor, recent: Tensor) -> Tensor:
        """``[..., P]`` bool: what of the prompt is in the cache once it has been cut."""
        if self.policy == "h2o":
            return top_and_latest(mass, self.budget - self.budget // 2, self.budget // 2)
        if self.policy == "snapkv":
            latest = min(recent.shape[-2], self.budget)
            return top_and_latest(pooled(recent.sum(dim=-2)), self.budget - latest, latest)
        tokens = mass.shape[-1]
        if self.policy == "full":
            return torch.ones_like(mass, dtype=torch.bool)
        sinks = self.sinks if self.policy == "streaming" else 0
        return window(1, tokens, self.budget - sinks, sinks, mass.device)[0].expand(mass.shape)

    def _heavy_hitters(self, scores: Tensor, mass: Tensor) -> Tensor:
        """Half of the budget are the latest tokens, half those with the most attention so far."""
        _, _, _, new, seen = scores.shape
        before, latest = seen - new, self.budget // 2
        kept = F.pad(self.kept(mass, mass[..., None, :]), (0, new))
        mass = F.pad(mass, (0, new)).clone()
        rows = []
        for step in range(new):
            now = before + step
            old = kept.clone()
            old[..., max(0, now - latest + 1) :] = False  # the latest may not go
            least = mass.masked_fill(~old, float("inf")).argmin(dim=-1, keepdim=True)
            full = kept.sum(dim=-1, keepdim=True) >= self.budget
            kept.scatter_(-1, least, kept.gather(-1, least) & ~full)
            kept[..., now] = True
            rows.append(kept.clone())
            row = scores[:, :, :, step].masked_fill(~kept[:, :, None], float("-inf"))
            mass += row.softmax(dim=-1).sum(dim=2)
        return torch.stack(rows, dim=2)


def pooled(votes: Tensor) -> Tensor:
    """Each position's ``votes [..., P]`` as the largest among its neighbours: they come along with it."""
    flat = votes.flatten(0, -2)
    return F.max_pool1d(flat, POOLED, stride=1, padding=POOLED // 2).view(votes.shape)


def evicted_attention(prompt: Prompt, eviction: Eviction, config: ModelConfig) -> Attend:
    """An ``Attend`` behind ``prompt`` in which a query sees what the policy has left."""

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = joined(prompt, layer, k, v)
        scores = eviction.scores(q, keys, config)
        visible = eviction.visible(scores, prompt.mass[layer], prompt.recent[layer])
        return mix(scores.masked_fill(~visible[:, :, None], float("-inf")).softmax(dim=-1), values)

    return attend


def top_and_latest(importance: Tensor, top: int, latest: int) -> Tensor:
    """``[B, K, P]`` bool: the ``latest`` last positions, and the ``top`` most important of those before."""
    tokens = importance.shape[-1]
    kept = torch.zeros_like(importance, dtype=torch.bool)
    kept[..., max(0, tokens - latest) :] = True
    older = importance[..., : max(0, tokens - latest)]
    # Sorted stably: pooling makes equals, and of these the first are taken, wherever this runs.
    chosen = older.sort(dim=-1, descending=True, stable=True).indices[..., :top]
    return kept.scatter_(-1, chosen, True)


def window(new: int, seen: int, length: int, sinks: int, device: torch.device | str) -> Tensor:
    """``[C, S]``: the last ``length`` positions of each query, its own among them, and the first
    ``sinks``."""
    positions = torch.arange(seen, device=device)
    queries = positions[seen - new :, None]
    return (positions > queries - length) | (positions < sinks)
