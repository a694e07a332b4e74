"""The number types that weights and KV may have, and which of them a device has a fast path for."""

from __future__ import annotations

from typing import Literal

Weights = Literal["fp32", "bf16", "int8", "int4"]
KVType = Literal["fp32", "bf16", "int8"]
