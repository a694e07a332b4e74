"""A saved picture names fonts that a viewer elsewhere can fall back to."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gui.lab.views import make_view
from gui.lab.views.svg_fonts import with_fallbacks
from tests.gui.lab import kernel_samples, samples


def test_the_generic_name_comes_last_and_once(qtbot: Any) -> None:
    svg = with_fallbacks('<text font-family="monospace"/><text font-family="Noto Sans,PingFang SC"/>')
    assert 'font-family="DejaVu Sans Mono,Consolas,Menlo,monospace"' in svg
    assert 'font-family="Noto Sans,PingFang SC,sans-serif"' in svg
    assert with_fallbacks(svg) == svg


@pytest.mark.parametrize("result", [samples.lines(), samples.bits(), kernel_samples.code()])
def test_every_text_of_a_picture_has_a_fallback_of_its_sort(qtbot: Any, result: dict[str, Any]) -> None:
    view = make_view(result["kind"])
    qtbot.addWidget(view)
    view.resize(549, 400)
    view.show()
    view.show_result(result)
    lists = re.findall(r'font-family="([^"]*)"', view.to_svg().decode())
    last = {families.rsplit(",", 1)[-1] for families in lists}
    assert "sans-serif" in last and last <= {"sans-serif", "monospace"}
    assert ("monospace" in last) == (result["kind"] != "lines")
