"""One run as one page of HTML: readable offline for years, in light and dark, with its data and its
circumstances."""

from __future__ import annotations

import base64
import html
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QWidget

from gui.lab.badge import PROVENANCES, provenance_meaning, provenance_word
from gui.lab.change_text import change_text
from gui.lab.export.code_html import CODE_STYLE, code_colours, code_parts
from gui.lab.export.run_map import record_map
from gui.lab.link import make_link
from gui.lab.number_text import plain, with_unit
from gui.lab.parameter_text import parameter_label, value_text
from gui.lab.playback.clock import Clocks
from gui.lab.runs.stored_run import StoredRun, local_time
from gui.lab.views.view import pick, with_unit_title
from gui.language import language_switch
from gui.theme import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from collections.abc import Iterator

translate = QCoreApplication.translate

WIDTH, WIDE = 640, 960

_STYLE = """
body { margin: 0; background: var(--chrome); color: var(--ink); line-height: 1.55;
  font-family: system-ui, "Noto Sans CJK SC", sans-serif; font-size: 15px }
main { max-width: 1060px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 24px; margin: 0 0 4px }
h2 { font-size: 15px; margin: 0 }
section { background: var(--raised); border: 1px solid var(--rule); border-radius: 8px;
  padding: 14px 18px; margin: 14px 0 }
.metrics { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px }
.metrics section { margin: 0 }
.head { display: flex; gap: 10px; align-items: center; justify-content: space-between; margin-bottom: 8px }
.figure { font-size: 27px; font-weight: 600 }
.badge { font-size: 12px; border: 1px solid; border-radius: 9px; padding: 0 8px; white-space: nowrap }
.muted { color: var(--muted) }
.measured { color: var(--measured) }
.simulated { color: var(--simulated) }
.estimated { color: var(--estimated) }
.reported { color: var(--reported) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: 14px }
th { text-align: left; color: var(--muted); font-weight: 600 }
th, td { padding: 5px 10px; border-bottom: 1px solid var(--rule) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
tr.mark td { background: var(--selection); font-weight: 600 }
img { max-width: 100%; height: auto; display: block; margin: 0 auto }
img.in-dark { display: none }
code { background: var(--code); border-radius: 4px; padding: 1px 5px; word-break: break-all }
@media (prefers-color-scheme: dark) { img.in-dark { display: block } img.in-light { display: none } }
"""


def html_page(run: StoredRun, description: dict[str, Any]) -> str:
    """In the current language. No script runs; the data stands in it as JSON."""
    return "\n".join(html_parts(run, description))


