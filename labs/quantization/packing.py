"""Codes of 2 to 8 bits packed without gaps, as they lie in memory: the first code in the lowest bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def pack(codes: Tensor, bits: int) -> Tensor:
    """Non-negative codes below ``2**bits`` as a flat uint8 tensor of ``ceil(count * bits / 8)`` bytes.

    4-bit codes lie two to a byte, the first in the low nibble, as in GGUF. Odd widths cross byte borders:
    eight 3-bit codes fill three bytes. Raises ValueError for a code that does not fit.
    """
    flat = codes.reshape(-1)
    if flat.numel():
        low, high = (int(end) for end in torch.aminmax(flat))
        if low < 0 or high >= 2**bits:
            raise ValueError(f"codes must lie in 0..{2**bits - 1}, got {low}..{high}")
    ragged = flat.numel() % 8
    eights = (torch.nn.functional.pad(flat, (0, 8 - ragged)) if ragged else flat).view(-1, 8)
    # Eight codes are always `bits` whole bytes, so a word of 8 * bits <= 64 bits holds them. Place by place,
    # for the words are an eighth of what the codes would take as int64.
    words = torch.zeros(len(eights), dtype=torch.int64)
    for place in range(8):
        words |= eights[:, place].to(torch.int64) << place * bits
    packed = torch.empty(len(eights), bits, dtype=torch.uint8)
    for place in range(bits):
        packed[:, place] = (words >> 8 * place) & 0xFF
    return packed.view(-1)[: packed_bytes(flat.numel(), bits)]


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """The first ``count`` codes of ``pack``'s result, as a flat uint8 tensor."""
    padded = torch.nn.functional.pad(packed.to(torch.int64), (0, -packed.numel() % bits)).view(-1, bits)
    word = (padded << (torch.arange(bits) * 8)).sum(dim=1)
    codes: Tensor = (word[:, None] >> (torch.arange(8) * bits)) & (2**bits - 1)
    return codes.to(torch.uint8).view(-1)[:count]


def packed_bytes(count: int, bits: int) -> int:
    """Bytes that ``count`` codes take."""
    return -(-count * bits // 8)
