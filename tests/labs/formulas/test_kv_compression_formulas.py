"""Bytes of compressed caches, against counting."""

from __future__ import annotations

from labs.formulas.kv_compression import (
    bits_per_number,
    decode_intensity,
    kept_tokens,
    quantized_kv_bytes,
    repeated_kv_bytes,
    sealed_tokens,
    tensor_core_rows,
)
from labs.formulas.paged_attention import decode_traffic


def test_a_scale_and_a_minimum_cost_a_bit_in_groups_of_32() -> None:
    assert bits_per_number(2, 32) == 3
    assert bits_per_number(4, 128) == 4.25


def test_only_whole_groups_are_sealed_along_tokens() -> None:
    assert sealed_tokens(100, 32) == 68
    assert sealed_tokens(100, 32, 32) == 64
    assert sealed_tokens(20, 32) == 0


def test_bytes_of_a_quantised_cache_are_those_of_its_parts() -> None:
    # 100 tokens of 2 x 64 numbers: keys sealed by 64, values by 68, the rest in two bytes a number.
    expected = 64 * (64 * 3 / 8 + 36 * 2) + 64 * (68 * 3 / 8 + 32 * 2)
    assert quantized_kv_bytes(100, numbers_a_token=128, bits=2) == expected
    assert quantized_kv_bytes(20, numbers_a_token=128, bits=2) == 20 * 128 * 2


def test_a_budget_is_a_share_but_never_too_small() -> None:
    assert kept_tokens(320, 0.2) == 64
    assert kept_tokens(64, 0.05, least=8) == 8


def test_intensity_is_that_of_the_traffic_at_long_contexts() -> None:
    traffic = decode_traffic([100_000], heads=32, kv_heads=8, head_dim=128, kv_element_bytes=2)
    assert abs(decode_intensity(32, 8, 2) / traffic.intensity - 1) < 1e-3
    assert decode_intensity(32, 32, 2) == 1


def test_ungrouped_heads_read_as_mha_does() -> None:
    traffic = decode_traffic([777], heads=8, kv_heads=8, head_dim=64, kv_element_bytes=2)
    assert repeated_kv_bytes(777, heads=8, head_dim=64, bytes_per_element=2) == traffic.kv_bytes


def test_a_group_fills_few_of_the_rows_of_a_matrix_instruction() -> None:
    assert tensor_core_rows(8) == 0.5
    assert tensor_core_rows(16) == 1
    assert tensor_core_rows(24) == 0.75