def html_parts(run: StoredRun, description: dict[str, Any]) -> Iterator[str]:
    """The page in parts: a plot takes some 50 ms, so a window takes one part a turn of its event loop."""
    title = pick(description["title"])
    data = json.dumps(record_map(run), ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    yield from (
        f"<!doctype html><html lang='{language_switch.current}'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'><meta name='color-scheme' content='light dark'>",
        f"<title>{html.escape(title)} · InferLab</title>",
        f"<style>{_colours()}{_STYLE}{CODE_STYLE}</style></head>",
        "<body><main>",
        f"<h1>{html.escape(title)}</h1><p class='muted'>{html.escape(pick(description['summary']))}</p>",
        _circumstances(run, description),
    )
    yield from _results(run)
    yield f"<script type='application/json' id='run'>{data}</script></main></body></html>"


def _colours() -> str:
    def block(theme: Theme) -> str:
        names = ["ink", "muted", "rule", "chrome", "raised", "code", "selection", *PROVENANCES]
        plain = "".join(f"--{name}:{getattr(theme, name)};" for name in names)
        return f":root{{{plain}{code_colours(theme)}}}"

    return f"{block(LIGHT)}@media (prefers-color-scheme:dark){{{block(DARK)}}}"


def _circumstances(run: StoredRun, description: dict[str, Any]) -> str:
    record, schema = run.record, description["schema"]
    defaults = {name: prop["default"] for name, prop in schema.get("properties", {}).items()}
    changed = {name: value for name, value in record.params.items() if defaults.get(name) != value}
    params = [(parameter_label(schema, n), _parameter(schema, n, v)) for n, v in record.params.items()]
    about = [
        (translate("HtmlExport", "Started"), local_time(record.started)),
        (translate("HtmlExport", "Took"), f"{record.seconds:.2f} s"),
        (translate("HtmlExport", "Seed"), str(record.seed)),
        (translate("HtmlExport", "InferLab"), record.app_version),
    ]
    about += [(str(key), str(value)) for key, value in record.environment.items() if value is not None]
    link = f"<p><code>{html.escape(make_link(record.lab, changed))}</code></p>"
    heading = translate("HtmlExport", "Parameters")
    circumstances = translate("HtmlExport", "When, where, with what")
    return (
        f"<section><div class='head'><h2>{heading}</h2></div>{_pairs(params)}{link}</section>"
        f"<details><summary class='muted'>{circumstances}</summary>"
        f"<section>{_pairs(about)}</section></details>"
    )


def _parameter(schema: dict[str, Any], name: str, value: Any) -> str:
    """Code in full: the page stands alone."""
    return value if isinstance(value, str) and "\n" in value else value_text(schema, name, value)


def _pairs(pairs: list[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td class='muted'>{html.escape(k)}</td><td>{_words(v)}</td></tr>" for k, v in pairs)
    return f"<div class='scroll'><table>{rows}</table></div>"


def _words(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>" if "\n" in text else html.escape(text)


def _results(run: StoredRun) -> Iterator[str]:
    """Neighbouring metrics stand in one row, as on the screen."""
    in_metrics = False
    around = _replayed(run)
    for result in run.results:
        metric = result["kind"] == "metric"
        if metric != in_metrics:
            yield "<div class='metrics'>" if metric else "</div>"
            in_metrics = metric
        yield from _section(result, around)
    if in_metrics:
        yield "</div>"
    around.deleteLater()


def _replayed(run: StoredRun) -> QWidget:
    """The widget around all pictures: recorded runs stand in them where their traces begin to be shown."""
    around = QWidget()
    clocks = Clocks(around)
    around.clocks = clocks  # type: ignore[attr-defined]
    for result in run.results:
        if result["kind"] == "trace":
            clocks.clock(result["id"]).load_trace(result)
    return around


def _section(result: dict[str, Any], around: QWidget) -> Iterator[str]:
    makers = {"metric": _metric, "table": _table, "markdown": _prose, "trace": _trace}
    maker = makers.get(result["kind"])
    source = f"<p class='muted'>{html.escape(pick(result['source']))}</p>" if result.get("source") else ""
    badge = _badge(result["provenance"]) if result["kind"] != "markdown" else ""
    title = html.escape(pick(result["title"]))
    yield f"<section><div class='head'><h2>{title}</h2>{badge}</div>"
    if result["kind"] == "code":
        yield from code_parts(result)
    else:
        yield maker(result) if maker else _pictures(result, around)
    yield f"{source}</section>"


def _badge(provenance: str) -> str:
    meaning = html.escape(provenance_meaning(provenance))
    return f"<span class='badge {provenance}' title='{meaning}'>{provenance_word(provenance)}</span>"


def _metric(result: dict[str, Any]) -> str:
    unit, value = result.get("unit") or "", result.get("value")
    lines = [f"<div class='figure'>{html.escape(with_unit(value, unit))}</div>"]
    if result.get("low") is not None and result.get("high") is not None:
        lines.append(
            f"<div class='muted'>{with_unit(result['low'], unit)} – {with_unit(result['high'], unit)}</div>"
        )
    predicted = result.get("predicted")
    if predicted is not None:
        error = change_text(value, predicted, unit) if value is not None else ""
        theory = translate("HtmlExport", "theory {value}").format(value=with_unit(predicted, unit))
        lines.append(
            f"<div><span class='muted'>{html.escape(theory)}</span> {error} {_badge('estimated')}</div>"
        )
        if result.get("formula"):
            lines.append(f"<div class='muted'>{html.escape(pick(result['formula']))}</div>")
    return "".join(lines)


def _table(result: dict[str, Any]) -> str:
    columns, rows = result["columns"], result["rows"]
    numeric = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    head = "".join(
        f"<th{_number(number)}>{html.escape(with_unit_title(column['title'], column.get('unit') or ''))}</th>"
        for column, number in zip(columns, numeric, strict=True)
    )
    lines = []
    for index, row in enumerate(rows):
        cells = "".join(
            f"<td{_number(number)}>{html.escape(_cell(cell))}</td>"
            for cell, number in zip(row, numeric, strict=True)
        )
        mark = " class='mark'" if index == result.get("highlight") else ""
        lines.append(f"<tr{mark}>{cells}</tr>")
    return f"<div class='scroll'><table><tr>{head}</tr>{''.join(lines)}</table></div>"


def _trace(result: dict[str, Any]) -> str:
    """A page does not play: how many events of which kind, and the one at which the pictures stand."""
    from gui.lab.views.event_text import EventTexts

    count = len(result["times"])
    if not count:
        return ""
    at = count - 1 if result.get("at") is None else int(result["at"])
    text = (
        translate("HtmlExport", "The pictures show event {number} of {count}: {text}")
        if result.get("steps")
        else translate("HtmlExport", "The pictures show event {number} of {count}, at {time}: {text}")
    )
    time, told = with_unit(float(result["times"][at]), "s"), EventTexts(result).text(at)
    shown = text.format(number=at + 1, count=count, time=time, text=told)
    counts = Counter(result["kind_index"].tolist())
    pairs = [(pick(kind["name"]), plain(counts[place])) for place, kind in enumerate(result["kinds"])]
    return f"<p>{html.escape(shown)}</p>{_pairs(pairs)}"


def _cell(cell: Any) -> str:
    return pick(cell) if isinstance(cell, dict | str) else plain(cell)


def _number(number: bool) -> str:
    return " class='n'" if number else ""


def _prose(result: dict[str, Any]) -> str:
    from gui.lab.export.safe_markdown import to_html

    return to_html(pick(result["body"]))


def _pictures(result: dict[str, Any], around: QWidget) -> str:
    """The view drawn in both themes; the reader's own setting picks one."""
    from gui.lab.views import make_view

    view = make_view(result["kind"])
    view.setParent(around)
    view.show_result(result)
    view.settle()
    width = WIDE if result.get("wide") or view.shape == "wide" else WIDTH
    height = view.heightForWidth(width) if view.hasHeightForWidth() else max(300, view.sizeHint().height())
    view.resize(width, height)
    alt = html.escape(pick(result["title"]), quote=True)
    parts = []
    for theme in (LIGHT, DARK):
        view.restyle(theme)
        data = base64.b64encode(view.to_svg()).decode()
        parts.append(f"<img class='in-{theme.name}' alt='{alt}' src='data:image/svg+xml;base64,{data}'>")
    view.deleteLater()
    return "".join(parts)
