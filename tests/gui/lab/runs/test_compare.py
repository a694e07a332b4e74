"""The comparison of runs in a narrow panel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gui.lab.runs.compare import Compare
from gui.lab.runs.stored_run import StoredRun
from tests.gui.lab import kernel_samples, samples


def ran(kernel: str, generated: str) -> StoredRun:
    panes = [
        kernel_samples.pane("kernel", "python", kernel, edits="kernel"),
        kernel_samples.pane("PTX", "ptx", generated),
    ]
    code = kernel_samples.code(panes=panes)
    started = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    return StoredRun.new(samples.description()["id"], {"note": kernel}, {}, started, 1.0, [code])


def test_code_is_compared_line_by_line_and_only_read(qtbot: Any) -> None:
    compare = Compare()
    qtbot.addWidget(compare)
    compare.show_runs(samples.description(), [ran("a\nb\n", "x\ny\nz"), ran("a\nc\nd\n", "x\nz")])
    parameters, one, other = (card.view for card in compare.cards())
    for view in (one, other):
        view.tabs.choose(1)
        view.tabs.choose(0)
    assert parameters.to_csv().splitlines()[1].split(",")[1:] == ["2 lines", "+2 −1 lines"]
    assert [pane.document.marks for pane in one.panes] == [[], []]
    marked = [[mark.line for mark in pane.document.marks] for pane in other.panes]
    assert marked == [[2, 3], [2]]  # what is missing is told where it would stand
    assert not any(pane.editable for pane in (*one.panes, *other.panes))


def test_the_new_kinds_stand_side_by_side(qtbot: Any) -> None:
    results = [kernel_samples.tile_trace(), kernel_samples.tiles(), kernel_samples.graph()]
    started = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    runs = [StoredRun.new("operator/x", {}, {}, started, 1.0, results) for _ in range(2)]
    compare = Compare()
    qtbot.addWidget(compare)
    compare.resize(900, 800)
    compare.show()
    compare.show_runs(samples.description(), runs)
    assert not compare.grab().isNull()
    traces = [card.view for card in compare.cards() if card.result["kind"] == "trace"]
    tiles = [card.view for card in compare.cards() if card.result["kind"] == "tiles"]
    traces[0].clock.seek(0)
    assert [view.follower.cursor for view in tiles] == [0, traces[1].clock.cursor] != [0, 0]


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


def test_heads_are_short_and_a_figure_that_no_run_has_takes_no_row(qtbot: Any) -> None:
    compare = Compare()
    qtbot.addWidget(compare)

    def figures(*days: int) -> list[list[str]]:
        results = [samples.metric(), samples.metric(id="unmeasured", value=None)]
        begun = [datetime(2026, 11, day, 12, 30, tzinfo=UTC) for day in days]
        name = samples.description()["id"]
        compare.show_runs(
            samples.description(), [StoredRun.new(name, {}, {}, at, 1.0, results) for at in begun]
        )
        return [line.split(",") for line in compare.cards()[0].view.to_csv().splitlines()]

    (_, a, b), *rows = figures(2, 2)
    assert len(rows) == 1
    assert len(a) == len(b) == len("A · 12:30:00")
    assert figures(2, 4)[0][2].startswith("B · 2026-11-0")
