"""Each language's parts are found, line by line, whatever was opened before."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gui.lab.code.highlighting import LANGUAGES, ROLES, spans
from labs.languages import LANGUAGES as DECLARED


def parts(language: str, line: str, state: str = "") -> dict[str, str]:
    return {line[start:end]: role for start, end, role in spans(language, line, state)[0]}


@pytest.mark.parametrize(
    ("language", "line", "expected"),
    [
        (
            "python",
            "def f(x=1.5e-3): return 'a'  # why",
            {
                "def": "keyword",
                "f": "name",
                "1.5e-3": "number",
                "return": "keyword",
                "'a'": "string",
                "# why": "comment",
            },
        ),
        ("python", "@triton.jit", {"@triton.jit": "directive"}),
        (
            "cpp",
            "__global__ void f(float* x) // y",
            {"__global__": "keyword", "void": "keyword", "f": "name", "float": "keyword", "// y": "comment"},
        ),
        ("ptx", "\tmov.u32 \t%r1, %ctaid.x;", {"mov.u32": "keyword", "%ctaid.x": "name"}),
        (
            "ptx",
            "\t@%p1 ld.global.b32 {%r5}, [%rd1 + 16];",
            {"@%p1": "directive", "ld.global.b32": "keyword", "16": "number", "%r5": None},
        ),
        ("ptx", "\tmul.f32 \t%f7, %f6, 0f3FB8AA3B;", {"mul.f32": "keyword", "0f3FB8AA3B": "number"}),
        (
            "sass",
            "/*0010*/ @!P0 HMMA.16816.F32 R4, R8, R12, RZ ;",
            {"/*0010*/": "comment", "@!P0": "directive", "HMMA.16816.F32": "keyword"},
        ),
        (
            "amdgcn",
            "\tv_mfma_f32_32x32x8_f16 a[0:15], v[2:3] ; c",
            {"v_mfma_f32_32x32x8_f16": "keyword", "a[0:15]": "name", "v[2:3]": "name", "; c": "comment"},
        ),
        (
            "ttir",
            "%4 = tt.load %3 : tensor<8xf32>",
            {"4": None, "tt.load": "keyword", "tensor": "name", "f32": "name"},
        ),
        ("llvm", "12: ; preds", {"12:": "directive", "; preds": "comment"}),
        (
            "hlo",
            "ROOT %r = f32[2] reduce(%a)",
            {"ROOT": "directive", "f32": "name", "2": "number", "reduce": "keyword"},
        ),
        ("text", "def f(): 1", {}),
        ("unheard of", "def f(): 1", {}),
    ],
)
def test_the_parts_of_a_line(language: str, line: str, expected: dict[str, str | None]) -> None:
    found = parts(language, line)
    assert {part: found.get(part) for part in expected} == expected
    assert expected or not found


@pytest.mark.parametrize(
    ("language", "lines", "state"),
    [
        ("python", ['x = """a', "b # no comment"], '"""'),
        ("cpp", ["f(); /* a", "int b"], "/*"),
        ("ptx", ["/* a", "mov.u32"], "/*"),
    ],
)
def test_what_another_line_closes(language: str, lines: list[str], state: str) -> None:
    first, after = spans(language, lines[0])
    assert after == state
    second, after = spans(language, lines[1], after)
    assert second == [(0, len(lines[1]), first[-1][2])] and after == state
    closing = LANGUAGES[language].opens[state][0]
    _, after = spans(language, f"{closing} 1", after)
    assert after == ""


def test_parts_do_not_overlap_and_have_known_roles() -> None:
    lines = ['f"{x!r}" + """a""" # b', "", '"open', "'''", "/**/ */", "\\", "é\U0001f600 = 1"]
    for language in LANGUAGES:
        for line in lines:
            found, _ = spans(language, line)
            assert all(role in ROLES and start < end for start, end, role in found)
            assert all(one[1] <= other[0] for one, other in pairwise(found))


def test_the_window_highlights_what_labs_may_declare() -> None:
    assert set(LANGUAGES) == set(DECLARED)
