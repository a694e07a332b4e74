"""A cut chain as results: its graph with kernels as boxes, bytes, resources, expected and measured time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.fusion.chains.kernel_source import kernels, text
from labs.fusion.chains.outcome import COUNTED_ROWS, CUT_NAMES, CUTS, Outcome, Setting
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Code,
    CodePane,
    Column,
    Graph,
    GraphEdge,
    GraphNode,
    Metric,
    Provenance,
    Table,
    array,
)
from labs.text import Text, same
from labs.timing_results import method, time_metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.inspection.compiled import Compiled
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
_LIMITS = {
    "warps": Text(zh="线程束", en="warps"),
    "blocks": Text(zh="线程块", en="blocks"),
    "registers": Text(zh="寄存器", en="registers"),
    "shared": Text(zh="共享内存", en="shared memory"),
}


def graph(setting: Setting) -> Graph:
    """Inputs, steps, outputs; each kernel a box. An edge between boxes goes through memory."""
    chain = setting.chain
    group_of: dict[int, int] = {}
    parts = setting.groups("chosen")
    for number, part in enumerate(parts):
        group_of |= dict.fromkeys(part, number)
    sizes = setting.flow(setting.tokens).sizes
    nodes = [GraphNode(name=same(name), category=0, detail=_size(sizes[name])) for name in chain.inputs]
    place = {name: index for index, name in enumerate(chain.inputs)}
    edges = []
    for number, step in enumerate(chain.steps):
        title = Text(zh=f"{number + 1} {step.title.zh}", en=f"{number + 1} {step.title.en}")
        edges += [GraphEdge(source=place[one], target=len(nodes)) for one in step.reads]
        place |= dict.fromkeys(step.makes, len(nodes))
        made = [f"{one} ({_mib(sizes[one])})" for one in step.makes]
        detail = Text(zh=f"产出 {'、'.join(made)}", en=f"makes {', '.join(made)}")
        multiplies = setting.chain.matrix_flops([number], 1, setting.columns) > 0
        kind = 4 if multiplies else 1 + step.reduces
        nodes.append(GraphNode(name=title, category=kind, group=group_of[number], detail=detail))
    for name in chain.outputs:
        edges.append(GraphEdge(source=place[name], target=len(nodes)))
        nodes.append(GraphNode(name=same(name), category=3, detail=_size(sizes[name])))
    return Graph(
        id="graph",
        title=Text(zh="计算图：一个框一个内核", en="The graph: a box is a kernel"),
        provenance=_ESTIMATED,
        source=Text(zh="链的定义与所选的切分", en="the chain as defined, cut as chosen"),
        help=Text(
            zh="框内的箭头留在寄存器里；穿过框边的箭头要写进显存再读出来。",
            en="Arrows inside a box stay in registers; those that cross its edge are written to memory and "
            "read again.",
        ),
        nodes=nodes,
        edges=edges,
        categories=[
            Text(zh="输入", en="input"),
            Text(zh="逐元素", en="elementwise"),
            Text(zh="归约", en="reduction"),
            Text(zh="输出", en="output"),
            *([Text(zh="矩阵乘", en="matrix product")] if setting.multiplies else []),
        ],
        groups=[Text(zh=f"内核 {n + 1}", en=f"kernel {n + 1}") for n in range(len(parts))],
    )


def code(setting: Setting) -> Code:
    """The kernels that are run: as chosen, and one a step."""
    return Code(
        id="code",
        title=Text(zh="生成的 Triton 内核", en="The Triton kernels that were generated"),
        provenance=_ESTIMATED,
        source=Text(zh="由链的定义生成，就是下面运行的", en="generated from the chain, and run below"),
        help=Text(
            zh="比较两边的 tl.load 与 tl.store：融合只是少了它们。",
            en="Compare tl.load and tl.store on both sides: fusing only removes them.",
        ),
        panes=[
            CodePane(
                name=CUT_NAMES[cut],
                language="python",
                text=text(kernels(setting.chain, setting.groups(cut))),
            )
            for cut in ("chosen", "apart")
        ],
    )


def moved_bytes(outcome: Outcome) -> Bars:
    """Read and written, counted in the interpreter, for the cuts that have been run; of each row, or of all
    where a product's weights are read whatever the rows."""
    setting = outcome.setting
    rows = 1 if setting.multiplies else COUNTED_ROWS
    size = setting.counted_size
    title = Text(zh="每行（token）搬了多少字节", en="Bytes moved for each row (token)")
    if setting.multiplies:
        title = Text(zh=f"搬了多少字节（{size.zh}）", en=f"Bytes moved ({size.en})")
    cuts = [cut for cut in CUTS if cut in outcome.counted]
    series = [
        BarSeries(
            name=Text(zh="读", en="read"),
            values=array([outcome.counted[cut].read / rows for cut in cuts]),
        ),
        BarSeries(
            name=Text(zh="写", en="written"),
            values=array([outcome.counted[cut].written / rows for cut in cuts]),
        ),
    ]
    return Bars(
        id="bytes",
        title=title,
        provenance=_MEASURED,
        unit="B",
        source=_COUNTED,
        categories=[CUT_NAMES[cut] for cut in cuts],
        series=series,
        y=Axis(title=Text(zh="字节", en="bytes"), unit="B"),
    )


