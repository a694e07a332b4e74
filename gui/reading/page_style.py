"""The page's style sheet, in the colours of a theme, at a zoom: only what QTextDocument reads of CSS."""

from __future__ import annotations

import re
from functools import lru_cache
from string import Template
from typing import TYPE_CHECKING

from PySide6.QtGui import QFont

if TYPE_CHECKING:
    from gui.theme import Theme

TEXT_PX = 16
# The widest line that still reads well: about 45 Chinese characters, 95 Latin letters.
MEASURE_PX = 760
TEXT_FAMILIES = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "sans-serif",
)
_CODE_FAMILIES = "'JetBrains Mono','SF Mono',Consolas,'DejaVu Sans Mono','Noto Sans Mono CJK SC',monospace"

# QTextDocument drops the lower margin of what stands before a table: tables bring their own above.
# "-qt-line-height-type: minimum" and not a percentage, which would stretch lines with tall formulas too.
_SHEET = Template("""
p, li { line-height: 27px; -qt-line-height-type: minimum; }
p { margin-top: 0px; margin-bottom: 12px; }
ul, ol { margin-top: 0px; margin-bottom: 12px; }
li { margin-top: 2px; margin-bottom: 3px; }
li p { margin-bottom: 6px; }
a { color: $accent; text-decoration: none; }
strong { font-weight: 600; }
sup a { text-decoration: none; }
h2 { font-weight: 600; margin-top: 2px; margin-bottom: 12px; color: $ink; }
h3 { font-weight: 600; margin-top: 30px; margin-bottom: 12px; color: $ink; }
h4 { font-weight: 600; margin-top: 18px; margin-bottom: 8px; color: $ink; }
h5 { font-weight: 600; margin-top: 14px; margin-bottom: 6px; color: $muted; }
code { font-family: $code_families; font-size: 14px; background-color: $code; }
.crumbs { color: $muted; font-size: 13px; margin-bottom: 6px; margin-right: 44px; line-height: 20px; }
.crumbs a { color: $muted; }
.meta { margin-bottom: 18px; }
.muted { color: $muted; }
.display { margin-top: 8px; margin-bottom: 18px; line-height: 100%; -qt-line-height-type: proportional; }
.figure { margin-top: 10px; margin-bottom: 16px; line-height: 100%; -qt-line-height-type: proportional; }
.caption { color: $muted; font-size: 14px; }
table.data { border-collapse: collapse; border-width: 0px; margin-top: 14px; margin-bottom: 14px; }
table.data th { background-color: $chrome; font-weight: 600; padding: 7px 12px; border-width: 0px;
    border-bottom-width: 1px; border-bottom-style: solid; border-bottom-color: $muted; text-align: left; }
table.data td { padding: 7px 12px; border-width: 0px; border-bottom-width: 1px; border-bottom-style: solid;
    border-bottom-color: $rule; }
table.code { background-color: $code; margin-top: 14px; margin-bottom: 14px; border-width: 0px; }
td.code-head { padding: 5px 14px 0px 14px; }
td.code-body { padding: 2px 14px 10px 14px; }
.code-language { font-size: 12px; color: $muted; }
a.copy { font-size: 12px; color: $muted; }
pre { font-family: $code_families; font-size: 14px; margin: 0px; white-space: pre-wrap; line-height: 22px;
    -qt-line-height-type: minimum; }
.k { color: $keyword; } .s { color: $good; } .n { color: $warn; } .c { color: $muted; font-style: italic; }
.f { color: $function; } .b { color: $keyword; } .p { color: $muted; } .o { color: $muted; } .e { color:
    $bad; }
table.box { background-color: $chrome; margin-top: 14px; margin-bottom: 14px; border-width: 0px; }
td.bar { background-color: $accent; padding: 0px; }
td.box-body { padding: 10px 16px 10px 14px; }
td.box-body p { margin-bottom: 10px; }
p.admonition-title { font-weight: 600; margin-bottom: 4px; color: $accent; }
table.answer { background-color: $answer; }
table.quote td.bar { background-color: $rule; }
table.tip td.bar, table.hint td.bar { background-color: $good; }
table.warning td.bar, table.attention td.bar, table.caution td.bar, table.banner td.bar { background-color:
    $warn; }
table.danger td.bar, table.error td.bar { background-color: $bad; }
table.warning p.admonition-title, table.attention p.admonition-title { color: $warn; }
table.tip p.admonition-title, table.hint p.admonition-title { color: $good; }
table.danger p.admonition-title, table.error p.admonition-title { color: $bad; }
.footnote p, .footnote li { font-size: 14px; line-height: 23px; margin-bottom: 4px; color: $muted; }
.foot-title { color: $muted; font-size: 13px; font-weight: 600; margin-top: 26px; margin-bottom: 6px; }
.foot li { margin-bottom: 2px; }
table.neighbours { margin-top: 22px; border-width: 0px; }
table.neighbours td { padding: 10px 14px; background-color: $chrome; }
table.neighbours p { margin-bottom: 0px; line-height: 23px; font-size: 14px; }
table.neighbours p.label { color: $muted; font-size: 12px; }
""")
_NARROW = """
table.data th, table.data td { padding: 6px 5px; font-size: 14px; }
td.code-head { padding: 5px 8px 0px 8px; }
td.code-body { padding: 2px 8px 8px 8px; }
pre { font-size: 13px; }
td.box-body { padding: 8px 10px 8px 10px; }
"""
_LENGTH = re.compile(r"(\d+)px")


@lru_cache(maxsize=8)
def page_style(theme: Theme, zoom: float, narrow: bool = False) -> str:
    """The sheet for ``document.setDefaultStyleSheet``; every length grows with ``zoom``.

    ``narrow`` sets tables tighter, for a page beside a lab.
    """
    sheet = _SHEET.template + (_NARROW if narrow else "")
    scaled = _LENGTH.sub(lambda match: f"{_length(int(match.group(1)), zoom)}px", sheet)
    return Template(scaled).substitute(
        ink=theme.ink,
        muted=theme.muted,
        rule=theme.rule,
        chrome=theme.chrome,
        code=theme.code,
        accent=theme.accent,
        good=theme.good,
        warn=theme.warn,
        bad=theme.bad,
        keyword=theme.accent,
        function=theme.series[3] if theme.dark else theme.simulated,
        answer=theme.chrome,
        code_families=_CODE_FAMILIES,
    )


def page_font(zoom: float) -> QFont:
    """The body's font; its pixel size is the em that formulas and chips are drawn to."""
    font = QFont()
    font.setFamilies(list(TEXT_FAMILIES))
    font.setPixelSize(round(TEXT_PX * zoom))
    # Hinting moves letters to whole pixels, which shows as uneven spacing at fractional zooms.
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def _length(px: int, zoom: float) -> int:
    return max(1, round(px * zoom)) if px else 0
