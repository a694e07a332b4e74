"""Dynamo on a reader's function: where it breaks, with line and reason, and what is wrong with a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from labs.fusion.compilers.dynamo_child import Explained, explained
from labs.fusion.compilers.dynamo_subjects import FUNCTIONS
from labs.fusion.compilers.dynamo_views import handed_bytes, results
from labs.inspection.process import HAS_TRITON
from labs.results import Code, Table

if TYPE_CHECKING:
    from labs.inspection.process import KernelProcess

pytestmark = pytest.mark.skipif(not HAS_TRITON, reason="the child process has Triton")
T, C, F = 3, 8, 16
MENDED = """import torch

def forward(residual, delta, w_norm):
    h = residual + delta
    y = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 1e-5)
    return torch.where(y > 1, 1 - y, y) * w_norm, h
"""


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    make = np.random.default_rng(0)
    shapes = {"x": (T, C), "residual": (T, C), "delta": (T, C), "gate": (T, F), "up": (T, F), "w_norm": (C,)}
    shapes |= {"w_gate": (F, C), "w_up": (F, C), "w_down": (C, F)}
    return {name: make.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def line_of(source: str, text: str) -> int:
    return next(number for number, line in enumerate(source.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("subject", "breaking", "handed"),
    [
        ("mlp", [".max() > 1000", "print("], 1 + 4 * T * F + 4 * T * C),  # the comparison, inner; y
        ("norm", [".item()"], 4 + 4 * T * C),  # the mean that becomes a number, h
        ("chain", ["a.sum(-1) > 0"], 4 * T * F + T),  # a, and which rows
    ],
)
def test_every_break_has_its_line_and_a_reason(
    subject: str, breaking: list[str], handed: int, compiler: KernelProcess, tensors: dict[str, np.ndarray]
) -> None:
    source = FUNCTIONS[subject]
    found = compiler.ask(explained, source=source, tensors=tensors)
    assert found.fault is None
    assert [one.line for one in found.breaks] == [line_of(source, text) for text in breaking]
    assert all(one.reason for one in found.breaks)
    assert len(found.graphs) == len(breaking) + 1 and handed_bytes(found.graphs) == handed
    shown = {one.id: one for one in results(source, found)}
    code, table = shown["code"], shown["breaks"]
    assert isinstance(code, Code) and [one.line for one in code.panes[0].marks] == [
        one.line for one in found.breaks
    ]
    assert isinstance(table, Table) and all(row[2] is not None for row in table.rows)  # every one explained
    lines = {one.line for graph in found.graphs for one in graph}
    assert line_of(source, "def forward") + 1 in lines


def test_a_function_without_a_break_is_one_graph_and_hands_nothing_over(
    compiler: KernelProcess, tensors: dict[str, np.ndarray]
) -> None:
    found = compiler.ask(explained, source=MENDED, tensors=tensors)
    assert not found.breaks and len(found.graphs) == 1 and handed_bytes(found.graphs) == 0


@pytest.mark.parametrize(
    ("source", "line", "told"),
    [
        ("def forward(x):\n    return x.nothing()\n", 2, "nothing"),
        ("def forward(x:\n", 1, "SyntaxError"),
        ("def forward(z):\n    return z\n", 0, "no tensor `z`"),
        ("y = 1\n", 0, "no function `forward`"),
    ],
)
def test_what_is_wrong_with_a_text_is_told_with_its_line(
    source: str, line: int, told: str, compiler: KernelProcess, tensors: dict[str, np.ndarray]
) -> None:
    fault = compiler.ask(explained, source=source, tensors=tensors).fault
    assert fault is not None and fault.line == line and told in fault.text
    (code,) = results(source, Explained([], [], [], fault))
    assert isinstance(code, Code) and code.panes[0].marks[0].role == "error"
