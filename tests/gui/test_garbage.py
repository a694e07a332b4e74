"""Qt objects in reference cycles die on the GUI thread, whatever other threads allocate."""

from __future__ import annotations

import gc
import threading
import weakref

from PySide6.QtCore import QCoreApplication, QObject

from gui.garbage import GuiCollector, collect_due


class Knot(QObject):
    """An object that only the cyclic collector can free."""

    def __init__(self) -> None:
        super().__init__()
        self.itself = self


def test_a_thread_that_allocates_frees_no_qt_object(qapp: QCoreApplication) -> None:
    holder = QObject()
    GuiCollector(holder)
    assert not gc.isenabled()
    knots = [weakref.ref(Knot()) for _ in range(50)]

    def allocate() -> None:
        # Far past the threshold at which Python would collect on this thread.
        kept = [[index] for index in range(20_000)]
        assert len(kept) == 20_000

    thread = threading.Thread(target=allocate)
    thread.start()
    thread.join()
    assert all(knot() is not None for knot in knots)
    gc.collect()
    assert all(knot() is None for knot in knots)


def test_what_is_due_is_collected() -> None:
    knot = weakref.ref(Knot())
    junk = [[index] for index in range(gc.get_threshold()[0] + 100)]
    collect_due()
    assert junk
    assert knot() is None
