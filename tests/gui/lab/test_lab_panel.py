"""The panel with a fake worker: previews and exact runs, errors, crashes, stored runs, links, exports."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox, QPushButton, QSlider

from gui.lab.panel import LabPanel
from gui.lab.runs.history import WIDEST_COLUMN
from gui.lab.runs.stored_run import StoredRun
from gui.lab.worker.wire import encode
from gui.language import language_switch
from gui.library.database import Database
from gui.library.runs import Runs
from gui.theme import DARK, LIGHT
from tests.gui.lab import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gui.lab.worker.client import WorkerClient


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    database = Database.open(tmp_path / "library.sqlite")
    yield Runs(database)
    database.close()


@pytest.fixture
def panel(qtbot: Any, client: WorkerClient, runs: Runs) -> LabPanel:
    panel = LabPanel(client, runs)
    qtbot.addWidget(panel)
    panel.resize(1000, 800)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


def ended(qtbot: Any, panel: LabPanel, act: Callable[[], Any], status: str = "done") -> None:
    with qtbot.waitSignal(panel._session.ended, check_params_cb=lambda said, _seconds: said == status):
        act()


def metric_value(panel: LabPanel) -> float:
    return float(panel._results.card("sqnr").result["value"])


def test_opening_runs_with_the_defaults_and_stores_the_run(qtbot: Any, panel: LabPanel, runs: Runs) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    assert metric_value(panel) == 4
    assert [result["id"] for result in panel._results.results()] == ["sqnr", "weights"]
    (record,) = runs.listed(samples.description()["id"])
    assert record.params["bits"] == 4
    assert record.environment["torch"] == "2.13.0"
    assert record.status == "done"


def test_opening_with_values_of_a_link(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3", "layer": "99"}))
    assert metric_value(panel) == 3
    assert panel.deep_link() == "lab:model/quantization_granularity?bits=3"
    assert panel._notice.isVisible()
    assert "layer = 99" in panel._notice.plain_text()


def test_dragging_previews_and_release_runs_exactly(qtbot: Any, panel: LabPanel, runs: Runs) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    slider = panel.form.field("bits").findChild(QSlider)
    slider.setSliderDown(True)
    ended(qtbot, panel, lambda: slider.setValue(0))
    assert metric_value(panel) == 2
    assert panel._results.card("weights") is not None  # what a preview does not yield stays
    assert len(runs.listed()) == 1
    slider.setValue(5)
    with qtbot.waitSignal(
        panel._session.ended,
        check_params_cb=lambda status, _s: status == "done" and not panel._session.preview,
    ):
        slider.setSliderDown(False)
    assert metric_value(panel) == 7
    assert [record.params["bits"] for record in runs.listed()] == [7, 4]


def test_one_preview_in_flight_and_only_the_newest_waits(
    qtbot: Any, panel: LabPanel, client: WorkerClient
) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    asked: list[dict[str, Any]] = []
    client.started.connect(lambda _run, message: asked.append(message["params"]))
    slider = panel.form.field("bits").findChild(QSlider)
    slider.setSliderDown(True)
    with qtbot.waitSignal(panel._session.result, check_params_cb=lambda result: result.get("value") == 8.0):
        for position in (0, 1, 2, 3, 4, 5, 6):
            slider.setValue(position)
    assert [params["bits"] for params in asked] == [2, 8]


def test_stop_keeps_what_is_shown(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    with qtbot.waitSignals([panel._session.progress, panel._session.result]):
        panel._on_param_edited("note", "wait")
    assert "half" in panel._run_bar.status
    ended(qtbot, panel, panel._run_bar.stop_button.click, "stopped")
    assert {card.result["id"] for card in panel._results.cards()} == {"sqnr", "weights"}
    assert "Stopped" in panel._run_bar.status


def test_a_killed_run_says_so_and_the_next_works(
    qtbot: Any, make_client: Callable[..., WorkerClient]
) -> None:
    panel = LabPanel(make_client(stop_patience_s=0.05))
    qtbot.addWidget(panel)
    with qtbot.waitSignal(panel._session.result):
        panel.open(samples.description(), {"note": "deaf"})
    ended(qtbot, panel, panel.stop, "killed")
    assert "replaced" in panel._run_bar.status
    assert not panel._results.empty
    ended(qtbot, panel, panel.form.reset)


def test_a_failure_shows_text_and_traceback_and_the_next_run_works(qtbot: Any, panel: LabPanel) -> None:
    with qtbot.waitSignal(panel._session.failed):
        panel.open(samples.description(), {"note": "fail"})
    said = panel._notice.plain_text()
    assert "ZeroDivisionError: division by zero" in said
    assert "Traceback" in said
    ended(qtbot, panel, panel.form.reset)
    assert not panel._notice.isVisible()


def test_a_refusal_stands_beside_its_field(qtbot: Any, panel: LabPanel) -> None:
    with qtbot.waitSignal(panel._session.failed):
        panel.open(samples.description(), {"note": "refuse"})
    assert not panel._notice.isVisible()
    field = panel.form.field("bits")
    assert field._error.isVisible()
    assert field._error.text() == "bits = 4 is out of range"


def test_a_crash_is_told_with_stderr_and_run_again_works(qtbot: Any, panel: LabPanel) -> None:
    with qtbot.waitSignal(panel._session.crashed):
        panel.open(samples.description(), {"note": "abort"})
    assert "SIGABRT" in panel._notice.plain_text()
    assert "terminate called" in panel._notice.plain_text()
    assert not panel._results.empty
    panel.form.merge_values({"note": "hello"})
    ended(qtbot, panel, panel._notice._action.click)
    assert not panel._notice.isVisible()


def test_presets_run_and_tell_their_story(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    chips = [button for button in panel.findChildren(QPushButton) if button.property("role") == "chip"]
    assert chips[0].text() == "INT8 per channel"
    ended(qtbot, panel, chips[0].click)
    assert metric_value(panel) == 8
    assert chips[0].isChecked()
    assert panel._chips._story.text() == "Almost lossless: see this first."


def test_results_that_the_exact_run_no_longer_yields_go(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"note": "many"}))
    assert len(panel._results.cards()) == 40
    ended(qtbot, panel, panel.form.reset)
    assert {card.result["id"] for card in panel._results.cards()} == {"sqnr", "weights"}


def test_a_flipped_bit_sets_the_parameter_and_runs(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    ended(qtbot, panel, lambda: panel._results.param_edited.emit("value", -0.1))
    assert panel.form.values()["value"] == -0.1


def test_links_in_results_leave_the_panel(qtbot: Any, panel: LabPanel) -> None:
    panel._results.show_result(samples.markdown(), {})
    with qtbot.waitSignal(panel.link_activated) as link:
        panel._results.card("reading").view.link_activated.emit("note:1.2.1-07")
    assert link.args == ["note:1.2.1-07"]


def test_a_missing_model_is_told_and_nothing_runs(qtbot: Any, panel: LabPanel, client: WorkerClient) -> None:
    missing = samples.both("运行 make setup", "run `make setup`")
    panel.open(samples.description(model_missing=missing))
    assert "make setup" in panel._notice.plain_text()
    assert not panel._run_bar.run_button.isEnabled()
    assert not client.busy


def test_a_broken_lab_shows_its_traceback(qtbot: Any, panel: LabPanel) -> None:
    panel.open_broken({"id": "model/broken", "file": "broken.py", "traceback": "SyntaxError: no"})
    assert "SyntaxError: no" in panel._notice.plain_text()
    assert panel._notice._details.isVisible()


def test_how_a_run_ended_follows_the_language(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    before = language_switch.current
    starts = {"en": "Done in", "zh": "完成"}
    for language in ("zh" if before == "en" else "en", before):
        language_switch.apply(language)
        qtbot.waitUntil(lambda said=starts[language]: panel._run_bar.status.startswith(said))
    panel.copy_link()
    panel._run_bar.retranslate()
    assert "lab:" in panel._run_bar.status, "what was said since is not replaced by how the run ended"


def test_the_title_follows_the_language_and_results_too(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    with qtbot.waitSignal(panel.title_changed) as title:
        language_switch.apply("zh")
    assert title.args == ["量化粒度"]
    assert panel._results.card("sqnr")._title.full_text == "信噪比 SQNR"
    assert panel.form.field("bits").label() == "位宽"


def test_a_theme_change_restyles_everything(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    panel.restyle(DARK)
    assert panel._results.card("weights").view.theme is DARK


def test_the_link_is_copied(qtbot: Any, panel: LabPanel) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "2"}))
    panel._run_bar.link_button.click()
    assert QGuiApplication.clipboard().text() == "lab:model/quantization_granularity?bits=2"


def test_the_source_is_shown_highlighted(qtbot: Any, panel: LabPanel) -> None:
    panel.open(samples.description(), run=False)
    panel._run_bar.source_button.click()
    assert panel._source.isVisible()
    pane = panel._source.pane
    assert pane is not None and pane.document.full_text == samples.description()["source"]
    pane.grab()
    pieces = pane.document.find("def run").block().layout().formats()
    (name,) = [piece for piece in pieces if piece.start == len("def ")]
    assert name.format.foreground().color().name() == LIGHT.simulated
    panel._run_bar.source_button.click()
    assert not panel._source.isVisible()


@pytest.mark.parametrize("width", [420, 560, 1100])
def test_the_form_stands_beside_or_above(qtbot: Any, panel: LabPanel, width: int) -> None:
    panel.open(samples.description(), run=False)
    panel.resize(width, 760)
    beside = panel._body.orientation() == Qt.Orientation.Horizontal
    assert beside == (width >= 900)
    assert panel._body.controls.isVisible()


def test_a_stored_run_reopens_without_a_worker(
    qtbot: Any, panel: LabPanel, runs: Runs, make_client: Callable[..., WorkerClient]
) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3"}))
    other = LabPanel(make_client(command=["/no/such/program"]), runs)
    qtbot.addWidget(other)
    other.show()
    other.open(samples.description(), run=False)
    other.open_record(runs.listed()[0].id)
    assert metric_value(other) == 3
    assert other.form.values()["bits"] == 3
    assert "Stored run of" in other._notice.plain_text()
    assert "AMD EPYC" in other._notice.plain_text()


def test_a_stored_run_of_a_lab_that_has_changed_says_what_does_not_fit(
    qtbot: Any, panel: LabPanel, runs: Runs
) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3"}))
    changed = samples.description()
    changed["schema"]["properties"]["bits"]["minimum"] = 4
    panel.open(changed, run=False)
    panel.open_record(runs.listed()[0].id)
    assert panel.form.values()["bits"] == changed["schema"]["properties"]["bits"]["default"]
    assert "bits = 3 is not possible; allowed: 4" in panel._notice.plain_text()


def test_a_run_that_cannot_be_renamed_pinned_or_deleted_stays_and_says_why(
    qtbot: Any, panel: LabPanel, runs: Runs
) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3"}))
    panel._show_history(True)
    history = panel._history
    assert history is not None
    history.list.selectAll()
    runs._database.connection.execute("pragma query_only = on")
    for change in (lambda: history.rename(runs.listed()[0].id, "new"), history._pin, history._delete):
        change()
        (box,) = history.findChildren(QMessageBox)
        assert "could not be saved" in box.text()
        box.close()
        qtbot.waitUntil(lambda: not history.findChildren(QMessageBox))
        history.list.selectAll()
    (record,) = runs.listed()
    assert (record.name, record.pinned, history.list.topLevelItemCount()) == ("", False, 1)


def stored_by_another_version(runs: Runs) -> int:
    """The last run, one result of a kind and one with fields that this version does not know; its id."""
    stored = runs.load(runs.listed()[0].id)
    unknown = samples.metric(title=samples.both("全息", "Hologram")) | {"id": "unknown", "kind": "hologram"}
    partial = samples.bits(title=samples.both("半个", "Half a result")) | {"id": "partial"}
    del partial["rows"]
    results = [unknown, *StoredRun.of(stored).results, partial, samples.lines()]
    return runs.save(replace(stored, results=encode(results)))


def test_results_that_another_version_stored_are_named_and_the_others_shown(
    qtbot: Any, panel: LabPanel, runs: Runs
) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3"}))
    panel.open_record(stored_by_another_version(runs))
    qtbot.waitUntil(lambda: "Half a result" in panel._notice.plain_text())
    qtbot.waitUntil(lambda: samples.lines()["id"] in [card.result["id"] for card in panel._results.cards()])
    assert metric_value(panel) == 3
    assert "not shown: Hologram · Half a result." in panel._notice.plain_text()
    assert not {"unknown", "partial"} & {card.result["id"] for card in panel._results.cards()}
    panel.open_record(runs.listed()[1].id)
    assert "not shown" not in panel._notice.plain_text()


def test_a_run_of_another_version_is_not_compared_and_that_is_said(
    qtbot: Any, panel: LabPanel, runs: Runs
) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3"}))
    stored_by_another_version(runs)
    panel._run_bar.runs_button.click()
    panel._history.list.selectAll()
    panel._history._buttons["compare"].click()
    assert panel._history.list.isVisible()
    assert "cannot be read" in panel._history._hint.text()


def test_the_list_of_runs_keeps_what_is_selected_and_the_keyboard(
    qtbot: Any, panel: LabPanel, runs: Runs
) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3"}))
    ended(qtbot, panel, panel.form.reset)
    panel._run_bar.runs_button.click()
    history = panel._history
    history.list.setCurrentItem(history.list.topLevelItem(1))
    selected = history.selected_ids()
    history._buttons["pin"].setFocus()
    history._buttons["pin"].click()
    assert history.selected_ids() == selected
    assert history.list.currentIndex().row() == 1
    assert panel.focusWidget() is history._buttons["pin"]
    history.rename(selected[0], "a long name " * 20)
    assert history.list.columnWidth(0) <= WIDEST_COLUMN
    assert history.list.header().length() <= history.list.viewport().width()
    history._buttons["delete"].click()
    assert panel.focusWidget() is history.list
    assert history.list.currentIndex().row() == 0


def test_history_lists_opens_names_pins_and_deletes(qtbot: Any, panel: LabPanel, runs: Runs) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3"}))
    ended(qtbot, panel, panel.form.reset)
    panel._run_bar.runs_button.click()
    history = panel._history
    texts = [history.list.topLevelItem(row).text(1) for row in range(2)]
    assert texts == ["defaults", "Bits 3 bit"]
    history.rename(runs.listed()[1].id, "before")
    assert history.list.topLevelItem(1).text(0).startswith("before · ")
    history.list.setCurrentItem(history.list.topLevelItem(1))
    history._buttons["pin"].click()
    assert runs.listed()[1].pinned
    history.list.setCurrentItem(history.list.topLevelItem(0))
    history._buttons["delete"].click()
    assert [record.name for record in runs.listed()] == ["before"]
    history.list.setCurrentItem(history.list.topLevelItem(0))
    history._buttons["open"].click()
    assert panel._body.isVisible()
    assert metric_value(panel) == 3


def test_runs_are_compared_side_by_side(qtbot: Any, panel: LabPanel, runs: Runs) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "2"}))
    ended(qtbot, panel, panel.form.reset)
    panel._run_bar.runs_button.click()
    history = panel._history
    history.list.selectAll()
    history._buttons["compare"].click()
    params, figures, *plots = history.compare.cards()
    assert [cell["en"] for cell in params.result["rows"][0]] == ["Bits", "2 bit", "4 bit"]
    assert [cell["en"] for cell in figures.result["rows"][0]] == [
        "SQNR",
        "2\u00a0dB",
        "4\u00a0dB  (+2\u00a0dB)",
    ]
    assert [plot.result["kind"] for plot in plots] == ["histogram", "histogram"]
    assert not history.grab().isNull()


class Pictures(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.classes: set[str | None] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img":
            self.sources.append(str(found["src"]))
            self.classes.add(found.get("class"))
        assert tag != "link"


@pytest.mark.parametrize("kind", ["html", "json", "csv", "png", "svg"])
def test_exports_parse(qtbot: Any, panel: LabPanel, tmp_path: Path, kind: str) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description(), {"bits": "3"}))
    path = tmp_path / f"run.{kind}"
    with qtbot.waitSignal(panel.exported) as saved:
        panel.export_to(path, kind)
    assert saved.args == [str(path)]
    if kind == "json":
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["params"]["bits"] == 3
        assert record["environment"]["cpu"] == "AMD EPYC"
        assert sum(record["results"][1]["series"][0]["counts"]) == 50_000
    elif kind == "csv":
        with zipfile.ZipFile(path) as archive:
            assert set(archive.namelist()) == {"run.json", "sqnr.csv", "weights.csv"}
    elif kind == "html":
        page = path.read_text(encoding="utf-8")
        parser = Pictures()
        parser.feed(page)
        assert parser.classes == {"in-light", "in-dark"}
        assert all(source.startswith("data:image/svg+xml;base64,") for source in parser.sources)
        assert "bits=3" in page
        assert "AMD EPYC" in page
        data = page.split("id='run'>")[1].split("</script>")[0]
        assert json.loads(data)["params"]["bits"] == 3
    else:
        assert path.stat().st_size > 1000


def test_an_export_page_holds_every_kind_and_no_foreign_html(qtbot: Any) -> None:
    from datetime import UTC, datetime

    from gui.lab.export.html_page import html_page
    from gui.lab.runs.stored_run import StoredRun

    evil = samples.markdown(
        body=samples.both(
            "<script>alert(1)</script> ![x](http://x/y.png) [y](javascript:alert(1))",
            "<script>alert(1)</script> ![x](http://x/y.png) [y](javascript:alert(1))",
        )
    )
    results = [*samples.everything(), evil]
    run = StoredRun.new("model/x", {"bits": 3}, samples.ENVIRONMENT, datetime.now(UTC), 1.0, results)
    page = html_page(run, samples.description())
    body = page.split("<script type='application/json'")[0]
    assert "<script>alert" not in body
    assert "http://" not in body
    assert "−0.37\u00a0dB" in body  # the error of a level is a level
    assert 'href="javascript:' not in body
    for result in samples.everything():
        assert result["title"]["en"] in body


def test_a_file_that_cannot_be_written_is_told(qtbot: Any, panel: LabPanel, tmp_path: Path) -> None:
    ended(qtbot, panel, lambda: panel.open(samples.description()))
    panel.export_to(tmp_path / "no" / "such" / "folder.json", "json")
    assert "not written" in panel._notice.plain_text()
