"""Memory as it was handed out before paging: a sequence gets one run of blocks for all it may ever need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.engine.block_manager import BlockManager
from labs.engine.events import EventKind

if TYPE_CHECKING:
    from labs.engine.sequence import Sequence


class ReservingManager(BlockManager):
    """On admission a sequence takes contiguous blocks for its prompt and its limit, and keeps them.

    The baseline of Kwon et al. (SOSP 2023), section 3: nothing is shared, and a sequence may have to wait
    although enough blocks are free, because they do not lie together (external fragmentation). Sequences
    that fork are refused by the caller: a fork would write where its parent's reservation lies.
    """

    def wanted(self, sequence: Sequence, tokens: int, prefix: list[int]) -> int:
        """Blocks of its reservation; more than there are where no run of free ones is so long."""
        count = self._reservation(sequence)
        return self.blocks + 1 if self._run(count) is None else count

    def grow(self, sequence: Sequence, tokens: int) -> bool:
        count = self._reservation(sequence)
        if len(sequence.blocks) >= count:
            return True
        start = self._run(count)
        if start is None:
            return False
        taken = list(range(start, start + count))
        self._free = [block for block in self._free if not start <= block < start + count]
        sequence.blocks += taken
        if self._log is not None:
            self._log.add(EventKind.ALLOCATE, sequence.id, taken)
        return True

    def _reservation(self, sequence: Sequence) -> int:
        return self.blocks_for(sequence.prompt + sequence.limit)

    def _run(self, count: int) -> int | None:
        """First fit: where the lowest run of ``count`` free blocks begins."""
        begin, length, before = 0, 0, -1
        for block in sorted(self._free):
            if block != before + 1 or not length:
                begin, length = block, 0
            length, before = length + 1, block
            if length == count:
                return begin
        return None
