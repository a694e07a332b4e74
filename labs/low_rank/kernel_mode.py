"""The fused kernel: played, counted against two kernels, and compiled for ranks until it no longer fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.low_rank import fused_flops, fused_loaded, low_rank_bytes
from labs.inspection.process import HAS_TRITON, NO_TRITON, kernel_process
from labs.ladder.tile_views import tiles, trace
from labs.ops import gemm
from labs.ops.low_rank_gemm import MOST_FUSED_RANK, OPERATOR, config_for
from labs.ops.operator import Case
from labs.results import Column, Metric, Provenance, Table
from labs.roofline.explanation import prose
from labs.spec import LabError
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.inspection.compiled import Compiled, Target
    from labs.low_rank.kernel_probe import Counted
    from labs.results import Result

_MEASURED = Provenance.MEASURED
_SHOWN = {"m": 32, "n": 256, "k": 64, "rank": 16}  # small enough to be watched
_COMPILED = {"m": 2048, "n": 4096, "k": 4096}
RANKS = (16, 64, 128, 256)
_MOST = 400
WAYS = {
    "fused": Text(zh="一个融合内核", en="one fused kernel"),
    "split": Text(zh="两个 GEMM 内核", en="two GEMM kernels"),
}


def run_kernel(ctx: Context, *, sizes: dict[str, int], target: Target) -> Iterator[Result]:
    """Checks first; then what moves; then the compiler's view."""
    if not HAS_TRITON:
        raise LabError(NO_TRITON)
    from labs.low_rank import kernel_probe  # it imports Triton

    ctx.progress(0.0, Text(zh="Triton 解释器逐个程序地跑", en="Triton's interpreter, program by program"))
    interpreter = kernel_process(ctx, "interpret")
    ways: dict[str, Counted] = {}
    for way in WAYS:
        ways[way] = interpreter.ask(kernel_probe.counted, ctx.check, way=way, sizes=sizes)
    yield from figures(ways, sizes)
    yield table(ways)
    seen = interpreter.ask(kernel_probe.played, ctx.check, sizes=_SHOWN, most=_MOST)
    assert seen.recording is not None
    yield trace(seen.recording)
    yield tiles(seen)
    found: list[tuple[int, Compiled]] = []
    for step, rank in enumerate(RANKS):
        ctx.progress(
            0.4 + 0.15 * step, Text(zh=f"为 {target} 编译，秩 {rank}", en=f"for {target}, rank {rank}")
        )
        one = kernel_process(ctx, "compile").ask(
            kernel_probe.compiled, ctx.check, sizes=_COMPILED | {"rank": rank}, target=target
        )
        found.append((rank, one))
        yield resources(found, target)
    yield explanation(ways, sizes, found, target)


def expected_memory(sizes: dict[str, int], *, fused: bool) -> float:
    if fused:
        return low_rank_bytes(**sizes, element_bytes=4, fused=True)
    m, n, k, rank = (sizes[name] for name in ("m", "n", "k", "rank"))
    shapes = ({"m": m, "n": rank, "k": k}, {"m": m, "n": n, "k": rank})
    return sum(gemm.work(Case(shape)).bytes for shape in shapes)


MEMORY_FORMULA = Text(
    zh="4 B ×（x + A + B + y）；不融合再加 2·m·r，以及 GEMM 切 k 时写出读回的部分和",
    en="4 B × (x + A + B + y); unfused 2 m r more, and the partial sums of a GEMM whose k is split",
)


def figures(ways: dict[str, Counted], sizes: dict[str, int]) -> Iterator[Metric]:
    counted = Text(zh="解释器里逐地址计数，重复的只算一次", en="by address in the interpreter, each once")
    for way, one in ways.items():
        yield Metric(
            id=f"memory_{way}",
            title=Text(zh=f"必经内存，{WAYS[way].zh}", en=f"Moved by {WAYS[way].en}"),
            provenance=_MEASURED,
            unit="B",
            value=one.memory,
            predicted=expected_memory(sizes, fused=way == "fused"),
            formula=MEMORY_FORMULA,
            better="lower",
            source=counted,
        )
    parts = config_for(sizes["m"], sizes["n"], 4).parts
    yield Metric(
        id="fused_flops",
        title=Text(zh="融合内核的 FLOP", en="FLOPs of the fused kernel"),
        provenance=_MEASURED,
        unit="FLOP",
        value=ways["fused"].matrix_flops,
        predicted=fused_flops(**sizes, parts=parts),
        formula=Text(zh=f"2·m·r·(份数·k + n)，{parts} 份", en=f"2 m r (parts k + n), {parts} parts"),
        help=Text(
            zh="n 切成几份并行，每份各算一遍 x·A；秩或行数不是块的整数倍时，补齐的部分也要算。",
            en="n is divided into parts that run side by side, and each computes x A anew; where sizes "
            "are no "
            "multiples of the tiles, what fills them up is computed too.",
        ),
    )


def table(ways: dict[str, Counted]) -> Table:
    tolerance = OPERATOR.tolerance["fp32"]
    rows: list[list[Text | float | int | None]] = [
        [
            WAYS[way],
            one.launches,
            one.memory / 1024,
            one.loaded / 1024,
            one.stored / 1024,
            one.matrix_flops / 1e6,
            one.difference,
            _verdict(one.difference <= tolerance and not one.outside),
        ]
        for way, one in ways.items()
    ]
    return Table(
        id="ways",
        title=Text(zh="一个内核与两个内核", en="One kernel and two"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="做法", en="way")),
            Column(title=Text(zh="启动的内核", en="kernels launched")),
            Column(title=Text(zh="必经内存", en="across memory"), unit="KiB"),
            Column(title=Text(zh="全部装载", en="all loads"), unit="KiB", help=_AGAIN),
            Column(title=Text(zh="写", en="stores"), unit="KiB"),
            Column(title=same("FLOP"), unit="MFLOP"),
            Column(title=Text(zh="与朴素实现之差", en="off naive")),
            Column(title=Text(zh="检查", en="check")),
        ],
        rows=rows,
        source=Text(zh="Triton 解释器，FP32", en="Triton's interpreter, fp32"),
        wide=True,
    )


