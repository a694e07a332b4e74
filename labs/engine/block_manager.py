"""Who owns which block of the KV cache: allocation on demand, sharing, copy-on-write, a cache of prefixes.

A block holds the keys and values of ``block_size`` tokens. Kwon et al., PagedAttention (SOSP 2023), section
4; the prefix cache is vLLM's: a block whose owners are gone stays known by its contents until its room is
needed, the least recently used first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.engine.events import EventKind
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from labs.engine.events import EventLog
    from labs.engine.sequence import Sequence


class BlockManager:
    """``blocks`` of ``block_size`` tokens each. Nothing here knows what a block's bytes are.

    Each block is free, cached (known to the prefix cache, without an owner) or owned; a block that is owned
    more than once is counted in ``extra_owners``.
    """

    def __init__(
        self, blocks: int, block_size: int, prefix_cache: bool = False, log: EventLog | None = None
    ) -> None:
        if blocks < 1 or block_size < 1:
            zh = f"KV 缓存 {blocks} 块、每块 {block_size} 个 token：两者都至少为 1"
            en = f"a KV cache of {blocks} blocks of {block_size} tokens: both must be at least 1"
            raise LabError(Text(zh=zh, en=en))
        self.blocks, self.block_size, self.prefix_cache = blocks, block_size, prefix_cache
        self.extra_owners: dict[int, int] = {}
        self.cached: dict[int, None] = {}  # without an owner, least recently used first
        self.block_of: dict[Hashable, int] = {}
        self.key_of: dict[int, Hashable] = {}
        self._free = list(range(blocks - 1, -1, -1))  # the lowest number is the next to be taken
        self._log = log

    @property
    def available(self) -> int:
        """Blocks that can be had: free ones, and cached ones that would be forgotten."""
        return len(self._free) + len(self.cached)

    @property
    def owned(self) -> int:
        return self.blocks - self.available

    @property
    def free(self) -> list[int]:
        return list(self._free)

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    # A table grows

    def grow(self, sequence: Sequence, tokens: int) -> bool:
        """Make the table of ``sequence`` cover ``tokens`` tokens; False, and nothing done, if there is no
        room."""
        wanted = -(-tokens // self.block_size) - len(sequence.blocks)
        if wanted <= 0:
            return True
        if wanted > len(self._free):
            if wanted > self.available:
                return False
            self._evict(wanted - len(self._free))
        taken = self._free[: -wanted - 1 : -1]
        del self._free[-wanted:]
        sequence.blocks += taken
        if self._log is not None:
            self._log.add(EventKind.ALLOCATE, sequence.id, taken)
        return True

    def grow_by_one(self, sequences: Collection[Sequence], clock: int) -> bool:
        """``grow`` for each of ``sequences``, which decode and stand at the start of a block when their set's
        clock shows ``clock``; False, and nothing done, if that needs a cached block."""
        free, size = self._free, self.block_size
        if len(sequences) > len(free) or self._log is not None:
            return False
        take = free.pop
        for sequence in sequences:
            blocks = sequence.blocks
            if len(blocks) * size < sequence.offset + clock:
                blocks.append(take())
        return True

    def _evict(self, count: int) -> None:
        gone = [block for block, _ in zip(self.cached, range(count), strict=False)]
        for block in gone:
            del self.cached[block]
            del self.block_of[self.key_of.pop(block)]
        self._free += gone
        if self._log is not None:
            self._log.add(EventKind.EVICT, blocks=gone)

    # Prefixes

    def known_prefix(self, sequence: Sequence) -> list[int]:
        """The blocks, from the start on, whose contents are those of ``sequence``'s tokens.

        One token at least is left out: it must be computed, for its logits are wanted.
        """
        found: list[int] = []
        if self.prefix_cache:
            for key in sequence.keys[: (sequence.length - 1) // self.block_size]:
                block = self.block_of.get(key)
                if block is None:
                    break
                found.append(block)
        return found

    def wanted(self, sequence: Sequence, tokens: int, prefix: list[int]) -> int:
        """Blocks fewer that would be available, were ``sequence`` given room for ``tokens``, of which
        ``prefix`` is known."""
        revived = sum(block in self.cached for block in prefix) if prefix else 0
        return self.blocks_for(tokens) - len(prefix) + revived

    def share(self, sequence: Sequence, prefix: list[int]) -> None:
        """Start the table of ``sequence`` with blocks that hold its first tokens already."""
        assert not sequence.blocks, "a prefix stands at the start"
        for block in prefix:
            if block in self.cached:
                del self.cached[block]
            else:
                self.extra_owners[block] = self.extra_owners.get(block, 0) + 1
        sequence.blocks += prefix
        sequence.committed = len(prefix)
        sequence.computed = sequence.cached = len(prefix) * self.block_size
        if prefix and self._log is not None:
            self._log.add(EventKind.SHARE, sequence.id, prefix)

    def commit(self, sequence: Sequence) -> None:
        """Let others find the full blocks that have been computed. Of two blocks with the same contents the
        first stays known."""
        if not self.prefix_cache:
            return
        full = min(sequence.computed // self.block_size, len(sequence.keys))
        for index in range(sequence.committed, full):
            key, block = sequence.keys[index], sequence.blocks[index]
            if key not in self.block_of:
                self.block_of[key], self.key_of[block] = block, key
        sequence.committed = max(sequence.committed, full)

    # Owners come and go

    def fork(self, parent: Sequence, child: Sequence) -> None:
        """``child`` reads what ``parent`` has written; no block is copied."""
        assert not child.blocks, "a fork starts with its parent's table"
        for block in parent.blocks:
            self.extra_owners[block] = self.extra_owners.get(block, 0) + 1
        child.blocks += parent.blocks
        child.committed = parent.committed
        if self._log is not None:
            self._log.add(EventKind.SHARE, child.id, child.blocks)

    def shares_last(self, sequence: Sequence) -> bool:
        return sequence.blocks[-1] in self.extra_owners

    def own_last(self, sequence: Sequence) -> tuple[int, int] | None:
        """Exchange a shared last block for one of its own: the (source, target) whose contents must be
        copied before the next write. None: no room."""
        source = sequence.blocks.pop()
        if not self.grow(sequence, (len(sequence.blocks) + 1) * self.block_size):
            sequence.blocks.append(source)
            return None
        self._disown(source)
        if self._log is not None:
            self._log.add(EventKind.COPY, sequence.id, (source, sequence.blocks[-1]))
        return source, sequence.blocks[-1]

    def release(self, sequence: Sequence) -> None:
        """Give up its whole table. What the prefix cache knows stays known while there is room: of a table,
        the end is forgotten before the start, which more sequences can use."""
        blocks = sequence.blocks
        if self._log is not None and blocks:
            self._log.add(EventKind.RELEASE, sequence.id, blocks)
        if self.extra_owners or self.prefix_cache:
            for block in reversed(blocks):
                self._disown(block)
        else:
            self._free += reversed(blocks)
        sequence.blocks = []
        sequence.committed = 0
        if self._log is not None and (kept := [block for block in blocks if block in self.cached]):
            self._log.add(EventKind.CACHE, sequence.id, kept)

    def _disown(self, block: int) -> None:
        others = self.extra_owners.get(block, 0)
        if others > 1:
            self.extra_owners[block] = others - 1
        elif others:
            del self.extra_owners[block]
        elif block in self.key_of:
            self.cached[block] = None
        else:
            self._free.append(block)
