"""Bytes as the generated kernels' own loads and stores move them, held against the formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labs.fusion.compilers.pattern_loops import loops
from labs.fusion.compilers.pattern_triton import Count, alone, count, question
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.results import Column, Markdown, Metric, Provenance, Table
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from labs.context import Context
    from labs.fusion.compilers.fx_costs import Saving
    from labs.fusion.compilers.pattern_matching import Match
    from labs.results import Result

TOLERANCE: Final = 1e-5
FORMULA: Final = Text(
    zh="匹配到的算子各自读写之和，减去融合后的（labs.formulas.fusion，张量大小来自真实执行）",
    en="what the matched operators move alone, less what they move as one kernel (labs.formulas.fusion, "
    "sizes "
    "from a real run)",
)
_COUNTED: Final = Text(
    zh="为每个算子和每个融合各生成一个 Triton kernel，在解释器里跑，数它自己的 load 与 store："
    "每个张量里不同的"
    "字节，各一次",
    en="a Triton kernel for each operator and each fusion, run in the interpreter, its own loads and stores "
    "counted: distinct bytes of each tensor, once",
)


class Counted(NamedTuple):
    """Of one match: its operators as kernels of their own, and the fused one."""

    apart: list[Count]
    fused: Count

    @property
    def before(self) -> int:
        return sum(one.bytes for one in self.apart)

    @property
    def error(self) -> float:
        return max(one.error for one in (*self.apart, self.fused))


def estimated(savings: list[Saving]) -> Metric:
    """Before anything is counted."""
    return Metric(
        id="spared",
        title=Text(zh="省下的读写", en="Bytes spared"),
        provenance=Provenance.ESTIMATED,
        unit="B",
        value=float(sum(one.spared_bytes for one in savings)),
        better="higher",
        source=FORMULA,
    )


def counted(ctx: Context, fused: list[Match], savings: list[Saving]) -> Iterator[Result]:
    """The figure once more, counted; and each match's bytes beside the formula's."""
    title = Text(zh="没有计数", en="Not counted")
    if not HAS_TRITON:
        yield Markdown(id="uncounted", title=title, provenance=Provenance.MEASURED, body=NO_TRITON)
        return
    if not fused:
        return
    ctx.progress(None, Text(zh="在解释器里数读写", en="Counting loads and stores in the interpreter"))
    found = _ask(ctx, fused)
    if all(one.error <= TOLERANCE for one in found):
        yield _spared(found, savings)
    yield _table(fused, found, savings)


def _ask(ctx: Context, fused: list[Match]) -> list[Counted]:
    laid = [loops(match) for match in fused]
    pairs = [(alone(one), question(match.pattern.name, one)) for match, one in zip(fused, laid, strict=True)]
    asked = [one for apart, whole in pairs for one in (*apart, whole)]
    process = kernel_process(ctx, "interpret")
    counts = iter(
        ctx.memo(("pattern counts", repr(asked)), lambda: process.ask(count, ctx.check, asked=asked))
    )
    return [Counted([next(counts) for _ in apart], next(counts)) for apart, _ in pairs]


def _spared(found: list[Counted], savings: list[Saving]) -> Metric:
    return Metric(
        id="spared",
        title=Text(zh="省下的读写", en="Bytes spared"),
        provenance=Provenance.MEASURED,
        unit="B",
        value=float(sum(one.before - one.fused.bytes for one in found)),
        predicted=float(sum(one.spared_bytes for one in savings)),
        formula=FORMULA,
        better="higher",
        source=_COUNTED,
    )


def _table(fused: list[Match], found: list[Counted], savings: list[Saving]) -> Table:
    rows: list[list[Text | float | int | None]] = [
        [
            same(match.pattern.name),
            one.before,
            saving.before_bytes,
            one.fused.bytes,
            saving.after_bytes,
            one.fused.loaded,
            one.error,
        ]
        for match, one, saving in zip(fused, found, savings, strict=True)
    ]
    return Table(
        id="counted",
        title=Text(zh="读写：数出来的与公式", en="Bytes: counted, and by the formula"),
        provenance=Provenance.MEASURED,
        source=_COUNTED,
        wide=True,
        columns=[
            Column(title=Text(zh="模式", en="Pattern")),
            Column(title=Text(zh="逐个算子，数出", en="Apart, counted"), unit="B"),
            Column(title=Text(zh="公式", en="formula"), unit="B"),
            Column(title=Text(zh="融合后，数出", en="Fused, counted"), unit="B"),
            Column(title=Text(zh="公式", en="formula"), unit="B"),
            Column(
                title=Text(zh="全部 load", en="All loads"),
                unit="B",
                help=Text(
                    zh="融合后的 kernel 每次 load 都算，重复读同一个字节（如每块都读的权重向量）也算。",
                    en="Each load of the fused kernel, again where a byte is read again (a weight vector "
                    "that "
                    "every program reads).",
                ),
            ),
            Column(title=Text(zh="与 torch 相差", en="Off torch")),
        ],
        rows=rows,
    )
