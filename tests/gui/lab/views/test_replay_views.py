"""Replayed results together: one cursor, reached by mouse and keyboard, telling what is under it."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QByteArray, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from gui.lab.export.html_page import html_page
from gui.lab.playback.animation import MOST_FRAMES, animation_steps
from gui.lab.playback.animation_dialog import AnimationDialog
from gui.lab.results_area import ResultsArea
from gui.lab.runs.compare import Compare
from gui.lab.runs.stored_run import StoredRun
from gui.lab.views import lane_bars, make_view
from gui.lab.views.event_text import EventTexts
from gui.language import language_switch
from gui.theme import DARK, LIGHT
from tests.gui.lab import replay_samples, samples

if TYPE_CHECKING:
    from pathlib import Path

    from gui.lab.playback.clock import Clock

RUN = replay_samples.recorded()
SHARE = next(i for i, kind in enumerate(RUN["trace"]["kind_index"]) if kind == 2)


@pytest.fixture
def area(qtbot: Any) -> ResultsArea:
    """All results of the recorded run, at a width that a panel has."""
    made = ResultsArea()
    qtbot.addWidget(made)
    show(made, list(RUN.values()))
    return made


def show(area: ResultsArea, results: list[dict[str, Any]]) -> None:
    area.resize(640, 2000)
    area.show()
    area.begin(preview=False)
    for result in results:
        area.show_result(result, samples.ENVIRONMENT)
    area.end("done")


def clock_of(area: ResultsArea) -> Clock:
    return area.clocks.clock("replay")


def test_all_views_move_with_one_cursor(area: ResultsArea) -> None:
    clock = clock_of(area)
    clock.seek(SHARE)
    now = RUN["trace"]["times"][SHARE]
    assert clock.now_s == now
    blocks, tokens = area.card("block_map").view, area.card("tokens").view
    changes = RUN["block_map"]["changes"]
    shared = int(changes["block"][np.flatnonzero(changes["event"] == SHARE)[-1]])
    assert blocks.blocks.shared[shared] == 2
    assert tokens.revealed().sum() == sum((row["event"] <= SHARE).sum() for row in RUN["tokens"]["rows"])
    for name in ("timeline", "lines"):
        assert area.card(name).view._line._line.value() == pytest.approx(now)
    clock.seek(-1)
    assert (blocks.blocks.owner == -1).all()
    assert not tokens.revealed().any()


def test_an_enlarged_card_follows_and_another_run_does_not(area: ResultsArea, qtbot: Any) -> None:
    other = ResultsArea()
    qtbot.addWidget(other)
    show(other, list(RUN.values()))
    area.card("block_map").enlarge()
    qtbot.addWidget(area.card("block_map")._enlarged)  # a window of its own: else in the next tests' way
    clock_of(area).seek(SHARE)
    assert area.card("block_map")._enlarged._view.follower.cursor == SHARE
    assert clock_of(other).cursor == len(RUN["trace"]["times"]) - 1


def test_a_stored_run_is_replayed_without_a_worker(qtbot: Any) -> None:
    run = StoredRun.new("system/x", {}, {}, datetime.now(UTC), 1.0, list(RUN.values()))
    area = ResultsArea()
    qtbot.addWidget(area)
    show(area, StoredRun.of(run.record).results)
    clock_of(area).seek(SHARE)
    assert "shares block" in EventTexts(area.card("replay").view.result).text(SHARE)
    assert not area.grab().isNull()


def test_compared_runs_move_each_on_its_own(qtbot: Any) -> None:
    runs = [StoredRun.new("system/x", {}, {}, datetime.now(UTC), 1.0, list(RUN.values())) for _ in range(2)]
    compare = Compare()
    qtbot.addWidget(compare)
    compare.show_runs(samples.description(), runs)
    traces = [card.view for card in compare.cards() if card.result["kind"] == "trace"]
    blocks = [card.view for card in compare.cards() if card.result["kind"] == "block_map"]
    traces[1].clock.seek(SHARE)
    assert [view.follower.cursor for view in blocks] == [traces[0].clock.last, SHARE]


def test_a_page_stands_where_the_trace_is_first_shown(qtbot: Any) -> None:
    run = StoredRun.new(
        "system/x", {}, {}, datetime.now(UTC), 1.0, [RUN["block_map"], RUN["trace"] | {"at": SHARE}]
    )
    page = html_page(run, samples.description())
    assert f"event {SHARE + 1} of" in page and "sequence 2 shares block" in page
    (picture,) = re.findall(r"class='in-light'[^>]*base64,([^']*)'", page)
    still = make_view("block_map")
    qtbot.addWidget(still)
    still.show_result(RUN["block_map"])
    still.blocks = still.states.at(SHARE)
    assert still.caption() in base64.b64decode(picture).decode()


@pytest.mark.parametrize("kind", ["bits", "block_map", "tokens", "lines"])
def test_a_picture_has_no_background_of_the_theme_in_force(qtbot: Any, kind: str) -> None:
    """On a page, the picture in the other theme would be light on light."""
    view = make_view(kind)
    qtbot.addWidget(view)
    view.show_result(RUN.get(kind) or getattr(samples, kind)())
    view.resize(500, 320)
    image = QImage(500, 320, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(view.to_svg())).render(painter)
    painter.end()
    assert image.pixelColor(499, 1).alpha() == 0


@pytest.mark.parametrize("kind", ["timeline", "lines"])
def test_a_view_over_time_shows_the_whole_trace_whichever_comes_first(qtbot: Any, kind: str) -> None:
    longer = RUN["trace"] | {"times": np.append(RUN["trace"]["times"][:-1], 9.0)}
    area = ResultsArea()
    qtbot.addWidget(area)
    show(area, [RUN[kind], longer])
    assert area.card(kind).view.plot.vb.viewRange()[0][1] >= 9.0


def test_results_of_the_laboratory_are_what_the_views_read(qtbot: Any) -> None:
    from gui.lab.worker.wire import decode
    from labs import results, wire
    from labs.text import same

    common: dict[str, Any] = {"title": same("x"), "provenance": results.Provenance.MEASURED}
    ints = lambda *values: results.array(values, np.int64)  # noqa: E731
    kinds = [results.EventKind(name=same("take"), template=same("block {block}"))]
    made: list[Any] = [
        results.Trace(
            id="t",
            times=results.array([0, 1]),
            kinds=kinds,
            kind_index=ints(0, 0),
            columns={"block": ints(3, 1)},
            at=0,
            **common,
        ),
        results.BlockMap(
            id="b",
            count=4,
            block_size=2,
            owners=[results.Owner(name=same("o"))],
            clock="t",
            changes=results.BlockChanges(event=ints(0, 1), block=ints(3, 1), owner=ints(0, 0)),
            tables=results.TableChanges(event=ints(0), owner=ints(0), logical=ints(0), block=ints(3)),
            **common,
        ),
        results.Timeline(
            id="l",
            x=results.Axis(title=same("t"), unit="s"),
            lanes=[same("l")],
            lane=ints(0),
            start=results.array([0]),
            end=results.array([1]),
            category=ints(0),
            categories=[same("c")],
            clock="t",
            **common,
        ),
        results.Tokens(
            id="w",
            rows=[results.TokenRow(name=same("r"), tokens=["a", "b"], event=ints(0, 1))],
            clock="t",
            **common,
        ),
    ]
    area = ResultsArea()
    qtbot.addWidget(area)
    show(area, [decode(wire.frame(result)[4:]) for result in made])
    assert area.clocks.clock("t").cursor == 0
    assert area.card("b").view.blocks.owner.tolist() == [-1, -1, -1, 0]
    assert area.card("w").view.revealed().tolist() == [True, False]
    assert area.card("t").view.texts.text(1) == "block 1"
    assert not area.grab().isNull()


# The transport


def test_the_keyboard_drives_the_trace(area: ResultsArea, qtbot: Any) -> None:
    view, clock = area.card("replay").view, clock_of(area)
    last = clock.last
    keys = view.scrubber
    qtbot.keyClick(keys, Qt.Key.Key_Home)
    assert clock.cursor == -1
    qtbot.keyClick(keys, Qt.Key.Key_Right)
    qtbot.keyClick(keys, Qt.Key.Key_Right)
    qtbot.keyClick(keys, Qt.Key.Key_Left)
    assert clock.cursor == 0
    view.kind_box.setCurrentIndex(1 + 2)  # share
    view.kind_box.activated.emit(3)
    qtbot.keyClick(keys, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert clock.cursor == SHARE
    qtbot.keyClick(keys, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert clock.cursor == SHARE  # there is none before
    qtbot.keyClick(keys, Qt.Key.Key_End)
    assert clock.cursor == last
    qtbot.keyClick(keys, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert RUN["trace"]["kind_index"][clock.cursor] == 2
    before = clock.player.speed
    qtbot.keyClick(keys, Qt.Key.Key_Plus)
    assert clock.player.speed > before
    qtbot.keyClick(keys, Qt.Key.Key_Space)
    assert clock.player.playing and view.play_button.accessibleName() == "Pause (Space)"
    qtbot.keyClick(area.card("block_map").view.grid, Qt.Key.Key_Space)  # any view that follows
    assert not clock.player.playing


def test_dragging_the_scrubber_and_clicking_the_timeline_seek(area: ResultsArea, qtbot: Any) -> None:
    view, clock = area.card("replay").view, clock_of(area)
    times = RUN["trace"]["times"]
    view.scrubber.seek_to(view.scrubber.width() / 2)
    assert clock.now_s == pytest.approx((times[0] + times[-1]) / 2, rel=0.01)
    view.scrubber.seek_to(-5)
    assert clock.cursor == -1
    timeline = area.card("timeline").view
    place = timeline.plot.vb.mapViewToScene(QPointF(float(times[SHARE]) + 1e-9, 2)).toPoint()
    qtbot.mouseClick(timeline.canvas.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert clock.now_s == pytest.approx(times[SHARE], abs=0.01)


def test_a_scrubber_with_the_focus_still_shows_its_events(area: ResultsArea, qtbot: Any) -> None:
    scrubber = area.card("replay").view.scrubber
    area.activateWindow()
    scrubber.setFocus()
    qtbot.waitUntil(scrubber.hasFocus)
    image, accent = scrubber.grab().toImage(), QColor(LIGHT.accent)
    middle = [image.pixelColor(x, image.height() - 12) for x in range(4, image.width() - 4)]
    assert middle.count(accent) < 10
    assert middle.count(QColor(LIGHT.muted)) > 50


def test_it_stops_playing_where_nobody_sees_it(area: ResultsArea) -> None:
    clock_of(area).player.play()
    area.hide()
    assert not clock_of(area).player.playing


def test_steps_are_told_by_number_and_not_in_seconds(qtbot: Any, area: ResultsArea) -> None:
    show(area, [RUN["trace"] | {"steps": True, "times": np.arange(len(RUN["trace"]["times"]))}])
    view = area.card("replay").view
    clock_of(area).seek(SHARE)
    assert view.time_text(SHARE) == str(SHARE + 1)
    assert view.place_text() == f"event {SHARE + 1} of {clock_of(area).last + 1}"
    assert "steps/s" in view.speed_box.currentText()
    assert view.to_csv().splitlines()[0].startswith("event,step,kind")


def test_events_are_told_in_the_language_in_force(area: ResultsArea) -> None:
    view = area.card("replay").view
    clock_of(area).seek(SHARE)
    assert view.texts.text(SHARE).startswith("sequence 2 shares block")
    assert f"event {SHARE + 1} of" in view.place_text()
    assert "shares block" in view.scrubber.accessibleDescription()
    language_switch.apply("zh")
    area.relanguage()
    assert view.texts.text(SHARE).startswith("序列 2 共享块")
    assert view.kind_box.itemText(0) == "任何事件"
    assert view.play_button.accessibleName() == "播放（空格）"


def test_a_template_formats_its_columns() -> None:
    template = samples.both("{n} {x:.1f} {x}", "{n} {x:.1f} {x}")
    result = {
        "kinds": [{"name": template, "template": template}],
        "kind_index": np.array([0]),
        "columns": {"n": np.array([12345]), "x": np.array([0.25])},
    }
    assert EventTexts(result).text(0) == "12\u2009345 0.2 0.2500"


# What the pointer and the keyboard tell


def test_blocks_in_named_rows_have_a_row_each(qtbot: Any) -> None:
    view: Any = make_view("block_map")
    qtbot.addWidget(view)
    map_ = replay_samples.block_map()
    names = [samples.both(f"进程 {row}", f"rank {row}") for row in range(4)]
    view.show_result(map_ | {"row_names": names})
    view.resize(600, 400)
    grid, each = view.grid, map_["count"] // 4
    tops = [grid.box(block).top() for block in range(map_["count"])]
    assert [tops.count(top) for top in sorted(set(tops))] == [each] * 4
    assert view.block_title(each + 1) == "rank 1 · 2"
    svg = view.to_svg().decode()
    assert all(f"rank {row}" in svg for row in range(4))
    view.show_result(map_)
    assert view.block_title(5) == "block 5" and "rank 0" not in view.to_svg().decode()


def test_a_block_tells_who_holds_it(area: ResultsArea, qtbot: Any) -> None:
    view = area.card("block_map").view
    clock_of(area).seek(SHARE)
    block = int(np.flatnonzero(view.blocks.shared > 1)[0])
    told = dict(view.describe(block))
    assert told == {"holder": "sequence 0, sequence 2", "tokens": "16 / 16", "references": "2"}
    grid = view.grid
    qtbot.mouseMove(grid, grid.box(block).center().toPoint())
    grid.point(grid.block_at(grid.box(block).center()))
    assert f"block {block}: holder sequence 0, sequence 2" in grid.accessibleDescription()
    assert "sequence 2" in grid._card.text()
    clock_of(area).seek(-1)  # the card tells of the cursor's moment
    assert grid.accessibleDescription() == f"block {block}: holder free"


def test_the_keyboard_goes_from_block_to_block(area: ResultsArea, qtbot: Any) -> None:
    grid = area.card("block_map").view.grid
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    assert grid.accessibleDescription().startswith("block 1:")
    qtbot.keyClick(grid, Qt.Key.Key_Down)
    columns = grid._shape(grid.width())[0]
    assert grid.accessibleDescription().startswith(f"block {columns + 1}:")
    for block in (0, 5, columns, replay_samples.COUNT - 1):
        assert grid.block_at(grid.box(block).center()) == block


def test_sharing_filling_and_caching_can_be_seen(qtbot: Any) -> None:
    states = {
        "free": (-1, 0, 0),
        "cached": (-2, 0, 16),
        "full": (0, 1, 16),
        "half": (0, 1, 8),
        "shared": (0, 2, 16),
    }
    for count in (8, 9000):  # large blocks and blocks of a few pixels
        pictures = {}
        for name, (owner, shared, filled) in states.items():
            columns = {"event": -1, "block": 0, "owner": owner, "shared": shared, "filled": filled}
            changes = {key: np.array([value]) for key, value in columns.items()}
            view = make_view("block_map")
            qtbot.addWidget(view)
            view.show_result(replay_samples.block_map(count=count, changes=changes, tables=None, clock=""))
            view.resize(640, 400)
            pictures[name] = view.grid.grab(view.grid.box(0).toRect()).toImage()
        names = list(pictures)
        for place, one in enumerate(names):
            assert all(pictures[one] != pictures[other] for other in names[place + 1 :]), (count, one)


def test_only_what_changes_is_drawn_again_and_the_picture_is_the_same(area: ResultsArea, qtbot: Any) -> None:
    view, clock = area.card("block_map").view, clock_of(area)
    for event in (SHARE, 3, clock.last, 40):
        clock.seek(event)
        view.grab()
    fresh = make_view("block_map")
    qtbot.addWidget(fresh)
    fresh.resize(view.size())
    fresh.show_result(RUN["block_map"] | {"clock": ""})
    fresh.blocks = fresh.states.at(40)
    blocks = view.grid.rect().adjusted(view.grid._gutter, 0, 0, -40)
    assert view.grid.grab(blocks).toImage() == fresh.grid.grab(blocks).toImage()


def test_a_bar_tells_what_it_is(area: ResultsArea, qtbot: Any) -> None:
    view = area.card("timeline").view
    bar = int(view.bars_of(1)[3])
    middle = (RUN["timeline"]["start"][bar] + RUN["timeline"]["end"][bar]) / 2
    assert view.bar_at(middle, 1.2) == bar
    found = view.hover_text(middle, 1.0)
    assert found is not None
    for told in ("sequence 1", f"step {bar}", "decode", "from"):
        assert told in found[1]
    assert view.bar_at(middle, 77) is None
    qtbot.keyClick(view, Qt.Key.Key_Right)
    first = view.accessibleDescription()
    assert first.startswith("sequence 0 · step 0: prefill")
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert view.accessibleDescription().startswith("sequence 1")


def test_lanes_that_do_not_fit_stay_readable_and_can_be_reached(qtbot: Any) -> None:
    lanes = [samples.both(f"泳道 {i}", f"lane {i}") for i in range(300)]
    view = make_view("timeline")
    qtbot.addWidget(view)
    view.resize(640, 300)
    view.show()
    view.show_result(replay_samples.timeline(lanes=lanes, clock="", lane=RUN["timeline"]["lane"] * 42))
    view.grab()
    low, high = view.plot.vb.viewRange()[1]
    assert view.plot.vb.height() / (high - low) >= 10
    assert view.lanes_bar.isVisibleTo(view)
    view.select(int(np.argmax(view._lane)))
    low, high = view.plot.vb.viewRange()[1]
    assert low <= view._lane.max() <= high


def test_zooming_keeps_the_cursor_in_sight(area: ResultsArea) -> None:
    view, clock = area.card("timeline").view, clock_of(area)
    clock.seek(0)
    for _ in range(8):
        view._zoom(0.5)
    clock.seek(clock.last - 5)
    left, right = view.plot.vb.viewRange()[0]
    assert left <= clock.now_s <= right


def test_a_plot_that_was_panned_shows_its_new_axis(qtbot: Any) -> None:
    """Axes and bars are kept as pictures: not beyond the range that they were drawn for."""
    views = []
    for way in ([(0.1, 0.4)], [(0.9, 1.2), (0.1, 0.4)]):
        view = make_view("timeline")
        qtbot.addWidget(view)
        view.resize(640, 300)
        view.show_result(replay_samples.timeline(clock=""))
        for _ in range(3):
            view.grab()
        for left, right in way:
            view.plot.vb.setXRange(left, right, padding=0)
            for _ in range(3):
                view.grab()
        views.append(view.grab().toImage())
    assert views[0] == views[1]


def test_bars_on_the_same_pixels_are_drawn_once(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = {key: np.repeat(RUN["timeline"][key], 40) for key in ("lane", "start", "end", "category")}
    pictures = []
    for most in (10**9, 10):
        monkeypatch.setattr(lane_bars, "MOST_DRAWN", most)
        view = make_view("timeline")
        qtbot.addWidget(view)
        view.resize(640, 300)
        view.show_result(replay_samples.timeline(label=None, value=None, clock="", **crowd))
        pictures.append(view.grab().toImage())
    assert pictures[0] == pictures[1]


def test_a_token_tells_what_it_is(area: ResultsArea, qtbot: Any) -> None:
    view, clock = area.card("tokens").view, clock_of(area)
    clock.seek(SHARE)
    token = int(np.flatnonzero(view.revealed())[-1])
    assert dict(view.describe(token))["text"] == repr(view.tokens[token])
    boxes = view.boxes
    qtbot.keyClick(boxes, Qt.Key.Key_Right)
    assert boxes.accessibleDescription().startswith("sequence 0, token 1: text 'The', category prompt")
    qtbot.keyClick(boxes, Qt.Key.Key_Right)
    assert "token 2: text ' cache'" in boxes.accessibleDescription()
    qtbot.keyClick(boxes, Qt.Key.Key_Down)
    assert boxes.places().top[boxes._at] > boxes.places().top[1]
    clock.seek(-1)
    assert boxes.token_at(boxes.places().box(0).center()) is None  # not yet there


def test_tokens_wrap_and_show_what_has_no_shape(area: ResultsArea) -> None:
    from gui.lab.views.token_layout import visible

    places = area.card("tokens").view.boxes.places()
    assert (places.left + places.width <= area.width()).all()
    assert (np.diff(places.top) >= 0).all()
    assert visible(" a\n") == "␣a↵" and visible("") != ""


def test_the_speed_of_what_lasts_microseconds_is_a_fraction(area: ResultsArea) -> None:
    view = area.card("replay").view
    texts = [view._speed_text(speed) for speed in (0.5, 0.002, 5e-7)]
    assert texts == ["0.5×", "0.002×", "1/2,000,000×"]


def test_still_pictures_need_no_clock(qtbot: Any) -> None:
    view = make_view("block_map")
    qtbot.addWidget(view)
    view.show_result(RUN["block_map"])  # its trace is not there
    last = replay_samples.COUNT - int((view.blocks.owner == -1).sum())
    assert view.caption().startswith(f"{last - int((view.blocks.owner == -2).sum())} in use")


# Animations


def shown_views(area: ResultsArea) -> list[Any]:
    return [area.card(name).view for name in ("replay", "block_map", "timeline")]


def test_the_transport_offers_what_follows_its_clock(area: ResultsArea) -> None:
    kinds = [view.result["kind"] for view in area.card("replay").view.views_beside()]
    assert kinds == ["trace", "block_map", "timeline", "tokens", "lines"]


def test_a_gif_has_its_frames_and_the_cursor_comes_back(area: ResultsArea, tmp_path: Path) -> None:
    clock, path = clock_of(area), tmp_path / "run.gif"
    clock.seek(7)
    assert list(animation_steps(path, "gif", clock, shown_views(area), 6))[1::2] == [1, 2, 3, 4, 5, 6]
    assert clock.cursor == 7
    with Image.open(path) as picture:
        assert picture.n_frames == 6
        assert picture.info["duration"] == 100 and picture.info["loop"] == 0
        picture.seek(0)
        first = picture.convert("RGB").tobytes()
        picture.seek(5)
        assert picture.convert("RGB").tobytes() != first
        assert picture.width == area.card("replay").view.width() + 24


def test_a_folder_of_pictures(area: ResultsArea, tmp_path: Path) -> None:
    path = tmp_path / "frames"
    steps = animation_steps(path, "png", clock_of(area), shown_views(area)[1:2], 3)
    assert list(steps) == [0, 1, 1, 2, 2, 3]
    assert sorted(file.name for file in path.iterdir()) == ["0.png", "1.png", "2.png"]
    assert QImage(str(path / "1.png")).width() > 2 * area.card("block_map").view.width()


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_cancelling_leaves_nothing(area: ResultsArea, tmp_path: Path, kind: Any) -> None:
    clock, path = clock_of(area), tmp_path / "run"
    clock.seek(7)
    steps = animation_steps(path, kind, clock, shown_views(area), 5)
    for _ in range(4):
        next(steps)
    assert path.exists()
    steps.close()
    assert not path.exists()
    assert clock.cursor == 7


def test_the_dialog_saves_and_says_its_bound(area: ResultsArea, qtbot: Any, tmp_path: Path) -> None:
    dialog = AnimationDialog(area, clock_of(area), shown_views(area))
    qtbot.addWidget(dialog)
    assert str(MOST_FRAMES) in dialog.length.text()
    assert dialog.frames_box.maximum() == MOST_FRAMES
    dialog.frames_box.setValue(4)
    dialog.checks[0].setChecked(False)
    with qtbot.waitSignal(dialog.written) as written:
        dialog.start(tmp_path / "run.gif", "gif")
    assert written.args == [str(tmp_path / "run.gif")]
    for check in dialog.checks:
        check.setChecked(False)
    assert not dialog.save_button.isEnabled()


def test_the_dialog_says_why_nothing_was_written(area: ResultsArea, qtbot: Any, tmp_path: Path) -> None:
    dialog = AnimationDialog(area, clock_of(area), shown_views(area))
    qtbot.addWidget(dialog)
    dialog.start(tmp_path / "missing" / "run.gif", "gif")
    assert "missing" in dialog.status.text()
    assert dialog.save_button.isEnabled()


def test_cancelling_the_dialog_stops_it(area: ResultsArea, qtbot: Any, tmp_path: Path) -> None:
    dialog = AnimationDialog(area, clock_of(area), shown_views(area))
    qtbot.addWidget(dialog)
    dialog.start(tmp_path / "run.gif", "gif")
    qtbot.waitUntil(lambda: dialog.progress.value() == 1)
    with qtbot.assertNotEmitted(dialog.written, wait=50):
        dialog.reject()
    assert not (tmp_path / "run.gif").exists()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_view_is_drawn_at_the_widths_of_a_panel(area: ResultsArea, theme: Any) -> None:
    area.restyle(theme)
    for width in (360, 640, 1000):
        area.resize(width, 2000)
        for view in (area.card(name).view for name in ("replay", "block_map", "timeline", "tokens")):
            assert not view.grab().isNull()
            assert view.width() <= width
            assert view.minimumSizeHint().width() <= 330