_COUNTED = Text(
    zh=f"Triton 解释器里 {COUNTED_ROWS} 行的每一次 load 与 store；一个内核里同一个字节只算一次",
    en=f"every load and store of {COUNTED_ROWS} rows in Triton's interpreter, a byte once in each kernel",
)


def counts(outcome: Outcome) -> Iterator[Metric]:
    """Kernels, bytes, intermediate bytes spared, and how exact the outputs are."""
    setting, chosen, apart = outcome.setting, outcome.counted["chosen"], outcome.counted["apart"]
    size = setting.counted_size
    yield Metric(
        id="launches",
        title=Text(zh="内核数", en="Kernels"),
        provenance=_MEASURED,
        value=len(chosen.kernels),
        predicted=len(setting.groups("chosen")),
        better="lower",
        help=Text(
            zh=f"每步一个内核时是 {len(apart.kernels)} 个。",
            en=f"With a kernel a step: {len(apart.kernels)}.",
        ),
    )
    yield Metric(
        id="moved",
        title=Text(zh=f"搬动的字节（{size.zh}）", en=f"Bytes moved ({size.en})"),
        provenance=_MEASURED,
        unit="B",
        value=chosen.bytes,
        predicted=setting.counted_moved("chosen"),
        formula=MOVED_FORMULA,
        better="lower",
        source=_COUNTED,
    )
    yield Metric(
        id="spared",
        title=Text(zh=f"省下的字节（{size.zh}）", en=f"Bytes spared ({size.en})"),
        provenance=_MEASURED,
        unit="B",
        value=apart.bytes - chosen.bytes,
        better="higher",
        source=_COUNTED,
        help=Text(
            zh="不再写出又读回的中间结果，以及只读一次的共同输入。",
            en="Intermediates no longer written and read back, and inputs in common that are read once.",
        ),
    )
    yield Metric(
        id="gap",
        title=Text(zh="与 fp32 参照的相对误差", en="Relative error against fp32"),
        provenance=_MEASURED,
        value=chosen.gap,
        better="lower",
        help=Text(
            zh=f"每步一个内核时是 {apart.gap:.1e}：中间结果每写回一次就舍入一次。容差 {chosen.tolerance:g}。",
            en=f"With a kernel a step {apart.gap:.1e}: an intermediate is rounded whenever it is written. "
            f"Tolerance {chosen.tolerance:g}.",
        ),
        source=Text(zh=f"与 torch 的 {setting.chain.call} 比较", en=f"against torch's {setting.chain.call}"),
    )


