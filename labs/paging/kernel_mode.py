"""The Triton kernel without a GPU: checked in the interpreter, its loads counted, compiled for chips."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import labs
from labs.formulas.paged_attention import Traffic, decode_traffic
from labs.ops.compiled import CHIPS, Precision, Resources, compile_attention
from labs.ops.interpreted import CASES, TOLERANCE, Case, Outcome, read_outcomes
from labs.ops.paged_attention import HAS_TRITON, ROWS, TILE
from labs.results import Column, Markdown, Metric, Provenance, Table
from labs.spec import LabError
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_POLL_S = 0.05
_ROOT = Path(labs.__file__).parents[1]  # where a child finds the package
_BOTH = ("sm_80", "sm_90")  # in both types; the others in the one that is served
_ELEMENT_BYTES = {"fp32": 4, "fp16": 2}
NO_TRITON = Text(
    zh="此处没有 Triton：它只有 Linux 版。其余三种模式不需要它。",
    en="There is no Triton here: it is for Linux only. The other three modes do not need it.",
)


def run_kernel(ctx: Context, *, head_dim: int, group: int, block_size: int) -> Iterator[Result]:
    """Checks first: a kernel that fails them is not worth compiling. LabError where Triton is missing."""
    if not HAS_TRITON:
        raise LabError(NO_TRITON)
    process = _started()
    try:
        compiled: list[tuple[Precision, Resources]] = []
        for index, target in enumerate(CHIPS):
            ctx.progress(0.8 * index / len(CHIPS), Text(zh=f"编译 {target}", en=f"compiling for {target}"))
            precisions: tuple[Precision, ...] = ("bf16", "fp32") if target in _BOTH else ("bf16",)
            for precision in precisions:
                found = compile_attention(
                    target, precision, head_dim=head_dim, group=group, block_size=block_size
                )
                compiled.append((precision, found))
            yield resources(compiled)
        outcomes = _finished(ctx, process)
    finally:
        process.kill()
        process.communicate()
    yield from figures(outcomes)
    yield checks(outcomes)
    yield explanation(outcomes, compiled)


def _started() -> subprocess.Popen[str]:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "labs.ops.interpreted"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    )


def _finished(ctx: Context, process: subprocess.Popen[str]) -> list[Outcome]:
    """Wait, ready to be stopped. LabError with the last line that it wrote where it failed."""
    while process.poll() is None:
        ctx.progress(
            None, Text(zh="Triton 解释器逐个程序地跑", en="Triton's interpreter, program by program")
        )
        time.sleep(_POLL_S)
    out, err = process.communicate()
    if process.returncode:
        last = (err.strip().splitlines() or ["?"])[-1][:200]
        raise LabError(
            Text(zh=f"解释器里的检查失败：{last}", en=f"the check in the interpreter failed: {last}")
        )
    return read_outcomes(out)


def case_traffic(case: Case) -> Traffic:
    """What the formula says that the kernel must load."""
    return decode_traffic(
        case.lengths,
        heads=case.heads,
        kv_heads=case.kv_heads,
        head_dim=case.head_dim,
        kv_element_bytes=_ELEMENT_BYTES[case.dtype],
        block_size=case.block_size,
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
        value=max(one.difference for one in outcomes if one.case.dtype == "fp32"),
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
            same(", ".join(map(str, one.case.lengths))),
            same(f"{one.case.heads} / {one.case.kv_heads}"),
            one.case.head_dim,
            one.case.block_size,
            one.case.parts,
            same(one.case.dtype.upper()),
            one.difference,
            one.kv_bytes,
            case_traffic(one.case).kv_bytes,
            Text(zh="通过", en="passed") if one.passed else Text(zh="未过", en="failed"),
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


def resources(compiled: list[tuple[Precision, Resources]]) -> Table:
    """What the compiled kernel takes on each chip."""
    rows: list[list[Text | float | int | None]] = [
        [
            same(f"{one.target} ({CHIPS[one.target].example})"),
            same(precision.upper()),
            one.registers,
            one.spill_bytes,
            one.shared_bytes / 1024,
            CHIPS[one.target].shared_a_block / 1024,
            one.resident if one.fits else 0,
            100 * one.occupancy if one.fits else 0.0,
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
            zh="Triton 离线编译，cuobjdump 读 cubin；上限见 CUDA C++ 编程指南各计算能力的技术规格表",
            en="compiled offline by Triton, read by cuobjdump; limits: CUDA C++ Programming Guide, "
            "technical specifications per compute capability",
        ),
        wide=True,
    )


def explanation(outcomes: list[Outcome], compiled: list[tuple[Precision, Resources]]) -> Markdown:
    """Paging and FlashAttention's loop in one kernel, in the run's own figures."""
    kv, table = sum(one.kv_bytes for one in outcomes), sum(one.table_bytes for one in outcomes)
    passed = sum(one.passed for one in outcomes)
    spilled = sum(one.spill_bytes > 0 for _, one in compiled)
    real = CASES[0].heads // CASES[0].kv_heads
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
