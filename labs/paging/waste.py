"""A pool filled with sequences by the engine's own block manager, for each block size, until none fits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.engine.block_manager import BlockManager
from labs.engine.sequence import Sequence
from labs.formulas.kv_cache import block_table_bytes

if TYPE_CHECKING:
    import torch

POOL_TOKENS = 2**15
BLOCK_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Filled:
    """How a full pool stands. ``tokens`` are distinct ones that it holds, ``reused`` prefix tokens that were
    not stored again, ``empty`` slots of owned blocks without a token, ``table_bytes`` of all tables."""

    block_size: int
    sequences: int
    tokens: int
    reused: int
    empty: int
    table_bytes: int

    @property
    def waste(self) -> float:
        """Share of the owned slots that holds nothing."""
        return self.empty / (self.tokens + self.empty)


def lengths(
    generator: torch.Generator, mean: int, spread: float, most: int, count: int = POOL_TOKENS
) -> list[int]:
    """``count`` lengths in tokens, log-normal with this mean and variation, from 1 to ``most``."""
    import torch

    sigma = math.sqrt(math.log1p(spread**2))
    drawn = torch.randn(count, generator=generator) * sigma + math.log(mean) - sigma**2 / 2
    return [int(length) for length in drawn.exp().round().clamp(1, most).tolist()]


def fill(drawn: list[int], block_size: int, prefix: int) -> Filled:
    """Admit sequences of these lengths, each with the same ``prefix`` tokens in front, until one finds no
    room."""
    manager = BlockManager(POOL_TOKENS // block_size, block_size, prefix_cache=prefix > 0)
    admitted: list[Sequence] = []
    for number, own in enumerate(drawn):
        sequence = Sequence(id=number, prompt=prefix + own, limit=1)
        sequence.keys = (
            [
                ("prefix", index) if (index + 1) * block_size <= prefix else (number, index)
                for index in range(sequence.length // block_size)
            ]
            if prefix
            else []
        )
        manager.share(sequence, manager.known_prefix(sequence))
        if not manager.grow(sequence, sequence.length):
            manager.release(sequence)
            break
        sequence.computed = sequence.length
        manager.commit(sequence)
        admitted.append(sequence)
    reused = sum(one.cached for one in admitted)
    tokens = sum(one.length for one in admitted) - reused
    tables = sum(block_table_bytes(one.length, block_size) for one in admitted)
    slots = manager.owned * block_size
    return Filled(block_size, len(admitted), tokens, reused, slots - tokens, tables)


def reserved(most: int, prefix: int) -> int:
    """Sequences that fit if each reserves contiguous room for the longest."""
    return POOL_TOKENS // (prefix + most)
