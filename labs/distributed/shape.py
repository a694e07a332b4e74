"""The attention layer that the ring computes: small, grouped, in FP32, which is what a CPU is quick at."""

from __future__ import annotations

from typing import Final

HEADS: Final = 8
KV_HEADS: Final = 2
HEAD_DIM: Final = 64
NUMBER_BYTES: Final = 4
