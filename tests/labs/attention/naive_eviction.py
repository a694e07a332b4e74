"""Eviction as a cache would do it: token by token, rows really dropped, one head after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.attention.eviction import POOLED, SINKS
from labs.attention.model_pass import rotation
from labs.attention.prompt import OBSERVED
from labs.models.llama import rotate

if TYPE_CHECKING:
    from torch import Tensor

    from labs.attention.eviction import Policy
    from labs.models.config import ModelConfig


class NaiveHead:
    """The cache of one KV head: ``kept`` positions, their keys and values, and the attention each has got."""

    def __init__(self, policy: Policy, budget: int, keys: Tensor, values: Tensor, weights: Tensor) -> None:
        """``weights [G, P, P]``: the prompt's own attention, of the G queries of this head."""
        self.policy, self.budget = policy, budget
        self.keys = {at: keys[at] for at in range(len(keys))}
        self.values = {at: values[at] for at in range(len(values))}
        self.mass = {at: float(weights[:, :, at].sum()) for at in range(len(keys))}
        votes = weights[:, -OBSERVED:].sum(dim=(0, 1)).tolist()
        half = POOLED // 2
        self.votes = [max(votes[max(0, at - half) : at + half + 1]) for at in range(len(keys))]
        self.tokens = len(keys)
        for at in set(self.keys) - self._chosen():
            self._drop(at)

    def _chosen(self) -> set[int]:
        every = range(self.tokens)
        if self.policy == "window":
            return set(every[-self.budget :])
        if self.policy == "streaming":
            return set(every[:SINKS]) | set(every[-(self.budget - SINKS) :])
        latest = self.budget // 2 if self.policy == "h2o" else min(OBSERVED, self.budget)
        worth = self.mass if self.policy == "h2o" else dict(enumerate(self.votes))
        older = sorted(every[: self.tokens - latest], key=lambda at: -worth[at])
        return set(older[: self.budget - latest]) | set(every[-latest:])

    def _drop(self, at: int) -> None:
        for part in (self.keys, self.values, self.mass):
            del part[at]

    def step(self, queries: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """``queries [G, D]`` of a new token; makes room first, then attends to what is left and itself."""
        now, self.tokens = self.tokens, self.tokens + 1
        while self.policy != "snapkv" and len(self.keys) >= self.budget:
            self._drop(self._worst(now))
        self.keys[now], self.values[now], self.mass[now] = key, value, 0.0
        order = sorted(self.keys)
        keys, values = (torch.stack([part[at] for at in order]) for part in (self.keys, self.values))
        weights = (queries @ keys.T * keys.shape[1] ** -0.5).softmax(dim=-1)
        for at, got in zip(order, weights.sum(dim=0).tolist(), strict=True):
            self.mass[at] += got
        out: Tensor = weights @ values
        return out

    def _worst(self, now: int) -> int:
        if self.policy == "h2o":
            old = [at for at in self.keys if at <= now - self.budget // 2]
            return min(old, key=lambda at: self.mass[at])
        return min(at for at in self.keys if self.policy == "window" or at >= SINKS)


class RollingHead:
    """The cache of one KV head as StreamingLLM's authors keep it: keys before RoPE, the first ``SINKS`` and
    the latest, rotated at every step by their place in the cache (mit-han-lab/streaming-llm)."""

    def __init__(self, budget: int, keys: Tensor, values: Tensor, config: ModelConfig) -> None:
        """``keys [P, D]`` not rotated."""
        self.budget, self.config = budget, config
        self.keys, self.values = self._cut(list(keys), budget), self._cut(list(values), budget)

    def _cut(self, rows: list[Tensor], room: int) -> list[Tensor]:
        return rows if len(rows) <= room else rows[:SINKS] + rows[-(room - SINKS) :]

    def step(self, queries: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """``queries [G, D]`` and ``key`` not rotated; makes room first, then attends."""
        self.keys = [*self._cut(self.keys, self.budget - 1), key]
        self.values = [*self._cut(self.values, self.budget - 1), value]
        places = torch.arange(len(self.keys))
        keys = turned(torch.stack(self.keys), places, self.config)
        queries = turned(queries, places[-1:].expand(len(queries)), self.config)
        weights = (queries @ keys.T * keys.shape[1] ** -0.5).softmax(dim=-1)
        out: Tensor = weights @ torch.stack(self.values)
        return out


def turned(x: Tensor, positions: Tensor, config: ModelConfig) -> Tensor:
    """Rows of ``x [..., T, D]`` turned to rotary ``positions [T]``."""
    return rotate(x, *rotation(config, positions))
