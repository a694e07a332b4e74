"""The texts that InferLab ships for perplexity and calibration; see ``resources/texts/README.md``."""

from __future__ import annotations

import difflib
from pathlib import Path

from labs.spec import LabError
from labs.text import Text

_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "texts"


def load_text(name: str) -> str:
    """The text of ``resources/texts/NAME.txt``, such as ``evaluation.en``; LabError lists the names."""
    known = sorted(path.stem for path in _FOLDER.glob("*.txt"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint_zh, hint_en = (f"；是否指 {near[0]!r}？", f"; did you mean {near[0]!r}?") if near else ("", "")
        listed = ", ".join(known)
        zh, en = f"没有文本 {name!r}{hint_zh} 可用：{listed}", f"no text {name!r}{hint_en} Known: {listed}"
        raise LabError(Text(zh=zh, en=en))
    return (_FOLDER / f"{name}.txt").read_text(encoding="utf-8")
