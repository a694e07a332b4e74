"""Who owns the items of a layout that Qt and Python share."""

from __future__ import annotations

import gc
import random
from typing import TYPE_CHECKING, Any

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QLayout, QPushButton, QWidget

from gui.lab.layouts.flow import Flow
from gui.lab.layouts.grid import Grid
from gui.lab.layouts.wrapping_layout import WrappingLayout
from gui.lab.results_area import ResultsArea
from gui.lab.views import VIEWS, make_view
from tests.gui.lab import replay_samples, samples

if TYPE_CHECKING:
    from collections.abc import Callable


def delete_now(widget: QWidget) -> None:
    widget.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def items_are_sound(layout: WrappingLayout, children: list[QPushButton]) -> None:
    items = [layout.itemAt(place) for place in range(layout.count())]
    assert all(item is not None and shiboken6.isValid(item) for item in items)
    assert [item.widget() for item in items if item is not None] == children


@pytest.mark.parametrize("make", [lambda: Flow(4), lambda: Grid(60, 120)], ids=["flow", "grid"])
def test_items_live_as_long_as_their_widgets(
    qtbot: Any, make: Callable[[], WrappingLayout], capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(0)
    for _round in range(2):
        host = QWidget()
        qtbot.addWidget(host)
        layout = make()
        host.setLayout(layout)
        host.show()
        children: list[QPushButton] = []
        for step in range(40):
            what = chance.choice(
                ["add", "add", "add", "remove", "delete", "clear" if step % 13 == 12 else "add"]
            )
            if what == "add":
                children.append(QPushButton(str(step) * chance.randrange(1, 9)))
                layout.addWidget(children[-1])
            elif what == "clear":
                while children:
                    delete_now(children.pop())
            elif children:
                gone = children.pop(chance.randrange(len(children)))
                if what == "remove":
                    layout.removeWidget(gone)
                    gone.hide()
                delete_now(gone)
                del gone
            host.resize(chance.randrange(80, 600), 300)
            if chance.random() < 0.3:
                gc.collect(1)
            QCoreApplication.processEvents()
            items_are_sound(layout, children)
        del layout
        gc.collect()
        host.resize(200, 200)
        delete_now(host)
        del host, children
        gc.collect()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", VIEWS)
def test_no_view_hangs_a_wrapping_layout_in_another_layout(qtbot: Any, kind: str) -> None:
    view = make_view(kind)
    qtbot.addWidget(view)
    for layout in view.findChildren(QLayout):
        assert not isinstance(layout, WrappingLayout) or isinstance(layout.parent(), QWidget)


def test_a_trace_outlives_the_wrapper_of_the_layout_around_its_buttons(qtbot: Any) -> None:
    view = make_view("trace")
    qtbot.addWidget(view)
    view.show_result(replay_samples.trace())
    view.resize(300, 200)
    view.show()
    around = view.layout()
    # What PySide does to a wrapper's children when it is through with the wrapper.
    shiboken6.invalidate(around)
    view.resize(500, 200)
    flow = next(layout for layout in view.findChildren(QLayout) if isinstance(layout, Flow))
    assert flow.heightForWidth(90) > flow.heightForWidth(900) > 0
    assert all(shiboken6.isValid(flow.itemAt(place)) for place in range(flow.count()))


def test_cards_come_and_go_beside_collections(qtbot: Any, capfd: pytest.CaptureFixture[str]) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.resize(700, 500)
    area.show()
    runs = [
        list(replay_samples.recorded(2).values()),
        [samples.metric(), samples.table(), samples.markdown()],
    ]
    for turn in range(3):
        area.begin(preview=False)
        for result in runs[turn % 2]:
            area.show_result(result, {})
        area.end("done")
        QCoreApplication.processEvents()
        area.resize(400 + 150 * turn, 500)
        gc.collect(1)
        if turn == 1:
            area.clear()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QCoreApplication.processEvents()
        gc.collect()
    assert capfd.readouterr().err == ""
