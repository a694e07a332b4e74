"""A saved picture's lines are as wide in a viewer that does not know strokes that do not scale."""

from __future__ import annotations

import re
from typing import Any

import pytest
from PySide6.QtCore import QByteArray
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from gui.lab.views import make_view, view
from gui.lab.views.plain_strokes import plain_strokes
from tests.gui.lab import samples


def group(matrix: str, body: str) -> str:
    return f'<g fill="none" transform="matrix({matrix})"\nfont-size="11" \n>\n{body}\n</g>'


LINE = '<polyline fill="none" vector-effect="non-scaling-stroke" points="1.5,2 -3,1e+02 " />'


def test_lines_are_written_in_the_pictures_own_units() -> None:
    svg = plain_strokes(group("2,0,0,-10,30,40", LINE))
    assert "matrix(1,0,0,1,0,0)" in svg and 'points="33,20 24,-960 "' in svg
    assert "vector-effect" not in svg


def test_what_only_moves_stays_and_loses_the_effect() -> None:
    assert plain_strokes(group("1,0,0,1,7,8", LINE)) == group("1,0,0,1,7,8", LINE).replace(
        ' vector-effect="non-scaling-stroke"', ""
    )


def test_a_scaled_group_with_more_than_lines_stays() -> None:
    mixed = group("2,0,0,2,0,0", LINE + '\n<rect vector-effect="non-scaling-stroke" x="1" y="2" />')
    assert plain_strokes(mixed) == mixed


@pytest.mark.parametrize("kind", ["lines", "scatter", "histogram", "heatmap", "bars", "bits"])
def test_no_saved_stroke_needs_the_effect_and_the_picture_stays(
    qtbot: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = make_view(kind)
    qtbot.addWidget(shown)
    shown.resize(549, 400)
    shown.show()
    shown.show_result(getattr(samples, kind)())
    after = shown.to_svg()
    monkeypatch.setattr(view, "plain_strokes", lambda svg: svg)
    before = shown.to_svg()
    assert b"non-scaling-stroke" in before or kind in ("bars", "bits")
    for scaled in re.findall(rb'<g [^>]*matrix\(([^)]*)\)"[^>]*>\s*<[^>]*non-scaling-stroke', after):
        assert scaled.startswith(b"1,0,0,1,")
    assert differing(rendered(before), rendered(after)) < 0.002


def rendered(svg: bytes) -> QImage:
    """By Qt, which knows the effect."""
    image = QImage(549, 400, QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    painter = QPainter(image)
    QSvgRenderer(QByteArray(svg)).render(painter)
    painter.end()
    return image


def differing(one: QImage, other: QImage) -> float:
    """The share of bytes that are far from one another: a dash or a smooth edge may move by rounding."""
    pairs = zip(bytes(one.constBits()), bytes(other.constBits()), strict=True)
    return sum(abs(a - b) > 64 for a, b in pairs) / one.sizeInBytes()
