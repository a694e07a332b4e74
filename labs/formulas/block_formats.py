"""Formats whose elements share a scale by the block: what a value costs once the scales are counted."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class BlockFormat:
    """``block_size`` codes of ``element_bits`` that share ``overhead_bits`` of scale (and minimum)."""

    name: str
    element_bits: int
    block_size: int
    overhead_bits: int

    @property
    def bits_per_element(self) -> float:
        return self.element_bits + self.overhead_bits / self.block_size

    def storage_bytes(self, elements: int) -> int:
        """Bytes of ``elements`` values; a last block that is not full is stored whole."""
        blocks = math.ceil(elements / self.block_size)
        return math.ceil(blocks * (self.element_bits * self.block_size + self.overhead_bits) / 8)


# OCP Microscaling Formats (MX) specification 1.0, table 1: blocks of 32 under one 8-bit power of two (E8M0).
MXFP8 = BlockFormat("mxfp8", 8, 32, 8)
MXFP6 = BlockFormat("mxfp6", 6, 32, 8)
MXFP4 = BlockFormat("mxfp4", 4, 32, 8)
# NVIDIA: blocks of 16 under one FP8 E4M3 scale; the FP32 scale of the whole tensor is not counted here.
NVFP4 = BlockFormat("nvfp4", 4, 16, 8)
# QLoRA, arXiv 2305.14314, section 3: blocks of 64 under an FP32 scale; double quantisation stores that scale
# in 8 bits, and one FP32 for every 256 of them.
NF4 = BlockFormat("nf4", 4, 64, 32)
# llama.cpp: blocks of 32 under an FP16 scale; Q4_1 adds an FP16 minimum.
Q8_0 = BlockFormat("q8_0", 8, 32, 16)
Q4_0 = BlockFormat("q4_0", 4, 32, 16)
Q4_1 = BlockFormat("q4_1", 4, 32, 32)
