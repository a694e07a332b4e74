"""The comparison of runs in a narrow panel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gui.lab.compare import Compare
from gui.lab.stored_run import StoredRun
from tests.gui.lab import samples


def stored(bits: int) -> StoredRun:
    names = [samples.both(f"第 {place} 个图", f"Figure number {place}") for place in range(9)]
    results = [samples.metric(f"figure{place}", title=name) for place, name in enumerate(names)]
    started = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    return StoredRun.new(
        samples.description()["id"], {"bits": bits}, {}, started, 1.0, [*results, samples.table()]
    )


def test_no_table_scrolls_inside_a_narrow_comparison(qtbot: Any) -> None:
    compare = Compare()
    qtbot.addWidget(compare)
    compare.resize(640, 700)
    compare.show()
    compare.show_runs(samples.description(), [stored(3), stored(4), stored(5)])
    grids = [card.view.grid for card in compare.cards()]
    assert len(grids) == 5  # parameters, figures, and each run's own table
    qtbot.waitUntil(lambda: all(grid.isVisible() for grid in grids))
    # Heads wrap when their columns are laid out, and then the page makes room for them.
    qtbot.waitUntil(lambda: not any(grid.verticalScrollBar().maximum() for grid in grids))
    compare.grab()
    qtbot.waitUntil(lambda: not any(grid.verticalScrollBar().maximum() for grid in grids))
