"""What a compressed KV cache keeps: fewer tokens (eviction), or fewer bits a number (quantisation).

Shapes: ``tokens`` of one sequence; K KV heads of D numbers in each of ``layers`` layers, a key and a value.
"""

from __future__ import annotations


def kept_tokens(tokens: int, share: float, least: int = 1) -> int:
    """Tokens that a budget of ``share`` (0 to 1) of ``tokens`` keeps, ``least`` of them at any rate."""
    return max(least, round(share * tokens))


def bits_per_number(bits: int, group: int, scale_bits: int = 16, minimum_bits: int = 16) -> float:
    """Bits a number with what its group of ``group`` numbers shares: a scale and a minimum (or zero point).

    2 bits in groups of 32 with both in FP16 are 3: half as much again. Liu et al., KIVI (2402.02750).
    """
    return bits + (scale_bits + minimum_bits) / group


def sealed_tokens(tokens: int, residual: int, group: int = 1) -> int:
    """Tokens already quantised when the cache holds ``tokens`` and the latest ``residual`` stay in full
    precision; along tokens only whole groups of ``group`` can be."""
    return max(0, tokens - residual) // group * group


def quantized_kv_bytes(
    tokens: int,
    *,
    numbers_a_token: int,
    bits: int,
    group: int = 32,
    residual: int = 32,
    keys_by_channel: bool = True,
    values_by_channel: bool = False,
    full_bytes: float = 2,
) -> float:
    """Bytes of a sequence's keys and values; ``numbers_a_token`` counts both (``2 * layers * K * D``).

    What runs along tokens (by channel) is sealed a whole group at a time, the other token by token.
    """
    half, each = numbers_a_token / 2, bits_per_number(bits, group) / 8
    total = 0.0
    for by_channel in (keys_by_channel, values_by_channel):
        sealed = sealed_tokens(tokens, residual, group if by_channel else 1)
        total += half * (sealed * each + (tokens - sealed) * full_bytes)
    return total


def decode_intensity(heads: int, kv_heads: int, bytes_per_element: float) -> float:
    """FLOPs a byte of KV in decode attention: 4 FLOPs for each query head on 2 numbers of its KV head.

    ``2 G / bytes_per_element`` with ``G = heads / kv_heads``: 1 for MHA in FP16, G for GQA. Context and head
    dim cancel; the query and the result, which matter at short contexts only, are left out.
    """
    return 2 * (heads / kv_heads) / bytes_per_element


def tensor_core_rows(group: int, least: int = 16) -> float:
    """Share of a matrix instruction's rows that hold a query when the ``group`` queries of a KV head are its
    rows, filled up to a multiple of ``least`` (16 in ``mma.m16n8k16``)."""
    return group / (-(-group // least) * least)


def repeated_kv_bytes(tokens: int, *, heads: int, head_dim: int, bytes_per_element: float) -> float:
    """Bytes that attention reads of one layer if each query head reads its keys and values for itself.

    So does a kernel that knows no groups, and so does one on KV heads repeated in memory.
    """
    return 2 * tokens * heads * head_dim * bytes_per_element
