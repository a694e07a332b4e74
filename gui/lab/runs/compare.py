"""Two to four runs side by side: where their parameters differ, their metrics with the change, and their
plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.lab.card import Card
from gui.lab.change_text import change_text
from gui.lab.code.changes import changed_lines, line_counts
from gui.lab.code.document import in_lines
from gui.lab.number_text import with_unit
from gui.lab.parameter_text import parameter_label, value_text
from gui.lab.playback.clock import Clocks
from gui.lab.runs.stored_run import StoredRun, local_time

if TYPE_CHECKING:
    from gui.theme import Theme

MOST_COMPARED = 4
Result = dict[str, Any]


class Compare(QWidget):
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._description: dict[str, Any] = {}
        self._runs: list[StoredRun] = []
        self._cards: list[Card] = []
        self._back = QPushButton()
        self._back.clicked.connect(self.closed)
        self._heading = QLabel()
        self._heading.setProperty("role", "heading")
        head = QHBoxLayout()
        head.setContentsMargins(16, 12, 16, 4)
        head.addWidget(self._heading, 1)
        head.addWidget(self._back)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.addLayout(head)
        body.addWidget(self._area, 1)
        self._retranslate()

    def show_runs(self, description: dict[str, Any], runs: list[StoredRun]) -> None:
        """``runs``: two to four of one lab; the first is what the others are compared with."""
        self._description, self._runs = description, runs
        self._build()

    def cards(self) -> list[Card]:
        return self._cards

    def _build(self) -> None:
        content = QWidget()
        grid = QGridLayout(content)
        grid.setContentsMargins(16, 4, 16, 16)
        grid.setSpacing(12)
        for column in range(len(self._runs)):
            grid.setColumnStretch(column, 1)
        self._cards = []
        self._clocks = [Clocks(content) for _ in self._runs]
        across = len(self._runs)
        for table in (self._parameters(), self._metrics()):
            if table["rows"]:
                grid.addWidget(self._card(table, {}, None), grid.rowCount(), 0, 1, across)
        self._add_plots(grid)
        grid.setRowStretch(grid.rowCount(), 1)
        self._area.setWidget(content)

    def _add_plots(self, grid: QGridLayout) -> None:
        found: dict[str, dict[int, Result]] = {}
        for column, run in enumerate(self._runs):
            for result in run.results:
                if result["kind"] not in ("metric", "markdown"):
                    found.setdefault(result["id"], {})[column] = result
        for place, name in enumerate(self._names()):
            label = QLabel(name)
            label.setProperty("role", "heading")
            if found:
                grid.addWidget(label, grid.rowCount() if place == 0 else grid.rowCount() - 1, place)
        for by_column in found.values():
            row = grid.rowCount()
            base = next(iter(by_column.values()))
            for column, found_result in by_column.items():
                result = self._only_read(found_result, base)
                card = self._card(result, self._runs[column].record.environment, self._clocks[column])
                grid.addWidget(card, row, column, Qt.AlignmentFlag.AlignTop)
            self._share_scale(list(self._cards[-len(by_column) :]))

    def _only_read(self, result: Result, base: Result) -> Result:
        """A result that nobody runs again from here; in code the lines that differ from the first run's."""
        if result["kind"] == "bits":
            return result | {"edits": ""}
        if result["kind"] != "code":
            return result
        panes = []
        for place, pane in enumerate(result["panes"]):
            marks = list(pane.get("marks") or [])
            if result is not base and base["kind"] == "code" and place < len(base["panes"]):
                told = _both(self.tr("differs from run A"))
                lines = changed_lines(in_lines(base["panes"][place]["text"]), in_lines(pane["text"]))
                marks += [{"line": line, "text": told, "role": "note"} for line in lines]
            panes.append(pane | {"edits": "", "marks": marks})
        return result | {"panes": panes}

    def _share_scale(self, cards: list[Card]) -> None:
        """Heat maps of one result in one scale: else a difference in colour means nothing."""
        views = [card.view for card in cards if card.result["kind"] == "heatmap"]
        ranges = [found for found in (view.value_range() for view in views) if found is not None]
        if ranges:
            for view in views:
                view.share_range(min(low for low, _ in ranges), max(high for _, high in ranges))

    def _card(self, result: Result, environment: dict[str, Any], clocks: Clocks | None) -> Card:
        card = Card()
        card.clocks = clocks  # type: ignore[attr-defined]  # what a run recorded moves as one, run by run
        card.show_result(result, environment)
        card.setMinimumWidth(220)
        # As tall as its result asks, also once a table's heads have wrapped: the page scrolls, not it.
        card.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self._cards.append(card)
        return card

    def _names(self) -> list[str]:
        """A letter and the run's own name, or when it began: without the date where all began on one day."""
        times = [local_time(run.record.started) for run in self._runs]
        if len({time.split()[0] for time in times}) == 1:
            times = [time.split()[1] for time in times]
        names = [run.record.name or time for run, time in zip(self._runs, times, strict=True)]
        return [f"{letter} · {name}" for letter, name in zip("ABCD", names, strict=False)]

    def _parameters(self) -> Result:
        schema = self._description["schema"]
        names = list(dict.fromkeys(name for run in self._runs for name in run.record.params))
        rows = []
        for name in names:
            values = [run.record.params.get(name) for run in self._runs]
            if any(value != values[0] for value in values):
                texts = [self._parameter(schema, name, value, values[0]) for value in values]
                rows.append([parameter_label(schema, name), *texts])
        return self._table("compare_parameters", self.tr("Parameters that differ"), self._names(), rows)

    def _parameter(self, schema: dict[str, Any], name: str, value: Any, base: Any) -> str:
        """Of a text of several lines: how many there are, or what has changed."""
        if value is None:
            return "—"
        if not isinstance(value, str) or "\n" not in value.strip():
            return value_text(schema, name, value)
        if value == base or not isinstance(base, str):
            return self.tr("{count} lines").format(count=len(value.strip().split("\n")))
        added, gone = line_counts(base, value)
        return self.tr("+{added} −{gone} lines").format(added=added, gone=gone)

    def _metrics(self) -> Result:
        found: dict[str, list[Result | None]] = {}
        for column, run in enumerate(self._runs):
            for result in run.results:
                if result["kind"] == "metric":
                    found.setdefault(result["id"], [None] * len(self._runs))[column] = result
        rows = []
        for metrics in found.values():
            if all(metric is None or metric["value"] is None for metric in metrics):
                continue  # not measured by any of them
            title = next(metric["title"] for metric in metrics if metric is not None)
            rows.append([title, *self._metric_texts(metrics)])
        return self._table("compare_metrics", self.tr("Figures"), self._names(), rows)

    def _metric_texts(self, metrics: list[Result | None]) -> list[str]:
        """Each figure, and after the first its change against the first."""
        base = metrics[0]["value"] if metrics[0] is not None else None
        texts = []
        for place, metric in enumerate(metrics):
            if metric is None or metric["value"] is None:
                texts.append("—")
                continue
            unit = metric.get("unit") or ""
            text = with_unit(metric["value"], unit)
            change = change_text(metric["value"], base, unit) if place and base is not None else ""
            texts.append(f"{text}  ({change})" if change else text)
        return texts

    def _table(self, name: str, title: str, columns: list[str], rows: list[Any]) -> Result:
        heads = [{"title": _both(text)} for text in ("", *columns)]
        return {
            "kind": "table",
            "id": name,
            "title": _both(title),
            "provenance": "",
            "columns": heads,
            "rows": [[cell if isinstance(cell, dict) else _both(cell) for cell in row] for row in rows],
        }

    def _retranslate(self) -> None:
        self._back.setText(self.tr("Back to the runs"))
        self._heading.setText(self.tr("Comparison"))

    def restyle(self, theme: Theme) -> None:
        for card in self._cards:
            card.restyle(theme)

    def relanguage(self) -> None:
        if self._runs:
            self._build()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self.relanguage()
        super().changeEvent(event)


def _both(text: str) -> dict[str, str]:
    """Text of the chrome, already in the current language."""
    return {"zh": text, "en": text}
