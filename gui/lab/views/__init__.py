"""One view a result kind. The table names modules: numpy and pyqtgraph are imported when the first lab needs
them."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, cast

from gui.lab.qt_types import make_all

if TYPE_CHECKING:
    from gui.lab.views.view import View

VIEWS = {
    "metric": "MetricView",
    "table": "TableView",
    "lines": "LinesView",
    "scatter": "ScatterView",
    "bars": "BarsView",
    "histogram": "HistogramView",
    "heatmap": "HeatmapView",
    "bits": "BitsView",
    "trace": "TraceView",
    "block_map": "BlockMapView",
    "timeline": "TimelineView",
    "tokens": "TokensView",
    "code": "CodeView",
    "tiles": "TilesView",
    "graph": "GraphView",
    "markdown": "MarkdownView",
}


def import_ahead() -> threading.Thread:
    """Import numpy and pyqtgraph on a thread: on the window's own it would stall for half a second. The types
    that the warm-up has made by then need not be made here."""
    make_all()
    thread = threading.Thread(target=_import_plotting, name="import-ahead")
    thread.start()
    return thread


def _import_plotting() -> None:
    for kind in VIEWS:
        importlib.import_module(f"gui.lab.views.{kind}")


def make_view(kind: str) -> View:
    """A new view of this kind. KeyError for a kind that this version does not know."""
    name = VIEWS[kind]
    return cast("View", getattr(importlib.import_module(f"gui.lab.views.{kind}"), name)())
