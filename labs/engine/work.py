"""What the engine asks of the model in one step: one record a sequence, plain data without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Work:
    """The new tokens of one sequence: one of them in decode, a whole prompt or a chunk of it in prefill.

    ``start`` is the position of the first token, which is the number of tokens whose KV is stored already.
    Position ``p`` lives in slot ``p % block_size`` of physical block ``blocks[p // block_size]``; ``blocks``
    covers at least ``start + len(tokens)`` positions. ``sample``: the logits of the last token are wanted.
    """

    tokens: list[int]
    start: int
    blocks: list[int]
    sample: bool
