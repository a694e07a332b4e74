"""What Dynamo captured of a function, as results: the text with its breaks, the graphs, the reasons.

A fusing compiler sees one captured graph at a time: nothing is fused across a break.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.fusion.compilers import fx_views
from labs.fusion.compilers.dynamo_child import Explained
from labs.results import (
    Code,
    CodeMark,
    CodePane,
    Column,
    Graph,
    GraphEdge,
    GraphNode,
    Markdown,
    Metric,
    Provenance,
    Table,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from labs.fusion.compilers.dynamo_child import Break, Operation
    from labs.results import Result

_MEASURED: Final = Provenance.MEASURED
_SOURCE: Final = Text(
    zh="torch._dynamo.explain：Dynamo 自己的记录，在真实的张量上",
    en="torch._dynamo.explain: Dynamo's own record, on the real tensors",
)
# What its shortest reasons mean.
_GLOSSES: Final = {
    "generic_jump": Text(
        zh="if 或 while 看张量的值：哪一支要走，捕获时不知道",
        en="an if or while on a tensor's value: which way it goes is not known while capturing",
    )
}
# Of every guard there are dozens; these say nothing about what the function does.
_USUAL: Final = ("hasattr(", "utils_device", "torch._functorch", "___check")


def results(source: str, found: Explained) -> Iterator[Result]:
    """Of a text that could not be run, only the text with the fault at its line."""
    if found.fault is not None:
        yield _code(source, found, [_fault_mark(source, found.fault.line, found.fault.text)])
        return
    yield _pieces(found)
    yield _handed(found)
    marks = [CodeMark(line=one.line, text=_told(one), role="warning") for one in found.breaks if one.line]
    yield _code(source, found, marks)
    yield _breaks(found)
    yield _graph(found)
    yield _why(found)


def unread(source: str) -> Code:
    """The text alone, before anything is known of it."""
    return _code(source, Explained([], [], []), [])


def _fault_mark(source: str, line: int, text: str) -> CodeMark:
    return CodeMark(line=min(max(line, 1), max(1, source.count("\n"))), text=same(text), role="error")


def _gloss(one: Break) -> Text | None:
    return next((text for start, text in _GLOSSES.items() if one.reason.startswith(start)), None)


def _told(one: Break) -> Text:
    if gloss := _gloss(one):
        return Text(zh=f"断图：{gloss.zh}（{one.reason}）", en=f"graph break: {gloss.en} ({one.reason})")
    return Text(zh=f"断图：{one.reason}", en=f"graph break: {one.reason}")


def _pieces(found: Explained) -> Metric:
    return Metric(
        id="pieces",
        title=Text(zh="捕获成几张图", en="Graphs captured"),
        provenance=_MEASURED,
        value=float(len(found.graphs)),
        better="lower",
        source=_SOURCE,
    )


def handed_bytes(graphs: list[list[Operation]]) -> int:
    """What graphs but the last give back to Python: written to memory because the graph ends there."""
    total = 0
    for graph in graphs[:-1]:
        sizes = {one.name: one.bytes for one in graph}
        total += sum(sizes[name] for one in graph if one.target == "output" for name in one.reads)
    return total


def _handed(found: Explained) -> Metric:
    return Metric(
        id="handed",
        title=Text(zh="断处交出的数据", en="Handed over at breaks"),
        provenance=_MEASURED,
        unit="B",
        value=float(handed_bytes(found.graphs)),
        better="lower",
        source=Text(
            zh="除最后一张图外，各图返回的张量之和：图到此为止，只好写进内存",
            en="tensors that all graphs but the last return: written to memory because the graph ends there",
        ),
    )


def _code(source: str, found: Explained, marks: list[CodeMark]) -> Code:
    function = CodePane(
        name=Text(zh="函数", en="function"), language="python", text=source, marks=marks, edits="function"
    )
    panes = [function]
    if found.graphs:
        lines, links = _listing(found.graphs, source.count("\n"))
        name = Text(zh="捕获的图", en="captured graphs")
        panes.append(CodePane(name=name, language="python", text=lines, links=array(links)))
    if found.guards:
        checked = sorted(found.guards, key=lambda one: one.startswith(_USUAL))
        name, text = Text(zh="guard", en="guards"), "\n".join(checked) + "\n"
        panes.append(CodePane(name=name, language="python", text=text))
    title = Text(zh="函数，与 Dynamo 捕获到的", en="The function, and what Dynamo captured")
    return Code(id="code", title=title, provenance=_MEASURED, source=_SOURCE, panes=panes, wide=True)


def _listing(graphs: list[list[Operation]], most: int) -> tuple[str, list[int]]:
    lines, links = [], []
    for place, graph in enumerate(graphs):
        lines.append(f"# graph {place}")
        links.append(0)
        for one in graph:
            shape = f"  # {one.shape}" if one.shape else ""
            inputs = one.target == "placeholder"
            lines.append(f"# input {one.name}{shape[3:]}" if inputs else f"{one.text}{shape}")
            links.append(min(one.line, most))
    return "\n".join(lines) + "\n", links


def _breaks(found: Explained) -> Table:
    nothing = Text(zh="没有断：整个函数是一张图", en="none: the whole function is one graph")
    rows: list[list[Text | float | int | None]] = [
        [one.line or None, same(one.reason or "?"), _gloss(one) or _word(one.explanation), _word(hints)]
        for one in found.breaks
        for hints in ["; ".join(one.hints)]
    ]
    return Table(
        id="breaks",
        title=Text(zh="断在哪里，为什么", en="Where it breaks, and why"),
        provenance=_MEASURED,
        source=_SOURCE,
        wide=True,
        columns=[
            Column(title=Text(zh="行", en="Line")),
            Column(title=Text(zh="理由（原文）", en="Reason (as given)")),
            Column(title=Text(zh="解释", en="Explanation")),
            Column(title=Text(zh="它的建议", en="Its hints")),
        ],
        rows=rows or [[None, nothing, None, None]],
    )


def _word(text: str) -> Text | None:
    return same(text) if text else None


def _graph(found: Explained) -> Graph:
    nodes: list[GraphNode] = []
    edges: list[GraphEdge] = []
    for group, graph in enumerate(found.graphs):
        place = {one.name: len(nodes) + index for index, one in enumerate(graph)}
        nodes += [_node(one, group) for one in graph]
        edges += [
            GraphEdge(source=place[read], target=place[one.name]) for one in graph for read in one.reads
        ]
    return Graph(
        id="graph",
        title=Text(zh="捕获的图：一个框是一张图", en="Captured: a box is one graph"),
        provenance=_MEASURED,
        unit="B",
        source=_SOURCE,
        nodes=nodes,
        edges=edges,
        categories=fx_views.KINDS,
        groups=[Text(zh=f"图 {place}", en=f"graph {place}") for place in range(len(found.graphs))],
        value_name=Text(zh="结果的大小", en="size of its result"),
    )


def _node(one: Operation, group: int) -> GraphNode:
    kinds = {"placeholder": 0, "output": 5, "linear": 1, "matmul": 1, "mean": 2, "sum": 2, "max": 2}
    shown = one.name if one.target == "placeholder" else one.target
    return GraphNode(
        name=same(shown),
        category=kinds.get(one.target, 3),
        group=group,
        detail=same(f"{one.text} {one.shape}"),
        value=float(one.bytes) or None,
    )


def _why(found: Explained) -> Markdown:
    count, handed = len(found.graphs), handed_bytes(found.graphs) / 2**20
    constants = [one for one in found.guards if one.startswith("L['___stack") and "==" in one]
    zh = [
        f"- 函数成了 **{count}** 张图，断了 {len(found.breaks)} 处。编译器一次只看一张图，"
        "断处两边的算子不会融在一起。",
        f"- 断处要把 {handed:.3g} MiB 写进内存再读回，中间由 Python 解释器执行断掉的那一行。",
    ]
    en = [
        f"- The function became **{count}** graphs, with {len(found.breaks)} breaks. A compiler sees one "
        "graph at "
        "a time: operators on the two sides of a break are never fused.",
        f"- At the breaks {handed:.3g} MiB go to memory and back; between, Python's interpreter runs "
        "the "
        "line that broke.",
    ]
    if not found.breaks:
        zh = ["- **一张图，没有断**：整个函数都交给编译器，能融的都有机会融。"]
        en = ["- **One graph, no break**: the compiler gets the whole function, and may fuse all it can."]
    if constants:
        zh.append(f"- guard `{constants[0]}`：断处算出的数成了下一张图里的常量，换一个值就要重新编译。")
        en.append(
            f"- The guard `{constants[0]}`: a number made at the break is a constant of the next graph; "
            "another value means compiling again."
        )
    if found.breaks:
        zh.append(
            "- 改这个函数再运行（Ctrl+Enter）：用 torch.where 或 clamp 代替 if，不要 .item() 和 print。"
        )
        en.append(
            "- Change the function and run it again (Ctrl+Enter): torch.where or clamp instead of an if, no "
            ".item(), no print."
        )
    return Markdown(
        id="why",
        title=Text(zh="看到了什么，为什么", en="What you see and why"),
        provenance=_MEASURED,
        body=Text(zh="\n".join(zh), en="\n".join(en)),
    )
