"""Finding the labs: every file in a folder of the catalog is one; one that fails to import hides no other."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from labs.schema import json_schema
from labs.spec import Lab, unknown_name

if TYPE_CHECKING:
    from types import ModuleType

CATALOG = Path(__file__).parent / "catalog"
GROUPS = ("model", "operator", "system", "hardware")


class BrokenLab(msgspec.Struct, frozen=True):
    """A lab file that could not be read; ``file`` is its path, ``id`` the id that it would have had."""

    id: str
    file: str
    traceback: str


class Catalog(msgspec.Struct, frozen=True):
    """The labs by id, in order of their ids, the file of each, and the files that failed."""

    labs: dict[str, Lab]
    files: dict[str, Path]
    broken: list[BrokenLab]

    def find(self, lab_id: str) -> Lab:
        """The lab with this id. UsageError names the nearest one, BrokenLabError the file that failed."""
        if lab_id in self.labs:
            return self.labs[lab_id]
        for entry in self.broken:
            if entry.id == lab_id:
                raise BrokenLabError(entry)
        raise unknown_name("lab", "实验", lab_id, list(self.labs))


class BrokenLabError(Exception):
    """Our bug, not the user's: the lab exists, and its file does not import."""

    def __init__(self, entry: BrokenLab) -> None:
        super().__init__(f"{entry.file} does not import: {entry.traceback.strip().splitlines()[-1]}")
        self.entry = entry


def load_catalog(folder: Path = CATALOG) -> Catalog:
    """Import every ``<group>/<name>.py`` under ``folder``; a name that starts with ``_`` is not a lab."""
    catalog = Catalog({}, {}, [])
    for file in sorted(folder.glob("*/*.py")):
        if file.name.startswith("_"):
            continue
        lab_id = f"{file.parent.name}/{file.stem}"
        try:
            catalog.labs[lab_id] = _load(file, lab_id, folder)
            catalog.files[lab_id] = file
        except (Exception, SystemExit) as error:
            catalog.broken.append(BrokenLab(lab_id, str(file), _traceback(error)))
    return catalog


def _load(file: Path, lab_id: str, folder: Path) -> Lab:
    if file.parent.name not in GROUPS:
        raise ValueError(f"labs live in {', '.join(GROUPS)}, not in {file.parent.name!r}")
    lab = getattr(_module(file, folder), "LAB", None)
    if not isinstance(lab, Lab):
        raise TypeError(f"{file.name} defines no LAB of type labs.spec.Lab")
    if lab.id != lab_id:
        raise ValueError(f"LAB.id is {lab.id!r}, but the file's place makes it {lab_id!r}")
    json_schema(lab.params)  # a lab that no form could show is broken too
    return lab


def _module(file: Path, folder: Path) -> ModuleType:
    """The module of a lab file, imported once. A folder other than ours gets names that clash with none."""
    package = "labs.catalog" if folder == CATALOG else f"catalog_{abs(hash(folder)):x}"
    name = f"{package}.{file.parent.name}.{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Type hints of the parameters are resolved through sys.modules while the file is still being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _traceback(error: BaseException) -> str:
    """The traceback without the frames of this file and of the import machinery: it begins in the lab."""
    frames = error.__traceback__
    while frames and ("importlib" in (at := frames.tb_frame.f_code.co_filename) or at == __file__):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))