MOVED_FORMULA = Text(
    zh="Σ 每个内核：它要读而不自造的 + 别处还要用的产出",
    en="sum over kernels: what it reads and does not make, and what it makes that is needed elsewhere",
)


def resources(outcome: Outcome) -> Table:
    """What each kernel takes of a multiprocessor, for the cuts compiled so far."""
    setting = outcome.setting
    rows: list[list[Text | float | int | None]] = []
    for cut in (one for one in CUTS if one in outcome.built):
        for kernel, (read, written) in zip(outcome.built[cut], outcome.kernel_bytes(cut), strict=True):
            rows.append([CUT_NAMES[cut], same(_short(kernel.kernel)), *_taken(kernel, read + written)])
    return Table(
        id="resources",
        title=Text(
            zh=f"编译给 {setting.target}：融合的代价", en=f"Compiled for {setting.target}: what fusing costs"
        ),
        provenance=_MEASURED,
        wide=True,
        source=Text(
            zh=f"Triton 离线编译，一个程序 {setting.warps} 个线程束；占用率按厂商规则推算",
            en=f"compiled offline by Triton, {setting.warps} warps a program; occupancy by vendors' rules",
        ),
        columns=[
            Column(title=Text(zh="切分", en="Cut")),
            Column(title=Text(zh="内核产出", en="Kernel makes")),
            Column(
                title=Text(zh="搬动", en="Moved"),
                unit="B",
                provenance=_ESTIMATED,
                help=Text(
                    zh=f"{setting.tokens} 行时，按公式", en=f"for {setting.tokens} rows, by the formula"
                ),
            ),
            Column(
                title=Text(zh="寄存器 / 线程", en="Registers a thread"),
                help=Text(
                    zh="融合后同时活着的值更多，寄存器就更多。",
                    en="More values live at once take more registers.",
                ),
            ),
            Column(
                title=Text(zh="溢出 / 线程", en="Spilled a thread"),
                unit="B",
                help=Text(
                    zh="寄存器放不下、落到显存的部分：省下的流量又回来了。",
                    en="What registers cannot hold goes to memory: the traffic that was spared returns.",
                ),
            ),
            Column(title=Text(zh="共享内存", en="Shared memory"), unit="B"),
            Column(
                title=Text(zh="占用率", en="Occupancy"),
                unit="%",
                provenance=_ESTIMATED,
                help=Text(
                    zh="一个 SM 同时驻留的线程束占上限的比例；太低就盖不住访存延迟。",
                    en="Warps held at once, of those possible; too few do not hide the latency of memory.",
                ),
            ),
            Column(title=Text(zh="受限于", en="Limited by")),
        ],
        rows=rows,
    )


def _taken(kernel: Compiled, moved: int) -> list[Text | float | int | None]:
    held = kernel.residency
    limits = [_LIMITS[one] for one in held.limiters]
    limited = Text(zh="、".join(one.zh for one in limits), en=", ".join(one.en for one in limits))
    figures = (kernel.registers, kernel.spill_bytes, kernel.shared_bytes)
    return [moved, *figures, round(100 * held.occupancy), limited]


