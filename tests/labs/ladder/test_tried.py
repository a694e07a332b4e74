"""What a session has tried of a kernel: told when there is something to compare, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.context import Context
from labs.inspection.compiled import Compiled
from labs.ladder.exercise import EXERCISES
from labs.ladder.outcome import Outcome
from labs.ladder.sandbox import Built
from labs.ladder.tried import MOST, tried

if TYPE_CHECKING:
    from labs.results import Table

SETTINGS = {"tile_m": 32, "tile_n": 32, "tile_k": 32, "warps": 4, "stages": 3}


def table(ctx: Context, *, registers: int, **changed: int) -> Table | None:
    made = Outcome(EXERCISES["matmul"], "text", SETTINGS | changed, "sm_90")
    made.built = Built([Compiled("matmul", "sm_90", registers, 0, 8192, 4, {"ptx": "wgmma"})])
    return next(tried(ctx, made), None)


def columns(shown: Table) -> list[str]:
    return [column.title.en for column in shown.columns]


def test_one_try_is_nothing_to_compare_with() -> None:
    ctx = Context()
    assert table(ctx, registers=46) is None and table(ctx, registers=46) is None


def test_a_changed_tile_is_a_row_and_the_present_one_is_marked() -> None:
    ctx = Context()
    table(ctx, registers=46)
    shown = table(ctx, registers=191, tile_m=128)
    assert shown is not None and columns(shown)[:2] == ["rows", "registers"]
    assert [row[1] for row in shown.rows] == [46, 191] and shown.highlight == 1
    occupancy = [row[columns(shown).index("occupancy")] for row in shown.rows]
    assert occupancy == [62.5, 12.5]
    back = table(ctx, registers=46)
    assert back is not None and len(back.rows) == 2 and back.highlight == 0


def test_the_oldest_go_and_no_stage_is_kept() -> None:
    ctx = Context()
    for warps in range(MOST + 2):
        shown = table(ctx, registers=40 + warps, warps=warps)
    assert shown is not None and len(shown.rows) == MOST and shown.highlight == MOST - 1
    assert shown.rows[0][1] == 42