_AGAIN = Text(
    zh="同一字节被几个程序装载就算几次；GPU 上这些多半由 L2 供给。",
    en="A byte counts as often as programs load it; on a GPU most of those come from L2.",
)


def _verdict(passed: bool) -> Text:
    return Text(zh="通过", en="passed") if passed else Text(zh="未通过", en="failed")


def resources(found: list[tuple[int, Compiled]], target: Target) -> Table:
    rows: list[list[Text | float | int | None]] = [
        [
            rank,
            one.registers,
            one.spill_bytes,
            one.shared_bytes / 1024,
            one.residency.blocks if one.fits else 0,
            same(", ".join(one.matrix_instructions) or "-"),
            Text(zh="融合", en="fused") if rank <= MOST_FUSED_RANK else Text(zh="拆成两个", en="as two"),
        ]
        for rank, one in found
    ]
    return Table(
        id="resources",
        title=Text(
            zh=f"秩变大，片上放得下吗（{target}）", en=f"Does it fit the chip as the rank grows ({target})"
        ),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="秩", en="rank")),
            Column(title=Text(zh="寄存器/线程", en="registers a thread")),
            Column(title=Text(zh="溢出", en="spills"), unit="B", help=_SPILLS),
            Column(title=Text(zh="共享内存/块", en="shared memory a block"), unit="KiB"),
            Column(title=Text(zh="同驻块数", en="resident blocks"), help=_RESIDENT),
            Column(title=Text(zh="矩阵指令", en="matrix instructions")),
            Column(title=Text(zh="本算子", en="this operator")),
        ],
        rows=rows,
        source=Text(
            zh="本机离线编译，m = 2048，n = k = 4096，BF16；没有在 GPU 上运行",
            en="compiled offline here, m = 2048, n = k = 4096, bf16; not run on a GPU",
        ),
        wide=True,
    )


_SPILLS = Text(
    zh="寄存器放不下、挪到显存的字节（每线程）。",
    en="Bytes a thread that registers do not hold: they go to memory.",
)
_RESIDENT = Text(
    zh="一个 SM（AMD 为 CU）同时容得下几个线程块；0：一个也放不下。",
    en="Thread blocks that a multiprocessor holds at once; 0: not even one.",
)


def explanation(
    ways: dict[str, Counted], sizes: dict[str, int], found: list[tuple[int, Compiled]], target: Target
) -> Result:
    fused, split = ways["fused"], ways["split"]
    saved = 1 - fused.memory / split.memory
    parts = config_for(sizes["m"], sizes["n"], 4).parts
    loads = fused_loaded(
        **sizes, tile_m=config_for(sizes["m"], sizes["n"], 4).tile_m, parts=parts, element_bytes=4
    )
    largest, last = found[-1]
    return prose(
        [
            Text(
                zh=f"**省的是什么。** 启动从 {split.launches} 次到 {fused.launches} 次；必经内存少 "
                f"{saved:.1%}：中间的 "
                "x·A 不再写出读回。秩越小、行越多，这一份占比越大；解码时行数只有批大小，省下的主要是启动。",
                en=f"**What is saved.** Launches: {fused.launches} for {split.launches}, and {saved:.1%} "
                "fewer bytes "
                "across memory: x A is not written and read again. It weighs more with many rows; in "
                "decode, with "
                "few, what is saved is mostly the launch.",
            ),
            Text(
                zh=f"**代价。** 行少时要把 n 切成 {parts} 份才有足够的程序，每份各算一遍 x·A：装载 "
                f"{fused.loaded / 1024:.0f}"
                f" KiB（公式 {loads / 1024:.0f}），两个内核是 {split.loaded / 1024:.0f}。所以服务 LoRA 的库常"
                "用两个内核："
                "一个缩、一个扩。",
                en=f"**The price.** With few rows n must be divided into {parts} parts to have programs "
                "enough, and "
                f"each computes x A anew: {fused.loaded / 1024:.0f} KiB loaded (formula {loads / 1024:.0f}), "
                "by two "
                f"kernels {split.loaded / 1024:.0f}. That is why libraries that serve LoRA often keep two, "
                "one that "
                "shrinks and one that expands.",
            ),
            Text(
                zh=f"**秩的上限。** 累加器是“块行数 × 秩”，全在寄存器里：{target} 上秩 {largest} 用 "
                f"{last.registers} 个"
                f"寄存器/线程、{last.shared_bytes / 1024:.0f} KiB 共享内存，溢出 {last.spill_bytes} B"
                f"{'' if last.fits else '，装不下'}。本算子过了秩 {MOST_FUSED_RANK} 就改用两个内核。",
                en=f"**The rank's limit.** The accumulator is rows × rank, all in registers: on {target} "
                f"rank {largest} "
                f"takes {last.registers} registers a thread, {last.shared_bytes / 1024:.0f} KiB of shared "
                "memory and "
                f"spills {last.spill_bytes} B{'' if last.fits else ': it does not fit'}. Beyond rank "
                f"{MOST_FUSED_RANK} this operator takes two kernels.",
            ),
        ]
    )
