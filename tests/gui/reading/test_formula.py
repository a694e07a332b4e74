"""Formulas: what is set, what is refused, and what becomes of one that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gui.reading.formula import FormulaStore, flattened, typeset
from gui.reading.formula_check import check_formula

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "tex",
    [
        r"s=\frac{\max|x|}{2^{b-1}-1}",
        r"\left\lfloor \frac{x}{s} \right\rceil",
        r"\begin{cases} a & x > 0 \\ b & x \le 0 \end{cases}",
        r"\mathbb{R}^{m \times n}",
        r"\operatorname{clamp}(x)",
        r"\text{if } x",
        r"\{ x \}",
        r"\mathbf{x}",
    ],
)
def test_sound_formulas_pass_and_are_drawn(tex: str) -> None:
    assert check_formula(tex) is None
    formula = typeset(tex, display=False)
    assert formula.error == ""
    assert formula.width > 0.3
    assert formula.ascent > 0.3


@pytest.mark.parametrize(
    "tex",
    [
        "",
        "  ",
        r"\text{中文}",
        "x，y",
        r"\operatorname*{argmin}_x",
        r"\sum\limits_i x",
        r"\begin{array}{c|c} a & b \end{array}",
        r"\begin{array}{cc} a \\ \hline b \end{array}",
        r"a \\[4pt] b",
        r"\mathtt{x}",
        r"\mathsf{x}",
        r"\mathbf{1}",
        r"\nosuchcommand x",
        r"\frac{a",
        "a}",
        r"\left( x",
        "a_",
    ],
)
def test_what_would_be_drawn_wrongly_is_refused(tex: str) -> None:
    assert check_formula(tex)


def test_a_fraction_reaches_below_the_line_and_a_letter_does_not() -> None:
    assert typeset("x", False).depth < 0.05
    assert typeset(r"\frac{a}{b}", False).depth > 0.3
    assert typeset(r"\frac{a}{b}", True).height > typeset(r"\frac{a}{b}", False).height


def test_a_hat_leaves_no_gap_at_its_left() -> None:
    assert typeset(r"\hat{x}", False).width < typeset("x", False).width + 0.2


@pytest.mark.parametrize(
    "tex",
    [
        r"q = \mathrm{clamp}\left(\left\lfloor \frac{x}{s} \right\rceil + z,\ 0\right)",
        r"\frac{a^{2}}{b_{i}} + x^{-}",
        r"\sum_{i=1}^{n} {x} {=} {y}",
        r"\begin{cases} a & b \\ c & d \end{cases}",
        r"a \\ b",
    ],
)
def test_flattening_changes_no_drawing(tex: str) -> None:
    import ziamath
    from ziamath.tex import tex2mml

    ziamath.config.svg2 = False
    mathml = tex2mml(tex)
    assert ziamath.Math(flattened(mathml), size=100).svg() == ziamath.Math(mathml, size=100).svg()


def test_a_failed_formula_carries_its_source(tmp_path: Path) -> None:
    formula = FormulaStore(tmp_path).get(r"\frac{a", display=False)
    assert formula.svg == ""
    assert formula.error
    assert formula.tex == r"\frac{a"
    assert formula.width > 3


def test_formulas_are_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = FormulaStore(tmp_path).get("x^2", display=False)

    def refuse(tex: str, display: bool) -> None:
        raise AssertionError("set a second time")

    monkeypatch.setattr("gui.reading.formula.typeset", refuse)
    assert FormulaStore(tmp_path).get("x^2", display=False) == first
    with pytest.raises(AssertionError):
        FormulaStore(tmp_path).get("x^2", display=True)


def test_a_broken_cache_is_replaced(tmp_path: Path) -> None:
    first = FormulaStore(tmp_path).get("x", display=False)
    for kept in tmp_path.iterdir():
        kept.write_text("{", encoding="utf-8")
    assert FormulaStore(tmp_path).get("x", display=False) == first


def test_pictures_take_the_colour(qapp: object, tmp_path: Path) -> None:
    store = FormulaStore(tmp_path)
    red, blue = store.picture("x", False, "#ff0000"), store.picture("x", False, "#0000ff")
    assert red.isValid()
    assert red is not blue
    assert store.picture("x", False, "#ff0000") is red
