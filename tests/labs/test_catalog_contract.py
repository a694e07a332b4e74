"""What every lab of the catalog keeps to, checked on each: a new file is covered without a line here."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from labs import wire
from labs.context import Context, Session
from labs.model_bounds import model_bounds
from labs.plain_text import render
from labs.registry import CATALOG, load_catalog
from labs.results import Code, Provenance, Result, ResultKind, Trace
from labs.runner import execute
from labs.schema import describe
from labs.spec import Lab, check_layers
from tests.labs.worker_client import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CATALOG_LABS = load_catalog()
LAST_LAYER, MODEL_MISSING = model_bounds(None)

each_lab = pytest.mark.parametrize("lab", CATALOG_LABS.labs.values(), ids=list(CATALOG_LABS.labs))


@pytest.fixture(scope="module")
def session() -> Session:
    """One for all labs, as in a worker: the model is loaded once, and no lab may leave it changed."""
    return Session()


def texts(description: Any) -> Iterator[dict[str, str]]:
    """All bilingual texts in a description."""
    if isinstance(description, dict):
        if set(description) == {"zh", "en"}:
            yield description
        else:
            for value in description.values():
                yield from texts(value)
    elif isinstance(description, list):
        for value in description:
            yield from texts(value)


def fingerprint(session: Session) -> list[float]:
    """A figure for each of the model's tensors that changes with its values."""
    return [float(p.abs().sum()) for p in Context(session).model().model.parameters()]


def is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def test_no_lab_is_broken() -> None:
    assert not CATALOG_LABS.broken, CATALOG_LABS.broken[0].traceback
    assert CATALOG_LABS.labs


@each_lab
def test_it_describes_itself_in_both_languages(lab: Lab) -> None:
    description = describe(lab, CATALOG_LABS.files[lab.id], LAST_LAYER, MODEL_MISSING)
    for text in texts(description):
        assert text["zh"].strip() and text["en"].strip()
        assert not is_chinese(text["en"]), f"the English text has Chinese in it: {text['en']}"
    helps = [p["x-inferlab"]["help"] for p in description["schema"]["properties"].values()]
    stories = [preset["story"] for preset in description["presets"]]
    for text in (description["summary"], *helps, *stories):
        assert is_chinese(text["zh"]), f"not translated: {text['zh']}"
    wire.frame(description)


@each_lab
def test_it_has_its_place_in_the_outline(lab: Lab) -> None:
    outline = (ROOT / "content" / "outline.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^#{4} (\d+(?:\.\d+)+)", outline, re.MULTILINE))
    assert lab.sections and set(lab.sections) <= sections
    for question in lab.questions:
        section, _, number = question.partition("-")
        assert section in sections and number.isdigit()


@each_lab
def test_it_has_presets_within_the_models_bounds(lab: Lab) -> None:
    assert len(lab.presets) >= 2
    for preset in ["default", "smoke", *(preset.id for preset in lab.presets)]:
        params = lab.preset(preset)
        if LAST_LAYER is not None:
            check_layers(params, lambda: LAST_LAYER)
    values = [lab.preset(preset.id) for preset in lab.presets]
    assert all(one != other for i, one in enumerate(values) for other in values[:i]), (
        "two presets are the same"
    )


@each_lab
def test_its_smoke_run(lab: Lab, session: Session) -> None:
    if lab.needs_model and MODEL_MISSING:
        pytest.skip(MODEL_MISSING.en)
    before_run = fingerprint(session) if lab.needs_model else None
    shown: dict[str, Result] = {}
    for result in execute(lab, lab.smoke, Context(session)):
        assert isinstance(result, ResultKind), f"no view for {type(result).__name__}"
        assert result.id, "a result without an id"
        before = shown.get(result.id)
        assert before is None or type(before) is type(result), f"{result.id} changes its kind"
        shown[result.id] = result
    assert shown
    for result in shown.values():
        _check_traceable(result)
        wire.frame(result)
        wire.json_bytes(result)
        assert render(result, "zh") and render(result, "en")
        _check_names(result, shown, lab)
    if lab.needs_model:
        assert fingerprint(session) == before_run, "the lab left the model changed for the next one"


def _check_names(result: Result, shown: dict[str, Result], lab: Lab) -> None:
    """A clock that is no trace of the run, or a parameter that the lab lacks, would do nothing, silently."""
    clock = getattr(result, "clock", "")
    assert not clock or isinstance(shown.get(clock), Trace), (
        f"{result.id} follows {clock!r}, which is no trace"
    )
    edited = [pane.edits for pane in result.panes] if isinstance(result, Code) else []
    edited.append(getattr(result, "edits", ""))
    unknown = set(filter(None, edited)) - set(lab.params.__struct_fields__)
    assert not unknown, f"{result.id} edits {unknown}, which are no parameters"


def _check_traceable(result: Result) -> None:
    """Every figure has a unit (none: dimensionless) and a provenance; what was not measured, a source."""
    assert isinstance(result.provenance, Provenance) and isinstance(result.unit, str)
    traced = result.source or getattr(result, "formula", None)
    if result.provenance in (Provenance.ESTIMATED, Provenance.REPORTED):
        assert traced, f"{result.id} is {result.provenance.value} and names no source"


def test_describing_the_catalog_imports_neither_torch_nor_qt() -> None:
    program = """
import sys
from labs.registry import load_catalog
from labs.model_bounds import model_bounds
from labs.schema import describe
catalog = load_catalog()
for lab_id, lab in catalog.labs.items():
    describe(lab, catalog.files[lab_id], *model_bounds(None))
print([name for name in ("torch", "triton", "transformers", "PySide6", "gui") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_catalog_is_where_the_registry_looks() -> None:
    assert CATALOG.is_dir() and {file.parent for file in CATALOG_LABS.files.values()} <= set(
        CATALOG.iterdir()
    )
