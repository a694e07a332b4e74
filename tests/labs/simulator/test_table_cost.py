"""A table gives back what it was made from, and refuses a bad row by its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs.simulator.table_cost import TableCost, Timed, read_cost_table
from labs.simulator.ticks import PER_SECOND
from labs.spec import LabError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "kind,tokens,context,seconds\n"


def rows(swap: bool = True) -> list[Timed]:
    """A machine whose step takes 10 ms, 1 ms a token, 2 us a token of context."""
    found = [
        Timed(kind, tokens, context, 0.010 + 0.001 * tokens + 2e-6 * context)
        for kind, counts in (("decode", (1, 4, 8)), ("prefill", (16, 64)))
        for tokens in counts
        for context in (0, 100, 1000)
    ]
    return found + [Timed("swap", 100, 0, 0.05)] * swap  # type: ignore[return-value]


def test_it_gives_back_the_machine_it_was_measured_on() -> None:
    cost = TableCost(rows())
    for tokens in (1, 3, 8, 12, 64, 100):  # on, between and beyond the points
        assert cost.linear(tokens, 1) / PER_SECOND == pytest.approx(0.010 + 0.001 * tokens)
    ramp = cost.decode_attention(6, 5000)
    assert ramp.ticks / PER_SECOND == pytest.approx(0.010, rel=1e-3)
    assert ramp.rise / PER_SECOND == pytest.approx(6 * 2e-6, rel=1e-3)
    assert cost.prefill_attention(32, 500) / PER_SECOND == pytest.approx(0.001)
    assert cost.swap(10) / PER_SECOND == pytest.approx(0.005)


def test_without_swap_rows_nothing_can_be_swapped() -> None:
    with pytest.raises(LabError, match="no swap row"):
        TableCost(rows(swap=False)).swap(1)


def test_a_table_of_one_kind_is_refused() -> None:
    with pytest.raises(LabError, match="a row of prefill and of decode"):
        TableCost([row for row in rows() if row.kind == "decode"])


def test_a_file_is_read_and_its_bad_rows_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "steps.csv"
    file.write_text(f"# my card\n{HEAD}decode,4,100,0.01\n\nprefill, 64, 0, 0.02\n", encoding="utf-8")
    assert read_cost_table(file) == [Timed("decode", 4, 100, 0.01), Timed("prefill", 64, 0, 0.02)]
    for bad, what in (
        ("decod,4,1,0.1", "kind = decod; allowed: prefill, decode or swap"),
        ("decode,0,1,0.1", "tokens = 0; allowed: an integer of at least 1"),
        ("decode,4,x,0.1", "context = x"),
        ("decode,4,1,-1", "seconds = -1; allowed: seconds above 0"),
        ("decode,4,1", "seconds = empty"),
    ):
        file.write_text(f"{HEAD}decode,4,100,0.01\n{bad}\n", encoding="utf-8")
        with pytest.raises(LabError, match=rf"steps\.csv, line 3: {what}"):
            read_cost_table(file)
    file.write_text("tokens,seconds\n1,2\n", encoding="utf-8")
    with pytest.raises(LabError, match="the header must be kind,tokens,context,seconds"):
        read_cost_table(file)
