"""What the PagedAttention lab claims: no speed without a check, waste by the formula, copies as counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from labs.context import Context
from labs.engine.kv_store import KVStore
from labs.formulas.kv_cache import expected_last_block_waste
from labs.model_bounds import model_bounds
from labs.models.config import ModelConfig
from labs.paging import kernel_mode
from labs.paging.decode_case import Case, make_case, reblocked, shape_of
from labs.paging.paths import TOLERANCE, Way, measure, ways
from labs.paging.waste import POOL_TOKENS, fill, lengths, reserved
from labs.registry import load_catalog
from labs.results import Bars, Lines, Metric
from labs.runner import execute
from labs.spec import LabError
from labs.text import same

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from labs.results import Result

TINY = ModelConfig(
    architecture="llama",
    layers=2,
    hidden=64,
    intermediate=64,
    heads=6,
    kv_heads=2,
    head_dim=16,
    vocab=8,
    context=512,
    rms_norm_eps=1e-5,
    rope_theta=1e4,
)


def store(kind: str = "fp32", blocks: int = 32, size: int = 16) -> KVStore:
    made = KVStore(TINY, blocks, size, kind, "cpu")  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    if made.scales is None:
        made.data.normal_(generator=generator)
    else:
        made.data.random_(-127, 128, generator=generator)
        made.scales.fill_(1 / 127)
    return made


def case_of(kind: str, block_size: int) -> Case:
    shape = shape_of(TINY, 2, 100, kind)  # type: ignore[arg-type]
    return make_case(Context(), store(kind), shape, block_size, "shuffled")


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("block_size", [1, 16, 64])
def test_every_way_passes_its_check_or_says_why_there_is_none(kind: str, block_size: int) -> None:
    for way in ways("cpu"):
        size = block_size if way.paged else 0
        measured = measure(Context(), way, case_of(kind, size), size)
        assert (measured.timing is None) == (measured.reason is not None)
        if measured.timing is not None:
            assert measured.difference is not None and measured.difference <= TOLERANCE


def test_a_kernel_that_is_wrong_shows_no_speed() -> None:
    def wrong(case: Case) -> Callable[[int], Tensor]:
        return lambda _layer: torch.zeros_like(case.q)

    measured = measure(Context(), Way("wrong", same("wrong"), wrong, paged=True), case_of("fp32", 16), 16)
    assert measured.timing is None and measured.reason is not None
    assert measured.difference == pytest.approx(1.0)


def test_a_kernel_that_gives_nan_shows_no_speed() -> None:
    def broken(case: Case) -> Callable[[int], Tensor]:
        return lambda _layer: torch.full_like(case.q, torch.nan)

    measured = measure(Context(), Way("nan", same("nan"), broken, paged=True), case_of("fp32", 16), 16)
    assert measured.timing is None and measured.reason is not None


def test_a_contiguous_case_is_one_block_a_sequence_in_place() -> None:
    case = case_of("fp32", 0)
    assert case.tables.tolist() == [[0], [1]]
    assert case.slots[1, 0] == case.store.block_size and case.slots[1, 99] == case.store.block_size + 99


def test_no_two_sequences_of_a_case_share_a_slot() -> None:
    slots = case_of("fp32", 8).slots.flatten()
    assert len(slots.unique()) == len(slots)


def test_a_store_too_small_for_its_case_is_refused() -> None:
    with pytest.raises(LabError, match="no room for 18 blocks"):
        make_case(Context(), store(blocks=8), shape_of(TINY, 2, 140, "fp32"), 16, "in_order")


def test_reblocking_keeps_the_memory() -> None:
    one = store()
    other = reblocked(one, 4)
    assert other.data is one.data and (other.blocks, other.block_size) == (128, 4)


def test_a_full_pool_wastes_half_a_block_a_sequence() -> None:
    drawn = lengths(torch.Generator().manual_seed(0), 128, 0.8, 512)
    for size in (1, 16, 64):
        filled = fill(drawn, size, 0)
        assert filled.tokens + filled.empty <= POOL_TOKENS
        expected = expected_last_block_waste(size)
        assert filled.empty / filled.sequences == pytest.approx(expected, rel=0.15, abs=0.01)


def test_of_a_prefix_whole_blocks_are_shared_by_all_but_the_first() -> None:
    drawn = lengths(torch.Generator().manual_seed(0), 128, 0.8, 512)
    filled = fill(drawn, 16, 100)
    assert filled.reused == 96 * (filled.sequences - 1)
    assert fill(drawn, 128, 100).reused == 0
    assert filled.sequences > fill(drawn, 128, 100).sequences > reserved(512, 100)


def run(**values: object) -> dict[str, Result]:
    lab = load_catalog().labs["operator/paged_attention"]
    return {one.id: one for one in execute(lab, lab.params(**values), Context())}


def test_beams_copy_less_on_write_than_at_a_fork_and_least_of_all_less_than_each_step() -> None:
    if missing := model_bounds(None)[1]:
        pytest.skip(missing.en)
    shown = run(mode="copy_on_write", beams=3, new_tokens=8, block_size=4)
    bars, copies, block = shown["copied"], shown["copies"], shown["block_bytes"]
    assert isinstance(bars, Bars) and isinstance(copies, Metric) and isinstance(block, Metric)
    on_write, at_fork, reordered = bars.series[0].values.tolist()
    assert copies.value is not None and block.value is not None
    assert on_write == pytest.approx(copies.value * block.value / 2**20)
    assert 0 < on_write < at_fork < reordered
    assert block.value == block.predicted
    sharing = shown["sharing"]
    assert isinstance(sharing, Lines)
    owned, references = (series.y for series in sharing.series)
    assert (owned <= references).all() and (owned < references).any()


def test_without_triton_the_kernel_mode_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_mode, "HAS_TRITON", False)
    with pytest.raises(LabError, match="no Triton"):
        list(kernel_mode.run_kernel(Context(), head_dim=64, group=1, block_size=16))
