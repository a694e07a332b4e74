"""Formulas: what is set, what is refused, and what becomes of one that fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gui.reading.formula import EM, FormulaStore, typeset
from gui.reading.formula_check import check_formula
from gui.reading.mathml import prepared

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
        r"\bigcup_i A_i \nexists x",
    ],
)
def test_sound_formulas_pass_and_are_drawn(tex: str) -> None:
    assert check_formula(tex) is None
    formula = typeset(tex, display=False)
    assert formula.error == ""
    assert formula.width > 0.3
    assert formula.ascent > 0.3


@pytest.mark.parametrize(
    ("tex", "said"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (r"\text{中文}", "outside of the formula"),
        ("x，y", "outside of the formula"),
        (r"\operatorname*{argmin}_x", r"write \mathrm{argmin}"),
        (r"\sum\limits_i x", "above and below in a display"),
        (r"\bigoplus_i V_i", r"write \sum"),
        (r"\begin{array}{c|c} a & b \end{array}", "columns without |"),
        (r"\begin{array}{cc} a \\ \hline b \end{array}", "leave them out"),
        (r"a \\[4pt] b", r"write \\ alone"),
        (r"\mathtt{x}", r"write \mathrm"),
        (r"\mathsf{x}", r"write \mathrm"),
        (r"\mathbf{1}", "plain digit"),
        (r"a \not= b", r"write \neq"),
        (r"\color{red}{x}", "leave it out"),
        (r"a $ b", "end the formula"),
        (r"\nosuchcommand x", r"unknown command \nosuchcommand"),
        (r"\frac{a", "not balanced"),
        ("a}", "not balanced"),
        (r"\left( x", "not understood"),
        ("a_", "not understood"),
    ],
)
def test_what_would_be_drawn_wrongly_is_refused_with_what_to_write_instead(tex: str, said: str) -> None:
    assert said in (check_formula(tex) or "")


def points(tex: str, display: bool) -> list[tuple[float, float]]:
    """What is drawn, in em, y downwards from the line. A \\phantom leaves no ink."""
    paths = re.findall(r' d="([^"]*)"', typeset(tex, display).svg)
    pairs = [pair for path in paths for pair in re.findall(r"([-\d.]+)[ ,]+([-\d.]+)", path)]
    return [(float(x) / EM, float(y) / EM) for x, y in pairs]


def ink(tex: str, display: bool) -> tuple[float, float]:
    """How far what is drawn reaches above and below the line, in em."""
    heights = [y for _x, y in points(tex, display)]
    return -min(heights), max(heights)


@pytest.mark.parametrize("display", [True, False])
@pytest.mark.parametrize(
    "inside", [r"\sum_i x_i", r"\sum_{i=1}^n x_i", r"\prod_t p_t", r"\frac{\sum_i a_i}{b}"]
)
def test_brackets_fit_what_stands_between_them(inside: str, display: bool) -> None:
    content = typeset(inside, display)
    above, below = ink(rf"\left( \phantom{{{inside}}} \right)", display)
    assert above > 0.9 * content.ascent
    assert below > 0.9 * content.depth
    # As far above the middle of the line, a quarter em high, as below; and no further than needed.
    reach = max(content.ascent - 0.25, content.depth + 0.25)
    assert above + below < 2 * reach + 0.5


@pytest.mark.parametrize(
    "fence", [r"\left| {} \right|", r"\left\lfloor {} \right\rfloor", r"\left[ {} \right]"]
)
def test_brackets_made_of_parts_reach_below_a_deep_fraction(fence: str) -> None:
    inside = r"\frac{a}{\frac{b}{\frac{c}{\frac{d}{e}}}}"
    _above, below = ink(fence.format(rf"\phantom{{{inside}}}"), True)
    assert below > 0.95 * typeset(inside, True).depth


@pytest.mark.parametrize(
    "fenced", [r"\lVert W \rVert", r"\lvert W \rvert", r"\Vert W \Vert", r"\lceil W \rceil", "|W|"]
)
def test_fences_without_left_and_right_do_not_grow(fenced: str) -> None:
    beside = ink(rf"{fenced} \phantom{{\frac{{a}}{{b}}^2_F}}", False)
    assert beside == pytest.approx(ink(fenced, False), abs=0.01)


@pytest.mark.parametrize("display", [True, False])
@pytest.mark.parametrize(
    "inside", [r"\tfrac{a}{b}", r"\frac{a}{b}", r"\sum_i x_i", "x", r"\frac1D\sum_j x_j^2+\epsilon"]
)
def test_a_root_covers_its_content_from_top_to_foot(inside: str, display: bool) -> None:
    content, root = typeset(inside, display), typeset(rf"\sqrt{{{inside}}}", display)
    above, below = ink(rf"\sqrt{{\phantom{{{inside}}}}}", display)
    assert above > content.ascent
    assert below > content.depth - 0.01
    assert root.depth == pytest.approx(below, abs=0.02)


def test_a_sum_in_a_line_is_as_high_beside_a_fraction_as_alone() -> None:
    assert ink(r"\sum \phantom{\frac{a}{b}}", False) == pytest.approx(ink(r"\sum", False), abs=0.01)


@pytest.mark.parametrize(
    ("tex", "alike"),
    [
        (r"\binom{n}{k}", r"\left( {n \atop k} \right)"),
        (r"\binom{n_{1}}{k_{2}}", r"\left( {n_{1} \atop k_{2}} \right)"),
        (r"\binom nk", r"\left( {n \atop k} \right)"),
    ],
)
@pytest.mark.parametrize("display", [True, False])
def test_the_brackets_of_a_binomial_fit_it(tex: str, alike: str, display: bool) -> None:
    drawn, meant = typeset(tex, display), typeset(alike, display)
    assert drawn.height == pytest.approx(meant.height, abs=0.02)
    assert drawn.width == pytest.approx(meant.width, abs=0.05)


def test_big_brackets_have_the_sizes_that_tex_gives_them() -> None:
    above, below = ink(r"\bigl( \phantom{x} \bigr)", False)
    assert 1.15 < above + below < 1.45
    above, below = ink(r"\Bigl( \phantom{x} \Bigr)", False)
    assert 1.55 < above + below < 1.95


@pytest.mark.parametrize("sign", [r"\cup", r"\cap", r"\land", r"\lor", r"\sim", r"\setminus", r"\bmod"])
def test_operators_keep_their_distance(sign: str) -> None:
    left = min(x for x, _y in points(rf"\phantom{{a}} {sign} b", False))
    assert left > typeset("a", False).width + 0.15


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
def test_rows_that_group_nothing_change_no_drawing(tex: str) -> None:
    import ziamath
    from ziamath.tex import tex2mml

    ziamath.config.svg2 = False
    mathml = tex2mml(tex)
    assert ziamath.Math(prepared(mathml), size=100).svg() == ziamath.Math(mathml, size=100).svg()


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
