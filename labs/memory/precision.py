"""The number types of weights and KV by their bytes, scales included."""

from __future__ import annotations

from typing import Literal

from labs.text import Text, same

WeightType = Literal["fp32", "bf16", "fp8", "int8", "int4"]
KVType = Literal["fp32", "bf16", "fp8", "int8"]

# Matrices of the layers. INT4 has a 16-bit scale for each group of 128; INT8 and FP8 a scale an output
# channel, which is below 0.1 % of a matrix and left out.
MATRIX_BITS: dict[WeightType, float] = {"fp32": 32, "bf16": 16, "fp8": 8, "int8": 8, "int4": 4 + 16 / 128}
WEIGHT_TITLES: dict[WeightType, Text] = {
    "fp32": same("FP32"),
    "bf16": same("BF16"),
    "fp8": same("FP8"),
    "int8": same("INT8"),
    "int4": Text(zh="INT4（每组 128）", en="INT4 (group 128)"),
}
KV_TITLES: dict[KVType, Text] = {
    "fp32": same("FP32"),
    "bf16": same("BF16"),
    "fp8": same("FP8"),
    "int8": same("INT8"),
}


def matrix_bytes(kind: WeightType) -> float:
    """Bytes of one weight of a layer's matrix."""
    return MATRIX_BITS[kind] / 8


def plain_bytes(kind: WeightType) -> int:
    """Bytes of an element of what is not quantised: embedding, head, norms, and activations."""
    return 4 if kind == "fp32" else 2


def kv_element_bytes(kind: KVType, vector: int) -> float:
    """Bytes of a cached element. INT8 has an fp32 scale for each token and vector of ``vector`` elements; FP8
    has one a layer or head for all tokens, which is left out."""
    if kind == "int8":
        return 1 + 4 / vector
    return {"fp32": 4, "bf16": 2, "fp8": 1}[kind]
