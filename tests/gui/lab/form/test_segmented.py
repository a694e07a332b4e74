"""A segmented control in one row, and in several where that is too narrow."""

from __future__ import annotations

from typing import Any

import pytest

from gui.lab.form.segmented import FRAME, Segment, Segmented

WORDS = ["residual stream", "attention input", "MLP input", "down_proj input"]


@pytest.fixture
def control(qtbot: Any) -> Segmented:
    control = Segmented(WORDS)
    qtbot.addWidget(control)
    control.set_labels(WORDS, "")
    return control


@pytest.mark.parametrize(("share", "rows"), [(1.5, 1), (1.0, 1), (0.8, 2), (0.3, 4), (0.1, 4)])
def test_every_word_is_in_sight_in_as_many_rows_as_it_takes(
    control: Segmented, share: float, rows: int
) -> None:
    width = max(round(control.sizeHint().width() * share), control.minimumSizeHint().width())
    control.resize(width, control.heightForWidth(width))
    control.show()
    segments = control.findChildren(Segment)
    assert len({segment.y() for segment in segments}) == rows
    assert all(segment.width() >= segment.sizeHint().width() for segment in segments)
    inside = control.rect().adjusted(FRAME, FRAME, -FRAME, -FRAME)
    assert all(inside.contains(segment.geometry()) for segment in segments)
    apart = [(one, other) for one in segments for other in segments if one is not other]
    assert not any(one.geometry().intersects(other.geometry()) for one, other in apart)
    assert max(segment.geometry().bottom() for segment in segments) == inside.bottom()
