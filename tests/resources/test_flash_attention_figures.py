"""The figures of section 2.1.1 are those that labs.formulas draws today."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resources.figures import generate_flash_attention, generate_quantization

if TYPE_CHECKING:
    import pytest

SHIPPED = Path(generate_flash_attention.__file__).parent


def test_figures_agree_with_the_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_quantization, "FOLDER", tmp_path)
    generate_flash_attention.main()
    drawn = sorted(tmp_path.glob("*.svg"))
    assert len(drawn) == 8
    for figure in drawn:
        shipped = (SHIPPED / figure.name).read_text(encoding="utf-8")
        assert figure.read_text(encoding="utf-8") == shipped, f"regenerate {figure.name}"
