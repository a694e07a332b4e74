"""How much of the KV cache holds something: what is owned but empty is internal fragmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labs.engine.block_manager import BlockManager
    from labs.engine.sequence import Sequence


def stored_tokens(manager: BlockManager, running: Iterable[Sequence]) -> int:
    """Tokens whose KV lies in owned blocks; what several sequences share counts once."""
    if not manager.extra_owners:
        return sum(sequence.computed for sequence in running)
    size, filled = manager.block_size, dict[int, int]()
    for sequence in running:
        computed = sequence.computed
        for index, block in enumerate(sequence.blocks):
            filled[block] = max(filled.get(block, 0), min(size, computed - index * size))
    return sum(tokens for tokens in filled.values() if tokens > 0)
