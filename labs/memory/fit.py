"""What fits: the largest batch at a context, the longest context at a batch, and the frontier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from labs.memory.ledger import Setting, total_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Beyond these a figure means nothing: no engine runs such batches.
MOST_SEQUENCES = 2**20
MOST_TOKENS = 2**26


def largest_batch(setting: Setting, room_bytes: float) -> int:
    """Sequences of ``setting.context`` tokens that fit at once; 0 where not even one does."""

    def fits(batch: int) -> bool:
        return total_bytes(msgspec.structs.replace(setting, batch=batch)) <= room_bytes

    return _largest(fits, MOST_SEQUENCES)


def longest_context(setting: Setting, room_bytes: float) -> int:
    """Tokens to which each of ``setting.batch`` sequences may grow, the model's own limit not looked at; 0
    where not even one token fits."""

    def fits(context: int) -> bool:
        return total_bytes(msgspec.structs.replace(setting, context=context)) <= room_bytes

    return _largest(fits, MOST_TOKENS)


def frontier(setting: Setting, room_bytes: float, contexts: Sequence[int]) -> list[int]:
    """The largest batch at each context."""
    return [
        largest_batch(msgspec.structs.replace(setting, context=context), room_bytes) for context in contexts
    ]


def fewest_devices(setting: Setting, room_bytes: float, most: int = 64) -> int | None:
    """The smallest power of two of devices, each with ``room_bytes``, that holds the setting; None up to
    ``most``, or where the heads cannot be divided so far."""
    devices = 1
    while devices <= most and setting.shape.heads % devices == 0:
        if total_bytes(msgspec.structs.replace(setting, tensor_parallel=devices)) <= room_bytes:
            return devices
        devices *= 2
    return None


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number from 1 to ``most`` that fits, 0 if none: what needs more never fits where less did
    not, so bisection finds it."""
    low, high = 0, 1
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
