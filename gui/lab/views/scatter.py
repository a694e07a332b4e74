"""Points, with reference series as lines behind them: a roofline and what stands under it."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from gui.lab.views.lines import LinesView
from gui.lab.views.plot import hover_card, hover_row
from gui.lab.views.points import Points
from gui.lab.views.view import pick


class ScatterView(LinesView):
    def _colours(self, series: list[dict[str, Any]]) -> list[str]:
        """Several roofs are told apart by the colours that the points have left over; one alone is grey."""
        colours = super()._colours(series)
        roofs = _roofs(series)
        if len(roofs) > 1:
            for place, index in enumerate(roofs):
                colours[index] = self.series_colour(len(series) - len(roofs) + place)
        return colours

    def _draw_curve(self, one: dict[str, Any], xs: Any, ys: Any, colour: str) -> None:
        if one.get("reference"):
            super()._draw_curve(one, xs, ys, colour)
            return
        good = np.isfinite(xs) & np.isfinite(ys)
        if not good.any():
            return
        self.plot.addItem(Points(xs[good], ys[good], 9, colour, self.theme.raised))

    def swatch(self, one: dict[str, Any]) -> str:
        return super().swatch(one) if one.get("reference") else "point"

    def pen_width(self, one: dict[str, Any], few: bool) -> int:
        return 2 if few and len(_roofs(self.result["series"])) > 1 else 1  # a thin line has little colour

    def hover_text(self, x: float, y: float) -> tuple[float, str] | None:
        """The point nearest to the pointer on the screen."""
        (x_low, x_high), (y_low, y_high) = self.plot.vb.viewRange()
        best: tuple[float, str, str, int, Any, Any] | None = None
        for (colour, name, xs, ys), one in zip(self._points, self.result["series"], strict=True):
            if one.get("reference") or not len(xs):
                continue
            far = ((xs - x) / (x_high - x_low)) ** 2 + ((ys - y) / (y_high - y_low)) ** 2
            if not np.isfinite(far).any():
                continue
            index = int(np.nanargmin(far))
            if best is None or far[index] < best[0]:
                best = (float(far[index]), colour, name, index, (xs, ys), one)
        if best is None:
            return None
        _, colour, name, index, (xs, ys), one = best
        labels = one.get("labels") or []
        shown = f"{name} · {pick(labels[index])}" if index < len(labels) else name
        title = f"{html.escape(pick(self.result['x']['title']))} {self.canvas.x_axis.value_text(xs[index])}"
        row = hover_row(colour, html.escape(shown), self.canvas.y_axis.value_text(ys[index]))
        return float(xs[index]), hover_card(title, [row], self.theme.muted)


def _roofs(series: list[dict[str, Any]]) -> list[int]:
    return [index for index, one in enumerate(series) if one.get("reference")]
