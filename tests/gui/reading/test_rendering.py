"""Markdown to the page's HTML: what is kept, what is drawn, what is refused, and what the cache saves."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gui.reading.rendering import Renderer, render_markdown

if TYPE_CHECKING:
    from pathlib import Path

    from gui.library.notes import Note
    from gui.reading.formula import FormulaStore


def html(body: str, formulas: FormulaStore) -> str:
    return render_markdown(body, formulas).html


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        "a <b onclick='x()'>b</b>",
        "<img src='file:///etc/passwd'>",
        "<style>p {}</style>",
        "<iframe src='https://example.org'></iframe>",
        "| a |\n|---|\n| <script>x</script> |",
    ],
)
def test_raw_html_is_text(body: str, formulas: FormulaStore) -> None:
    made = html(body, formulas)
    assert "&lt;" in made
    for tag in ("<script", "<b ", "<img", "<style", "<iframe"):
        assert tag not in made


@pytest.mark.parametrize(
    "target",
    ["javascript:alert(1)", "file:///etc/passwd", "/etc/passwd", "../x.md", "data:text/html,x", "ftp://x"],
)
def test_refused_links_are_plain_text(target: str, formulas: FormulaStore) -> None:
    made = html(f"[words]({target})", formulas)
    assert "words" in made
    assert "href" not in made


@pytest.mark.parametrize("target", ["https://example.org/x", "lab:model/x?bits=4", "note:1.2.1-08", "#原理"])
def test_allowed_links_stay(target: str, formulas: FormulaStore) -> None:
    assert f'href="{target}"' in html(f"[words]({target})", formulas)


def test_images_are_figures_by_name_only(formulas: FormulaStore) -> None:
    made = html("![c](https://example.org/x.png)", formulas)
    assert 'src="figure:https://example.org/x.png"' in made
    assert 'src="http' not in made


def test_formulas_are_left_alone_by_markdown(formulas: FormulaStore) -> None:
    made = html("$a_b*c*$ and $x_1$, `$code$`, \\$5 and \\$6\n\n$$\n\\sum_i x_i\n$$\n", formulas)
    assert made.count("formula-inline:") == 2
    assert made.count("formula-display:") == 1
    assert "<em>" not in made
    assert "<code>$code$</code>" in made
    assert "$5 and $6" in made


def test_a_formula_may_hold_the_bar_that_parts_a_table(formulas: FormulaStore) -> None:
    made = html("| a | b |\n|---|---|\n| $|x|$ | 2 |\n", formulas)
    assert "formula-inline:%7Cx%7C" in made
    assert made.count("<td") == 2


def test_no_line_starts_with_the_comma_after_a_formula(formulas: FormulaStore) -> None:
    made = html("令 $x$，则 $y$大。", formulas)
    assert 'src="formula-inline:x|%EF%BC%8C" />则' in made
    assert 'src="formula-inline:y" />大。' in made


def test_code_is_coloured_and_copied_without_prompts(formulas: FormulaStore) -> None:
    made = render_markdown("```pycon\n>>> for x in y:\n...     f(x)\n1 < 2\n```\n", formulas)
    assert made.code == ("for x in y:\n    f(x)\n",)
    assert '<span class="k">for</span>' in made.html
    assert "1 &lt; 2" in made.html
    assert 'href="copy:0"' in made.html


def test_code_of_an_unknown_language_is_plain(formulas: FormulaStore) -> None:
    made = render_markdown("```nolanguage\n<a>\n```\n", formulas)
    assert "&lt;a&gt;" in made.html
    assert made.code == ("<a>\n",)


def test_code_inside_a_list_stays_there(formulas: FormulaStore) -> None:
    made = html("- a\n\n    ```python\n    x\n    ```\n\n- b\n", formulas)
    assert made.count("<ul>") == 1
    assert made.index('<table class="code"') < made.index("</ul>")


def test_contents_number_equal_headings(formulas: FormulaStore) -> None:
    contents = render_markdown("## A b\n\n### $x$\n\n## A b\n", formulas).contents
    assert contents == ((2, "A b", "A-b"), (3, "x", "x"), (2, "A b", "A-b-2"))


def test_the_answer_stands_in_a_box(formulas: FormulaStore) -> None:
    made = html("## Answer\n\nsaid\n\n## How it works\n\nmore\n", formulas)
    assert made.index("box answer") < made.index("said") < made.index("</table>") < made.index("more")


def test_footnotes_link_both_ways(formulas: FormulaStore) -> None:
    made = html("a[^n]\n\n[^n]: b\n", formulas)
    for part in ('id="fnref:n"', 'href="#fn:n"', 'id="fn:n"', 'href="#fnref:n"'):
        assert part in made


def test_a_rendering_is_kept_and_follows_the_file(
    sample: Note, tmp_path: Path, formulas: FormulaStore
) -> None:
    renderer = Renderer(tmp_path, formulas)
    first = renderer.render(sample.read("zh"))
    kept = list((tmp_path / "notes").glob("*.json"))
    assert len(kept) == 1
    assert first.front == sample.read("zh").front
    assert renderer.render(sample.read("zh")) == first
    assert renderer.render(sample.read("en")) != first
    kept[0].write_text('{"html": 1', encoding="utf-8")
    assert renderer.render(sample.read("zh")) == first


def test_a_page_is_rendered_anew_when_formulas_are_set_otherwise(
    sample: Note, tmp_path: Path, formulas: FormulaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    Renderer(tmp_path, formulas).render(sample.read("zh"))
    monkeypatch.setattr("gui.reading.rendering.FORMULA_VERSION", -1)
    Renderer(tmp_path, formulas).render(sample.read("zh"))
    assert len(list((tmp_path / "notes").glob("*.json"))) == 2


def test_an_unwritable_cache_costs_only_time(sample: Note, tmp_path: Path, formulas: FormulaStore) -> None:
    (tmp_path / "notes").write_text("a file where the folder should be")
    assert "<h3" in Renderer(tmp_path, formulas).render(sample.read("zh")).html


def test_the_view_imports_no_markdown_pygments_or_ziamath() -> None:
    code = (
        "import sys, gui.reading.note_view;"
        "print([m for m in ('markdown', 'pygments', 'ziamath', 'yaml', 'numpy') if m in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
