"""Code on an exported page, and the new kinds in every export."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

from gui.lab.export.formats import csv_archive
from gui.lab.export.html_page import html_page
from gui.lab.export.run_map import json_text
from gui.lab.runs.stored_run import StoredRun
from tests.gui.lab import kernel_samples as kernels
from tests.gui.lab import samples


def ran(*results: dict[str, Any], **params: Any) -> StoredRun:
    return StoredRun.new("operator/x", params, samples.ENVIRONMENT, datetime.now(UTC), 1.0, list(results))


def test_a_page_has_the_code_in_full_coloured_and_with_its_marks(qtbot: Any) -> None:
    evil = kernels.pane("<b>", "python", "x = '<script>alert(1)</script>'\n")
    code = kernels.code(panes=[*kernels.failing_code()["panes"], evil])
    page = html_page(ran(code), samples.description())
    body = page.split("<script type='application/json'")[0]
    assert "<span class='keyword'>def</span> <span class='name'>softmax_kernel</span>" in body
    assert "<span class='m-error'>    ▸ no expp in triton.language; exp?</span>" in body
    assert "<script>alert" not in body and "<h3>&lt;b&gt;</h3>" in body
    assert body.count("<i>") == kernels.SOURCE.count("\n") + 1
    assert "--t-keyword:" in body and "prefers-color-scheme:dark" in body


def test_a_parameter_that_is_code_stands_in_full(qtbot: Any) -> None:
    page = html_page(ran(samples.metric(), note="a = 1\nb = 2\n"), samples.description())
    assert "<pre>a = 1\nb = 2\n</pre>" in page


def test_pages_archives_and_records_hold_the_new_kinds(qtbot: Any) -> None:
    nodes = [kernels.node(f"op_{place}", 0) for place in range(100)]  # laid out in slices, elsewhere
    large = kernels.graph(id="large", nodes=nodes, edges=[], groups=[])
    run = ran(kernels.tile_trace(), kernels.code(), kernels.tiles(), kernels.graph(), large)
    page = html_page(run, samples.description())
    assert page.count("class='in-light'") == 3  # tiles and graphs are pictures
    with zipfile.ZipFile(io.BytesIO(csv_archive(run))) as archive:
        assert {f"{name}.csv" for name in ("code", "tiles", "graph", "large")} <= set(archive.namelist())
        assert archive.read("large.csv").decode("utf-8-sig").count("\n") == 101
    stored = json.loads(json_text(run))["results"]
    assert stored[1]["panes"][2]["links"] == kernels.ptx_pane()["links"].tolist()
    assert stored[2]["runs"]["row"] == kernels.tiles()["runs"]["row"].tolist()
