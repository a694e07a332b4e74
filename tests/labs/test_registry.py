"""A file is a lab; a bad file hides no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labs.registry import BrokenLabError, load_catalog
from labs.spec import UsageError
from tests.labs.fake_catalog import write_lab

if TYPE_CHECKING:
    from pathlib import Path


def test_good_labs_are_found_beside_broken_ones(fake_catalog: Path) -> None:
    catalog = load_catalog(fake_catalog)
    assert {"model/good", "model/printing", "model/slow"} <= set(catalog.labs)
    assert catalog.files["model/good"] == fake_catalog / "model" / "good.py"
    assert all(lab.id == lab_id for lab_id, lab in catalog.labs.items())


@pytest.mark.parametrize(
    ("lab_id", "reason"),
    [
        ("model/misspelt", "SyntaxError: invalid syntax"),
        ("model/missing_import", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("model/untranslated", "ValueError: a text needs both languages"),
        ("model/exits", "SystemExit: 1"),
        ("model/no_lab", "TypeError: no_lab.py defines no LAB"),
        (
            "model/moved",
            "ValueError: LAB.id is 'model/misplaced', but the file's place makes it 'model/moved'",
        ),
        ("elsewhere/stray", "ValueError: labs live in model, operator, system, hardware, not in 'elsewhere'"),
    ],
)
def test_broken_files_say_why(fake_catalog: Path, lab_id: str, reason: str) -> None:
    catalog = load_catalog(fake_catalog)
    assert lab_id not in catalog.labs
    entry = next(entry for entry in catalog.broken if entry.id == lab_id)
    assert entry.file == str(fake_catalog / f"{lab_id}.py")
    assert reason in entry.traceback
    with pytest.raises(BrokenLabError) as error:
        catalog.find(lab_id)
    assert reason.split(":")[0] in str(error.value)


def test_a_traceback_begins_in_the_lab(fake_catalog: Path) -> None:
    entry = next(e for e in load_catalog(fake_catalog).broken if e.id == "model/untranslated")
    frames = [line for line in entry.traceback.splitlines() if line.startswith("  File ")]
    assert "untranslated.py" in frames[0]


def test_private_files_are_no_labs(fake_catalog: Path) -> None:
    catalog = load_catalog(fake_catalog)
    assert not any("not_a_lab" in lab_id for lab_id in [*catalog.labs, *(e.id for e in catalog.broken)])


def test_a_lab_that_no_form_could_show_is_broken(tmp_path: Path) -> None:
    body = """
    class Params(LabParams):
        shape: Annotated[list[int], described("形状", "Shape")] = [1]
        bits: Annotated[int, described("位宽", "Bits")] = 4

    def run(params, ctx):
        yield
    """
    write_lab(tmp_path, "model/list_valued", body, extra="").write_text(
        write_lab(tmp_path, "model/list_valued", body).read_text().split("    presets=[")[0] + ")\n"
    )
    catalog = load_catalog(tmp_path)
    assert not catalog.labs and len(catalog.broken) == 1


def test_an_unknown_lab_is_refused_with_the_nearest(fake_catalog: Path) -> None:
    with pytest.raises(UsageError, match="no lab 'model/goood'; did you mean 'model/good'"):
        load_catalog(fake_catalog).find("model/goood")


def test_an_empty_folder_has_no_labs(tmp_path: Path) -> None:
    catalog = load_catalog(tmp_path)
    assert not catalog.labs and not catalog.broken
    with pytest.raises(UsageError, match=r"no lab 'x'\. Known: -"):
        catalog.find("x")
