"""The arrows of the design, held by parsing the imports.

``main → gui``; ``gui ⇢ labs.worker`` as a process only; ``catalog → algorithms, formulas → spec, results``.
Imports within functions count: a lazy arrow is an arrow. Imports for type checkers only do not.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

# What serves labs to a shell or a window. Labs and algorithms know nothing of it. (``labs.wire`` is how any
# two processes talk, a kernel's own child too.)
SERVING = {
    f"labs.{name}"
    for name in (
        "__main__",
        "command_line",
        "environment",
        "outbox",
        "plain_text",
        "registry",
        "requests",
        "runner",
        "schema",
        "streams",
        "structure_text",
        "worker",
    )
}
HEAVY = {"torch", "triton", "transformers", "gguf", "safetensors", "tokenizers"}


class Import(NamedTuple):
    module: str
    line: int
    lazy: bool  # within a function


def imports_of(source: str) -> Iterator[Import]:
    """All imports that can happen when the program runs; ``from a import b`` counts as ``a.b``."""
    yield from _imports(ast.parse(source), lazy=False)


def _imports(node: ast.AST, lazy: bool) -> Iterator[Import]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for child in node.orelse:
            yield from _imports(child, lazy)
        return
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, lazy) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "a relative import hides where an arrow points"
        yield from (Import(f"{node.module}.{alias.name}", node.lineno, lazy) for alias in node.names)
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, lazy)


def within(module: str, packages: set[str]) -> bool:
    """Whether ``module`` is one of ``packages`` or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def files(*patterns: str) -> list[Path]:
    return sorted({file for pattern in patterns for file in ROOT.glob(pattern)})


def arrows(paths: list[Path]) -> Iterator[tuple[str, Import]]:
    for path in paths:
        for found in imports_of(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(ROOT)}:{found.line} imports {found.module}", found


def forbidden(paths: list[Path], packages: set[str]) -> list[str]:
    return [text for text, found in arrows(paths) if within(found.module, packages)]


def test_gui_computes_nothing() -> None:
    paths = files("gui/**/*.py", "main.py")
    assert paths
    assert forbidden(paths, HEAVY | {"labs"}) == []


def test_labs_show_nothing() -> None:
    paths = files("labs/**/*.py")
    assert paths
    assert forbidden(paths, {"PySide6", "pyqtgraph", "gui", "main", "transformers"}) == []


def test_labs_and_algorithms_know_nothing_of_who_serves_them() -> None:
    paths = files("labs/*/**/*.py")
    assert paths
    assert forbidden(paths, SERVING) == []


def test_one_file_is_one_lab() -> None:
    """No lab imports another, and nothing imports a lab: the registry finds it by its place."""
    assert forbidden(files("labs/**/*.py", "gui/**/*.py"), {"labs.catalog"}) == []


def test_labs_import_what_is_heavy_when_they_run() -> None:
    paths = files("labs/*.py", "labs/catalog/**/*.py")
    eager = [text for text, found in arrows(paths) if within(found.module, HEAVY) and not found.lazy]
    assert eager == []


def test_formulas_need_nothing_but_python() -> None:
    paths = files("labs/formulas/*.py")
    assert paths
    allowed = set(sys.stdlib_module_names) | {"labs.formulas"}
    assert [text for text, found in arrows(paths) if not within(found.module, allowed)] == []


def test_no_files_import_one_another_in_a_circle() -> None:
    """Nor within functions: of two such files neither can be understood or moved without the other."""
    paths = files("gui/**/*.py", "labs/**/*.py", "main.py")
    modules = {str(path.relative_to(ROOT).with_suffix("")).replace("/", "."): path for path in paths}
    assert circle({name: _imported(path, modules) for name, path in modules.items()}) == []


def _imported(path: Path, modules: dict[str, Path]) -> set[str]:
    """The files among ``modules`` that this one takes something from; ``a.b.c`` may be ``c`` of ``a.b``."""
    named = {found.module for found in imports_of(path.read_text(encoding="utf-8"))}
    return {part for name in named for part in (name, name.rpartition(".")[0]) if part in modules}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of ``graph``, its first node repeated at its end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


def test_what_the_simulator_drives_needs_no_tensors() -> None:
    """Importing it, whatever it imports in turn, leaves torch alone: a simulation is light."""
    code = (
        "import sys, labs.simulator.simulator, labs.simulator.disaggregation, labs.simulator.cost, "
        "labs.engine.static_scheduler, labs.engine.policies, labs.engine.recording\n"
        "sys.exit(', '.join({'torch', 'triton', 'tokenizers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("labs/text.py", {"msgspec"}),
        ("labs/results/*.py", {"msgspec", "numpy", "labs.languages", "labs.results", "labs.text"}),
        ("labs/spec.py", {"msgspec", "labs.languages", "labs.text"}),
    ],
)
def test_the_contracts_know_no_algorithm(pattern: str, allowed: set[str]) -> None:
    allowed |= set(sys.stdlib_module_names)
    paths = files(pattern)
    assert paths
    assert [text for text, found in arrows(paths) if not within(found.module, allowed)] == []


def test_an_import_is_seen_wherever_it_stands() -> None:
    source = """
from __future__ import annotations
import os.path
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import torch
else:
    import numpy
class A:
    import struct
    def f(self):
        if True:
            from labs import worker
        return lambda: __import__("json")
try:
    import triton
except ImportError:
    from a.b import c as d, e
"""
    found = [(each.module, each.lazy) for each in imports_of(source)]
    assert found == [
        ("__future__.annotations", False),
        ("os.path", False),
        ("typing.TYPE_CHECKING", False),
        ("numpy", False),
        ("struct", False),
        ("labs.worker", True),
        ("triton", False),
        ("a.b.c", False),
        ("a.b.e", False),
    ]


def test_a_package_is_not_its_namesake() -> None:
    assert within("labs.worker", {"labs"}) and within("labs", {"labs"})
    assert not within("labsmith", {"labs"}) and not within("torchvision", {"torch"})
