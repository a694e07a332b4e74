"""What the allocators' lab claims and its notes cite: all of it simulated, so the same on every machine."""

from __future__ import annotations

import threading

import pytest

from labs.catalog.system import allocators
from labs.context import Cancelled, Context
from labs.memory.allocators import lab_run
from labs.results import Bars, BlockMap, Lines, Markdown, Metric, Table, Trace
from labs.runner import execute


def results(preview: bool = False, **values) -> dict[str, object]:
    """The last result of each id."""
    ctx = Context(preview=preview)
    return {one.id: one for one in execute(allocators.LAB, allocators.Params(**values), ctx)}


def metric(found: dict[str, object], result_id: str) -> Metric:
    result = found[result_id]
    assert isinstance(result, Metric) and result.value is not None
    return result


@pytest.fixture(scope="module")
def reserved() -> dict[str, object]:
    return results()


def given_up(found: dict[str, object]) -> dict[str, int]:
    table = found["contest"]
    assert isinstance(table, Table)
    return {row[0].en: row[1] for row in table.rows}  # type: ignore[union-attr,misc]


def test_pages_serve_all_where_reservations_do_not(reserved):
    failed = given_up(reserved)
    assert failed["pages"] == 0
    assert all(count > 10 for name, count in failed.items() if name != "pages")


@pytest.mark.parametrize("allocator", ["first_fit", "buddy", "paged"])
def test_internal_fragmentation_is_what_the_formula_says(allocator):
    found = metric(results(allocator=allocator), "internal")
    assert found.predicted is not None
    assert found.value == pytest.approx(found.predicted, abs=2.5)


@pytest.mark.parametrize("allocator", ["buddy", "slab"])
def test_size_classes_waste_what_the_formula_says(allocator):
    found = metric(results(requests_of="tensors", allocator=allocator, arena_mib=512), "internal")
    assert found.predicted is not None
    assert found.value == pytest.approx(found.predicted, abs=2.5)


def test_the_cursor_stands_where_memory_is_there_and_cannot_be_had(reserved):
    trace, blocks = reserved["requests"], reserved["arena"]
    assert isinstance(trace, Trace) and isinstance(blocks, BlockMap)
    assert trace.at is not None and 0 < trace.at < len(trace.times)
    assert blocks.clock == trace.id
    free = reserved["free_room"]
    assert isinstance(free, Lines)
    total, largest = (series.y for series in free.series)
    assert (largest <= total).all()


def test_growing_by_copying_copies_more_than_there_is_at_any_time():
    found = results(growth="copy", arena_mib=2048)
    table = found["contest"]
    assert isinstance(table, Table)
    copied = {row[0].en: row[-1] for row in table.rows}  # type: ignore[union-attr]
    assert copied["pages"] == 0 and copied["first fit"] > 2048


def test_a_preview_shows_figures_and_no_map():
    found = results(preview=True)
    assert "internal" in found and "arena" not in found and "contest" not in found


def test_eviction_has_its_bound_and_its_prediction():
    found = results(mode="eviction", requests=48)
    assert metric(found, "lru_hits").value == pytest.approx(metric(found, "lru_hits").predicted, abs=3)
    curves = found["hit_ratio"]
    assert isinstance(curves, Lines)
    *policies, bound = curves.series
    for policy in policies:
        assert (policy.y <= bound.y + 1e-9).all()
        assert (policy.y[1:] >= policy.y[:-1] - 1).all(), "a larger cache finds more"
    explanation = found["explanation"]
    assert isinstance(explanation, Markdown) and "FIFO becomes LRU" in explanation.body.en
    blocks = found["blocks"]
    assert isinstance(blocks, BlockMap) and blocks.changes.shared is not None
    assert blocks.changes.shared.max() > 1, "a prefix that several sequences refer to"


def test_alignment_shows_all_it_measures():
    quick = lab_run.aligned(Context(), 512, budget_s=0.01)
    found = {one.id: one for one in quick}
    assert isinstance(found["explanation"], Markdown)
    reads = found["reads"]
    assert isinstance(reads, Bars) and len(reads.categories) == 6
    assert all((series.values > 0).all() for series in reads.series)
    assert metric(found, "waste").value == pytest.approx(lab_run.alignment_waste(512), abs=0.5)


def test_it_stops_between_allocators():
    cancelled = threading.Event()
    seen = 0
    with pytest.raises(Cancelled):
        for one in execute(allocators.LAB, allocators.Params(), Context(cancelled=cancelled)):
            if isinstance(one, Table):
                seen += 1
                cancelled.set()
    assert seen == 1
