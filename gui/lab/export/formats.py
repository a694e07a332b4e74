"""A run as a file: JSON with all data, CSV tables in a ZIP, a picture of the results, or one page of HTML."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

from gui.lab.export.html_page import html_parts
from gui.lab.export.run_map import json_text, record_map
from gui.lab.runs.stored_run import StoredRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PySide6.QtWidgets import QWidget


def suggested_name(run: StoredRun, suffix: str) -> str:
    stamp = run.record.started.astimezone().strftime("%Y%m%d-%H%M%S")
    return f"{run.record.lab.replace('/', '-')}-{stamp}.{suffix}"


def export_steps(
    path: Path, kind: str, run: StoredRun, description: dict[str, Any], results: QWidget
) -> Iterator[None]:
    """Write a file: ``kind`` is ``html``, ``json``, ``csv``, ``png`` or ``svg``; pictures are of ``results``
    as it stands. Each step is short, and the file is written in the last. Raises OSError."""
    from gui.lab.views.view import render_png, render_svg

    if kind == "html":
        parts = []
        for part in html_parts(run, description):
            parts.append(part)
            yield
        path.write_text("\n".join(parts), encoding="utf-8")
    elif kind == "json":
        path.write_text(json_text(run), encoding="utf-8")
    elif kind == "csv":
        path.write_bytes(csv_archive(run))
    elif kind == "png":
        path.write_bytes(render_png(results, 2.0))
    else:
        path.write_bytes(render_svg(results, run.record.lab))


def csv_archive(run: StoredRun) -> bytes:
    """A ZIP with one CSV a result, and ``run.json`` with what it was run with and on."""
    from gui.lab.views import make_view

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        about = record_map(StoredRun(run.record, []))
        archive.writestr("run.json", json.dumps(about, ensure_ascii=False, indent=1))
        for result in run.results:
            view = make_view(result["kind"])
            view.show_result(result)
            # Spreadsheets take UTF-8 for what it is only with the mark at its start.
            archive.writestr(f"{_file_name(result['id'])}.csv", "\ufeff" + view.to_csv())
            view.deleteLater()
    return out.getvalue()


def _file_name(result_id: str) -> str:
    return re.sub(r"[^\w.-]+", "-", result_id)