def expected(outcome: Outcome) -> Bars:
    """Seconds on the target for each cut: at the roof, and launching."""
    setting, chip = outcome.setting, outcome.setting.device
    peak = " 16 bit " if setting.multiplies and setting.dtype == "fp16" else " fp32 "
    values = {
        Text(zh="搬数据或计算", en="moving or computing"): [outcome.traffic_s(cut) for cut in CUTS],
        Text(zh="启动", en="launching"): [outcome.launches_s(cut) for cut in CUTS],
        Text(zh="合计", en="together"): [outcome.seconds(cut) for cut in CUTS],
    }
    return Bars(
        id="expected",
        title=Text(
            zh=f"{chip.title} 上至少多久（{setting.tokens} 行）",
            en=f"Time at least on {chip.title} ({setting.tokens} rows)",
        ),
        provenance=_ESTIMATED,
        unit="s",
        source=Text(
            zh=f"数据手册的带宽与{peak}峰值，加每个内核 {setting.launch_s * 1e6:g} µs；没有缓存",
            en=f"bandwidth and{peak}peak of the data sheet, and {setting.launch_s * 1e6:g} µs a kernel; "
            "no caches",
        ),
        help=Text(
            zh="推算，不是实测。中间结果若装得进 L2，差距会小一些。",
            en="Estimated, not measured. Where intermediates fit into L2, the gap is smaller.",
        ),
        categories=[CUT_NAMES[cut] for cut in CUTS],
        series=[BarSeries(name=name, values=array(found)) for name, found in values.items()],
        y=Axis(title=Text(zh="时间", en="time"), unit="s"),
    )


def native(outcome: Outcome) -> Bars:
    """Seconds of the generated kernels on the GPU that is here."""
    cuts = [cut for cut in CUTS if cut in outcome.native]
    timings = [outcome.native[cut] for cut in cuts]
    return Bars(
        id="native",
        title=Text(zh="本机 GPU：这些内核的时间", en="These kernels on the GPU here"),
        provenance=_MEASURED,
        unit="s",
        source=method(timings[0]),
        categories=[CUT_NAMES[cut] for cut in cuts],
        series=[
            BarSeries(
                name=Text(zh="全部内核", en="all kernels"),
                values=array([one.median_s for one in timings]),
                low=array([one.low_s for one in timings]),
                high=array([one.high_s for one in timings]),
            )
        ],
        y=Axis(title=Text(zh="时间", en="time"), unit="s"),
    )


_BYTES_RATIO = Text(
    zh="字节之比（全部融合、受限于带宽时的上限）",
    en="ratio of bytes (all fused, where bandwidth is the limit)",
)


def measured(outcome: Outcome) -> Iterator[Result]:
    """torch on this machine: a call a step against as few calls as there are."""
    setting, eager, fused = outcome.setting, outcome.eager, outcome.fused
    assert eager is not None and fused is not None
    tokens, limit = setting.tokens, None
    if not setting.multiplies:  # a product is not bound by its bytes
        limit = setting.moved("apart", tokens) / setting.moved("one", tokens)
    size = f"[{setting.tokens}, {setting.columns}] fp32"
    yield time_metric(
        eager,
        id="eager",
        title=Text(zh="本机：一步一个调用", en="Here: a call a step"),
        help=Text(zh=f"torch，{size}。", en=f"torch, {size}."),
    )
    yield time_metric(
        fused,
        id="fused",
        title=Text(zh="本机：融合调用", en="Here: the fused call"),
        help=Text(zh=f"torch 的 {setting.chain.call}，{size}。", en=f"torch's {setting.chain.call}, {size}."),
    )
    yield Metric(
        id="speedup",
        title=Text(zh="本机加速", en="Speed-up here"),
        provenance=_MEASURED,
        unit="x",
        value=eager.median_s / fused.median_s,
        predicted=limit,
        formula=_BYTES_RATIO if limit else None,
        better="higher",
        help=Text(
            zh="torch 的融合调用未必是一趟；缓存、数学函数与内存分配让实测偏离字节之比。",
            en="torch's call is not always one pass; caches, functions such as exp, and allocation part it "
            "from the ratio of bytes.",
        ),
        source=Text(zh="两个中位数之比", en="ratio of the two medians"),
    )


def _short(name: str) -> str:
    return name.removesuffix("_kernel").replace("_", " + ")


def _size(size: int) -> Text:
    return same(_mib(size))


def _mib(size: int) -> str:
    return f"{size / 2**20:.3g} MiB" if size >= 2**20 else f"{size / 2**10:.3g} KiB"
