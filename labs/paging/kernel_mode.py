"""The Triton kernel without a GPU: checked in the interpreter, its loads counted, compiled for chips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.formulas.occupancy import MULTIPROCESSORS
from labs.formulas.paged_attention import Traffic, decode_traffic
from labs.inspection.compiled import TARGETS, Compiled
from labs.inspection.process import HAS_TRITON, kernel_process
from labs.ops.checks import Check, compiled_kernels, interpreted_check
from labs.ops.paged_attention import OPERATOR, ROWS, TILE, lengths_of
from labs.results import Column, Markdown, Metric, Provenance, Table
from labs.spec import LabError
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.ops.operator import Case
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
CASES = OPERATOR.odd
TOLERANCE = OPERATOR.tolerance
_BOTH = ("sm_80", "sm_90")  # in both types; the others in the one that is served
_LENGTHS = (512, 4)  # tokens of the longest sequence, and parts: neither changes the code
NO_TRITON = Text(
    zh="此处没有 Triton：它只有 Linux 版。其余三种模式不需要它。",
    en="There is no Triton here: it is for Linux only. The other three modes do not need it.",
)


@dataclass(frozen=True)
class Outcome:
    """One case, checked. ``kv_bytes``, ``table_bytes``: distinct ones that were loaded."""

    case: Case
    check: Check

    @property
    def kv_bytes(self) -> int:
        return sum(
            one.distinct_loaded_bytes for one in self.check.tensors if one.name in ("key_ptr", "value_ptr")
        )

    @property
    def table_bytes(self) -> int:
        return sum(one.distinct_loaded_bytes for one in self.check.tensors if one.name == "table_ptr")


def run_kernel(ctx: Context, *, head_dim: int, group: int, block_size: int) -> Iterator[Result]:
    """Checks first: a kernel that fails them is not worth compiling. LabError where Triton is missing."""
    if not HAS_TRITON:
        raise LabError(NO_TRITON)
    ctx.progress(0.0, Text(zh="Triton 解释器逐个程序地跑", en="Triton's interpreter, program by program"))
    outcomes = [_checked(ctx, case) for case in CASES]
    yield from figures(outcomes)
    yield checks(outcomes)
    sizes = {"sequences": 2, "longest": _LENGTHS[0], "heads": 8 * group, "kv_heads": 8}
    sizes |= {"head_dim": head_dim, "block": block_size, "parts": _LENGTHS[1]}
    compiled: list[tuple[str, Compiled]] = []
    for index, target in enumerate(TARGETS):
        ctx.progress(
            0.2 + 0.8 * index / len(TARGETS), Text(zh=f"编译 {target}", en=f"compiling for {target}")
        )
        for dtype in ("bf16", "fp32") if target in _BOTH else ("bf16",):
            found = kernel_process(ctx, "compile").ask(
                compiled_kernels, ctx.check, name=OPERATOR.name, sizes=sizes, dtype=dtype, target=target
            )
            compiled.append((dtype, found[0]))
        yield resources(compiled)
    yield explanation(outcomes, compiled)


def _checked(ctx: Context, case: Case) -> Outcome:
    check = kernel_process(ctx, "interpret").ask(
        interpreted_check, ctx.check, name=OPERATOR.name, sizes=dict(case.sizes), dtype=case.dtype
    )
    return Outcome(case, check)


def case_traffic(case: Case) -> Traffic:
    """What the formula says that the kernel must load."""
    return decode_traffic(
        lengths_of(case),
        heads=case["heads"],
        kv_heads=case["kv_heads"],
        head_dim=case["head_dim"],
        kv_element_bytes=case.element_bytes,
        block_size=case["block"],
    )


def figures(outcomes: list[Outcome]) -> Iterator[Metric]:
    """Bytes that the kernel loaded, counted address by address, beside the formula."""
    kv, table = sum(one.kv_bytes for one in outcomes), sum(one.table_bytes for one in outcomes)
    counted = Text(
        zh="解释器里逐地址计数，重复的只算一次", en="counted by address in the interpreter, each once"
    )
    yield Metric(
        id="kernel_kv_bytes",
        title=Text(zh="内核读的 KV（各检查合计）", en="KV that the kernel reads (all checks)"),
        provenance=_MEASURED,
        unit="B",
        value=kv,
        predicted=expected_kv_bytes(),
        formula=KV_FORMULA,
        source=counted,
    )
    yield Metric(
        id="kernel_table_bytes",
        title=Text(zh="内核读的块表", en="Table entries that the kernel reads"),
        provenance=_MEASURED,
        unit="B",
        value=table,
        predicted=sum(case_traffic(case).table_bytes for case in CASES),
        formula=Text(zh="4 B × 块数", en="4 B × blocks"),
        source=counted,
    )
    yield Metric(
        id="worst",
        title=Text(zh="与朴素实现最大之差（FP32）", en="Most off the naive formula (FP32)"),
        provenance=_MEASURED,
        value=max(one.check.difference for one in outcomes if one.case.dtype == "fp32"),
        better="lower",
        help=Text(
            zh=f"相对误差，允许 {TOLERANCE['fp32']:g}；没写过的槽全是 NaN，读到一个就会露馅。",
            en=f"Relative; {TOLERANCE['fp32']:g} is allowed. Slots that nobody wrote are NaN, so that a "
            "read of one would show.",
        ),
        source=Text(zh="Triton 解释器，CPU", en="Triton's interpreter, on the CPU"),
    )


def expected_kv_bytes() -> float:
    return sum(case_traffic(case).kv_bytes for case in CASES)


KV_FORMULA = Text(
    zh="Σ 2 × 长度 × KV 头数 × 头维度 × 每个数的字节",
    en="sum of 2 × length × KV heads × head dim × bytes a number",
)


def checks(outcomes: list[Outcome]) -> Table:
    """A row a case: odd lengths and blocks, grouped heads, parts of a context."""
    rows: list[list[Text | float | int | None]] = [
        [
            same(", ".join(map(str, lengths_of(one.case)))),
            same(f"{one.case['heads']} / {one.case['kv_heads']}"),
            one.case["head_dim"],
            one.case["block"],
            one.case["parts"],
            same(one.case.dtype.upper()),
            one.check.difference,
            one.kv_bytes,
            case_traffic(one.case).kv_bytes,
            Text(zh="通过", en="passed") if one.check.passed else Text(zh="未过", en="failed"),
        ]
        for one in outcomes
    ]
    return Table(
        id="kernel_checks",
        title=Text(zh="在解释器里的检查", en="Checks in the interpreter"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="长度", en="lengths"), unit="token"),
            Column(
                title=Text(zh="查询头 / KV 头", en="query / KV heads"),
                help=Text(
                    zh="GQA：几个查询头共用一个 KV 头。", en="GQA: several query heads share a KV head."
                ),
            ),
            Column(title=Text(zh="头维度", en="head dim")),
            Column(title=Text(zh="块大小", en="block size"), unit="token"),
            Column(
                title=Text(zh="分几段", en="parts"),
                help=Text(
                    zh="一条上下文切成几段并行算，再按 log-sum-exp 合并（Flash-Decoding）。",
                    en="Parts of a context computed at once, merged by log-sum-exp (Flash-Decoding).",
                ),
            ),
            Column(title=Text(zh="类型", en="type")),
            Column(title=Text(zh="与朴素实现之差", en="off the naive formula")),
            Column(title=Text(zh="读的 KV", en="KV read"), unit="B"),
            Column(title=Text(zh="公式", en="formula"), unit="B", provenance=_ESTIMATED),
            Column(title=Text(zh="检查", en="check")),
        ],
        rows=rows,
        source=Text(
            zh=f"允许的相对误差：FP32 {TOLERANCE['fp32']:g}，FP16 {TOLERANCE['fp16']:g}",
            en=f"relative difference allowed: FP32 {TOLERANCE['fp32']:g}, FP16 {TOLERANCE['fp16']:g}",
        ),
        wide=True,
    )


def resources(compiled: list[tuple[str, Compiled]]) -> Table:
    """What the compiled kernel takes on each chip."""
    rows: list[list[Text | float | int | None]] = [
        [
            same(f"{one.target} ({MULTIPROCESSORS[one.target].example})"),
            same(precision.upper()),
            one.registers,
            one.spill_bytes,
            one.shared_bytes / 1024,
            MULTIPROCESSORS[one.target].shared_a_block / 1024,
            one.residency.blocks,
            100 * one.residency.occupancy,
        ]
        for precision, one in compiled
    ]
    return Table(
        id="compiled",
        title=Text(zh="同一个内核，编译给真实的 GPU", en="The same kernel, compiled for real GPUs"),
        help=Text(
            zh="编译不需要 GPU：Triton 自带 ptxas。有 GPU 时，“速度”模式跑的就是它。",
            en="Compiling needs no GPU: Triton brings ptxas. With one, the speed mode runs this very kernel.",
        ),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="目标", en="target")),
            Column(title=Text(zh="类型", en="type")),
            Column(title=Text(zh="寄存器 / 线程", en="registers a thread")),
            Column(
                title=Text(zh="溢出", en="spilled"),
                unit="B",
                help=Text(
                    zh="寄存器放不下、落到显存的部分。应当为 0。",
                    en="What registers cannot hold goes to memory. Should be 0.",
                ),
            ),
            Column(title=Text(zh="共享内存", en="shared memory"), unit="KiB"),
            Column(title=Text(zh="上限", en="limit"), unit="KiB", provenance=Provenance.REPORTED),
            Column(
                title=Text(zh="每 SM 线程块", en="blocks an SM"),
                provenance=_ESTIMATED,
                help=Text(
                    zh="寄存器、共享内存、线程束三个上限中最紧的那个。",
                    en="By the tightest of registers, shared memory and warps.",
                ),
            ),
            Column(title=Text(zh="占用率", en="occupancy"), unit="%", provenance=_ESTIMATED),
        ],
        rows=rows,
        source=Text(
            zh="Triton 离线编译，从机器码读出；上限见 CUDA 编程指南各计算能力的技术规格表与 AMD 的用户指南",
            en="compiled offline by Triton, read from the machine code; limits: CUDA Programming Guide, "
            "technical specifications per compute capability, and AMD's",
        ),
        wide=True,
    )


def explanation(outcomes: list[Outcome], compiled: list[tuple[str, Compiled]]) -> Markdown:
    """Paging and FlashAttention's loop in one kernel, in the run's own figures."""
    kv, table = sum(one.kv_bytes for one in outcomes), sum(one.table_bytes for one in outcomes)
    passed = sum(one.check.passed for one in outcomes)
    spilled = sum(one.spill_bytes > 0 for _, one in compiled)
    real = CASES[0]["heads"] // CASES[0]["kv_heads"]
    body = Text(
        zh=f"**两者怎样合在一个内核里。** 外层是 FlashAttention 的循环：一次 {TILE} 个位置，边读边做 "
        "online softmax，注意力矩阵从不落到内存。分页只改一行：位置 → 块表 → 物理块，再算地址。"
        f"所以块大小不必等于 tile：检查里用了 1、7、16、32 都对（{passed}/{len(outcomes)} 通过）。"
        f"\n\n**读了多少。** 解释器逐地址数过：KV {kv:,} B，与公式一字节不差，没读过一个无主的槽；块表只有 "
        f"{table:,} B（{table / kv:.2%}）。\n\n**GPU 上。** Tensor Core 一次至少 {ROWS} 行，而一个 KV "
        f"头只有 {real} 个查询，其余行补零：解码受带宽限制，这些白算的乘法不花时间。{len(compiled)} "
        f"份编译结果中 {spilled} 份有寄存器溢出。",
        en=f"**How both fit one kernel.** The loop is FlashAttention's: {TILE} positions at a time with an "
        "online softmax, and no matrix of scores in memory. Paging changes one line: position, block "
        "table, physical block, address. So a block need not be a tile: blocks of 1, 7, 16 and 32 are all "
        f"right ({passed} of {len(outcomes)} checks passed).\n\n**What it reads.** Counted by address in "
        f"the interpreter: {kv:,} B of KV, to the byte what the formula says, and no slot without an "
        f"owner; tables are {table:,} B ({table / kv:.2%}).\n\n**On a GPU.** Tensor cores take {ROWS} rows "
        f"at the least and a KV head has {real} queries; the other rows are zeros. Decode is bound by "
        f"bandwidth, so these products cost no time. Of {len(compiled)} compiled kernels {spilled} spill "
        "registers.",
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=body,
        wide=True,
    )
