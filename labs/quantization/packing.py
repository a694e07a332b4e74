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
    flat = codes.reshape(-1).to(torch.int64)
    if flat.numel() and (int(flat.min()) < 0 or int(flat.max()) >= 2**bits):
        raise ValueError(f"codes must lie in 0..{2**bits - 1}, got {int(flat.min())}..{int(flat.max())}")
    # Eight codes are always `bits` whole bytes, so a word of 8 * bits <= 64 bits holds them.
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % 8)).view(-1, 8)
    word = (padded << (torch.arange(8) * bits)).sum(dim=1)
    packed: Tensor = (word[:, None] >> (torch.arange(bits) * 8)) & 0xFF
    return packed.to(torch.uint8).view(-1)[: packed_bytes(flat.numel(), bits)]


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """The first ``count`` codes of ``pack``'s result, as a flat uint8 tensor."""
    padded = torch.nn.functional.pad(packed.to(torch.int64), (0, -packed.numel() % bits)).view(-1, bits)
    word = (padded << (torch.arange(bits) * 8)).sum(dim=1)
    codes: Tensor = (word[:, None] >> (torch.arange(8) * bits)) & (2**bits - 1)
    return codes.to(torch.uint8).view(-1)[:count]


def packed_bytes(count: int, bits: int) -> int:
    """Bytes that ``count`` codes take."""
    return -(-count * bits // 8)
