"""What ziamath 0.13 sets wrongly, set right in its own way: the class of a node registers for a MathML tag.

Import this before the first formula is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ziafont.fonttypes import BBox
from ziamath.nodes.moperator import Moperator
from ziamath.nodes.mroot import Mroot, Msqrt

if TYPE_CHECKING:
    from collections.abc import Callable


class Operator(Moperator, tag="mo"):  # type: ignore[call-arg, misc]
    """Sums grow in a display and do not stretch; brackets reach as far below the axis as above it."""

    def _setup(self, **kwargs: Any) -> None:
        least = self.element.get("minsize", "")
        if least.endswith("em"):
            # \\bigl and its kin: ziamath's em is a third larger than that of the font.
            self.height = float(least[:-2]) * self.glyphsize
        if self.params.get("largeop") == "true":
            # While brackets are measured, what stretches counts as nothing, and limits stand on nothing.
            self.params["stretchy"] = "false"
        elif "rowymin" in kwargs:
            # Assembled of parts, a bracket is as high as its part above the axis asks, whatever is below.
            axis = self.units_to_points(self.font.math.consts.axisHeight)
            reach = max(kwargs["rowymax"] - axis, axis - kwargs["rowymin"])
            kwargs |= {"rowymin": axis - reach, "rowymax": axis + reach}
        super()._setup(**kwargs)


class Root(Mroot, tag="mroot"):  # type: ignore[call-arg, misc]
    """A root whose sign reaches down to the foot of what it covers."""

    def _setup(self, **kwargs: Any) -> None:
        _set_in_the_middle(self, super()._setup, kwargs)


class SquareRoot(Msqrt, tag="msqrt"):  # type: ignore[call-arg, misc]
    """The same without a degree."""

    def _setup(self, **kwargs: Any) -> None:
        _set_in_the_middle(self, super()._setup, kwargs)


def _set_in_the_middle(root: Any, setup: Callable[..., None], kwargs: dict[str, Any]) -> None:
    """ziamath chooses the sign by the height of the base alone, and hangs it from the bar, a gap above. Here
    the gap counts, too, and half of what the sign is too long is above, half below (TeXbook, appendix G, rule
    11)."""
    consts, base = root.font.math.consts, root.base
    gap = consts.radicalDisplayStyleVerticalGap if root.style.displaystyle else consts.radicalVerticalGap
    left, right, foot, top = base.bbox
    low = foot - root.units_to_points(gap + consts.radicalRuleThickness)
    sign = root.font.math.variant(root.font.glyphindex("√"), root.points_to_units(top - low))
    spare = root.units_to_points(sign.bbox.ymax - sign.bbox.ymin) - (top - low)
    # Less than the half of it, or rounding might ask for a longer sign.
    side = max(0.0, 0.49 * spare)
    base.bbox = BBox(left, right, low - side, top + side)
    setup(**kwargs)
    base.bbox = BBox(left, right, foot, top)
    drawn, y = root.nodes[-3], root.nodexy[-3][1]  # the sign; then come the base and the bar
    root.bbox = root.bbox._replace(ymin=min(foot, drawn.bbox.ymin - y))
