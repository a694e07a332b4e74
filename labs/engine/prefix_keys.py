"""The names under which the prefix cache finds a full block: its tokens, and all before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs.engine.block_manager import BlockManager
    from labs.engine.sequence import Sequence


def extend_keys(sequence: Sequence, manager: BlockManager) -> None:
    """Name the blocks that its tokens fill. A key is a pair of the key before it and the block's tokens.

    Equal prefixes have equal keys, and unequal ones never do, as could happen with a hash: keys are compared
    as well as hashed. A chain is hashed once a link, for the pair keeps the hash of the key before it.
    """
    if not manager.prefix_cache:
        return
    size, tokens, keys = manager.block_size, sequence.tokens, sequence.keys
    while (len(keys) + 1) * size <= len(tokens):
        at = len(keys) * size
        keys.append(PrefixKey(keys[-1] if keys else None, tuple(tokens[at : at + size])))


class PrefixKey:
    """A link of the chain; equality looks at the whole prefix, but stops at a link that both share."""

    __slots__ = ("_hash", "before", "tokens")

    def __init__(self, before: object, tokens: tuple[int, ...]) -> None:
        self.before, self.tokens = before, tokens
        self._hash = hash((hash(before), tokens))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        one: object = self
        while isinstance(one, PrefixKey) and isinstance(other, PrefixKey):
            if one is other:
                return True
            if one._hash != other._hash or one.tokens != other.tokens:
                return False
            one, other = one.before, other.before
        return one is other
