"""A cache of prefixes under a trace, with the policy that picks what to forget as an exchangeable part.

Prefixes are chains of blocks, and a block is of use only while all before it are there. With ``ends_only``
nothing but ends of chains is forgotten, whatever the policy, as in SGLang's radix tree (Zheng et al.,
2312.07104, section 3); without, any block may go, as from a plain queue of free blocks.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from labs.formulas.eviction import gdsf_priority

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PolicyName = Literal["lru", "fifo", "lfu", "gdsf"]
Chain = tuple[int, ...]


@dataclass(slots=True)
class Block:
    """``cost`` is what it takes to compute it again. ``children`` cached blocks continue it."""

    number: int
    parent: int | None
    depth: int
    cost: float
    entered: int
    used: int
    frequency: int = 0
    children: int = 0
    priority: tuple[float, ...] = ()


class Request(NamedTuple):
    """What one request found: of its blocks, and of what they cost."""

    blocks: int
    hits: int
    cost: float
    saved: float


class PrefixCache:
    """At most ``capacity`` blocks. The blocks of the request being served are not forgotten for it: somebody
    refers to them. ``cost`` tells a block's cost from its depth."""

    def __init__(
        self, capacity: int, policy: PolicyName, cost: Callable[[int], float], ends_only: bool = True
    ) -> None:
        self.capacity, self.policy, self.ends_only = capacity, policy, ends_only
        self.blocks: dict[int, Block] = {}
        self.evictions = 0
        self._cost = cost
        self._clock = 0.0  # of GDSF: the priority of the last one forgotten
        self._now = 0
        self._ends: list[tuple[tuple[float, ...], int]] = []  # a heap; entries may be out of date

    def request(self, chain: Chain) -> Request:
        """Look ``chain`` up, compute what is missing, keep it."""
        self._now += 1
        hits = next((i for i, block in enumerate(chain) if block not in self.blocks), len(chain))
        costs = [self._cost(depth) for depth in range(len(chain))]
        pinned = set(chain)
        for depth, number in enumerate(chain):
            if number not in self.blocks and not self._enter(number, chain, depth, costs[depth], pinned):
                break
            self._use(self.blocks[number])
        for number in chain[::-1]:  # now that no longer in use
            if (block := self.blocks.get(number)) is not None and self._may_go(block):
                heapq.heappush(self._ends, (block.priority, number))
        return Request(len(chain), hits, math.fsum(costs), math.fsum(costs[:hits]))

    def _enter(self, number: int, chain: Chain, depth: int, cost: float, pinned: set[int]) -> bool:
        if len(self.blocks) >= self.capacity and not self._forget(pinned):
            return False
        parent = chain[depth - 1] if depth else None
        if parent is not None and self.ends_only:
            self.blocks[parent].children += 1
        self.blocks[number] = Block(number, parent, depth, cost, self._now, self._now)
        return True

    def _use(self, block: Block) -> None:
        block.used = self._now
        block.frequency += 1
        block.priority = self._priority(block)

    def _priority(self, block: Block) -> tuple[float, ...]:
        """The lowest goes first; of equals, the deepest."""
        match self.policy:
            case "lru":
                return block.used, -block.depth
            case "fifo":
                return block.entered, -block.depth
            case "lfu":
                return block.frequency, block.used, -block.depth
            case "gdsf":
                worth = gdsf_priority(self._clock, block.frequency, block.cost, 1.0)
                return worth, block.used, -block.depth

    def _may_go(self, block: Block) -> bool:
        return not (self.ends_only and block.children)

    def _forget(self, pinned: set[int]) -> bool:
        """The end of a chain that nobody uses; False, if there is none."""
        while self._ends:
            priority, number = heapq.heappop(self._ends)
            block = self.blocks.get(number)
            if block is None or not self._may_go(block) or block.priority != priority or number in pinned:
                continue  # out of date, or in use: it is put back when the request ends
            self._remove(block)
            return True
        return False

    def _remove(self, block: Block) -> None:
        del self.blocks[block.number]
        self.evictions += 1
        if self.policy == "gdsf":
            self._clock = max(self._clock, block.priority[0])
        parent = self.blocks.get(block.parent) if block.parent is not None else None
        if parent is not None and self.ends_only:
            parent.children -= 1
            if not parent.children:
                heapq.heappush(self._ends, (parent.priority, parent.number))


def belady_hits(chains: Sequence[Chain], capacity: int) -> list[int]:
    """For each request the blocks found by who knows the future: an upper bound on every policy.

    Block by block, the one whose next use is farthest goes, which may be the newcomer itself (Belady, IBM
    Systems Journal 5(2), 1966). A prefix is used at least as early as what continues it, so that its order is
    kept too; that blocks in use must stay is not asked of this bound.
    """
    uses = _next_uses(chains)
    cached: dict[int, int] = {}  # block -> when it is used next
    farthest: list[tuple[int, int]] = []
    hits, place = [0] * len(chains), 0
    for index, chain in enumerate(chains):
        for number in chain:
            hits[index] += number in cached
            cached[number] = uses[place]
            heapq.heappush(farthest, (-uses[place], number))
            place += 1
            while len(cached) > capacity:
                use, gone = heapq.heappop(farthest)
                if cached.get(gone) == -use:
                    del cached[gone]
    return hits


def _next_uses(chains: Sequence[Chain]) -> list[int]:
    """For each use of a block, in order, the place of its next use; a large number where there is none."""
    flat = [number for chain in chains for number in chain]
    never, coming, uses = 2 * len(flat), dict[int, int](), [0] * len(flat)
    for place in range(len(flat) - 1, -1, -1):
        uses[place] = coming.get(flat[place], never)
        coming[flat[place]] = place
    return uses
