"""Figures: found inside the content only, in the right language, in the colours of the theme."""

from __future__ import annotations

from pathlib import Path

import pytest

from gui.reading.figure import FigureStore, find_figure, natural_size, recoloured
from gui.theme import DARK, LIGHT

SAMPLES = Path(__file__).parent / "samples"
FIGURES = SAMPLES / "figures"


def find(source: str, language: str = "zh") -> Path | None:
    return find_figure(source, SAMPLES, FIGURES, language)


def test_figures_are_found_by_language() -> None:
    assert find("figures/levels.svg") == FIGURES / "levels.svg"
    assert find("resources/figures/levels.svg") == FIGURES / "levels.svg"
    assert find("figures/levels.svg", "en") == FIGURES / "levels.en.svg"
    assert find("figures/levels.en.svg", "en") == FIGURES / "levels.en.svg"


@pytest.mark.parametrize(
    "source",
    [
        "figures/none.svg",
        "figures/../figures/levels.svg",
        "../reading/samples/figures/levels.svg",
        str(FIGURES / "levels.svg"),
        (FIGURES / "levels.svg").as_uri(),
        "https://example.org/levels.svg",
        "data:image/svg+xml,levels.svg",
        "figures\\levels.svg",
        "figures//levels.svg",
        "notes/1.2.1/07-sample.md",
        "",
    ],
)
def test_all_else_is_refused(source: str) -> None:
    assert find(source) is None


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "secret.svg").write_text("<svg/>")
    (tmp_path / "figures" / "x.svg").symlink_to(tmp_path / "secret.svg")
    assert find_figure("figures/x.svg", tmp_path / "content", tmp_path / "figures") is None


def test_colours_follow_the_theme() -> None:
    svg = (FIGURES / "levels.svg").read_text(encoding="utf-8")
    dark = recoloured(svg, DARK)
    assert recoloured(svg, LIGHT) == svg.replace("#57606a", LIGHT.muted)
    for old, new in (("#1f2328", DARK.ink), ("#57606a", DARK.muted), (LIGHT.series[0], DARK.series[0])):
        assert old not in dark
        assert new in dark


def test_a_figure_is_parsed_once_and_again_when_it_changes(qapp: object, tmp_path: Path) -> None:
    store = FigureStore()
    path = tmp_path / "x.svg"
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 20"/>')
    picture = store.picture(path, LIGHT)
    assert picture is not None
    assert natural_size(picture).width() == 30
    assert store.picture(path, LIGHT) is picture
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><image href="/etc/x.png"/></svg>'
    )
    assert store.picture(path, LIGHT) is None
    path.unlink()
    assert store.picture(path, LIGHT) is None
