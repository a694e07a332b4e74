"""HLO drawn: one node an instruction, fusions as boxes around what they compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labs.results import Graph, GraphEdge, GraphNode, Provenance
from labs.text import Text, same

if TYPE_CHECKING:
    from typing import Final

    from labs.fusion.compilers.hlo_text import HloModule, Instruction

KINDS: Final = [
    Text(zh="输入", en="input"),
    Text(zh="矩阵乘", en="matrix product"),
    Text(zh="归约", en="reduction"),
    Text(zh="逐元素", en="elementwise"),
    Text(zh="广播与变形", en="broadcast and reshape"),
    Text(zh="结果", en="result"),
]
_MOVES: Final = ("broadcast", "reshape", "bitcast", "transpose", "copy", "slice", "concatenate")
_KIND: Final = {"parameter": 0, "dot": 1, "reduce": 2, **dict.fromkeys(_MOVES, 4)}


def hlo_graph(module: HloModule, id: str, title: Text) -> Graph:
    """``module`` with fusions opened; numbers (constants, and what is broadcast from them) are left out."""
    drawn = _Drawn([], [], [])
    results = _draw(module, module.entry, [], -1, drawn)
    for place, node in enumerate(results):
        drawn.edges.append((node, len(drawn.nodes)))
        name = same(f"result {place}" if len(results) > 1 else "result")
        drawn.nodes.append(GraphNode(name=name, category=5))
    return Graph(
        id=id,
        title=title,
        provenance=Provenance.MEASURED,
        unit="B",
        source=Text(
            zh="XLA 自己的文本（HLO）；字节由形状得出", en="XLA's own text (HLO); bytes follow from shapes"
        ),
        nodes=drawn.nodes,
        edges=[GraphEdge(source=a, target=b) for a, b in drawn.edges],
        categories=KINDS,
        groups=drawn.groups,
        value_name=Text(zh="结果的大小", en="size of its result"),
    )


class _Drawn(NamedTuple):
    nodes: list[GraphNode]
    edges: list[tuple[int, int]]
    groups: list[Text]


def _draw(module: HloModule, name: str, given: list[list[int]], group: int, drawn: _Drawn) -> list[int]:
    """Draw a computation whose parameters are the nodes ``given``; the nodes of its root."""
    places: dict[str, list[int]] = {}
    root: list[int] = []
    for one in module.computations[name]:
        places[one.name] = _nodes(module, one, places, given, group, drawn)
        root = places[one.name] if one.root else root
    return root


def _nodes(
    module: HloModule,
    one: Instruction,
    places: dict[str, list[int]],
    given: list[list[int]],
    group: int,
    drawn: _Drawn,
) -> list[int]:
    if one.opcode == "parameter" and given:
        return given[int(one.operands[0])]
    operands = [places.get(operand, []) for operand in one.operands]
    if one.calls:
        return _draw(module, one.calls, operands, _box(one, group, drawn), drawn)
    flat = [node for nodes in operands for node in nodes]
    if one.opcode == "get-tuple-element":
        return flat[one.part : one.part + 1]
    if one.opcode == "tuple":
        return flat
    if not flat and one.opcode != "parameter":
        return []
    drawn.edges.extend((node, len(drawn.nodes)) for node in dict.fromkeys(flat))
    drawn.nodes.append(_node(one, group))
    return [len(drawn.nodes) - 1]


def _box(one: Instruction, group: int, drawn: _Drawn) -> int:
    """A fusion's own; what a plain call does stays where the call is."""
    if one.opcode != "fusion":
        return group
    drawn.groups.append(same(f"{one.name} ({one.kind})"))
    return len(drawn.groups) - 1


def _node(one: Instruction, group: int) -> GraphNode:
    shown = one.name.rsplit(".", 1)[0] if one.opcode == "parameter" else one.opcode
    return GraphNode(
        name=same(shown),
        category=_KIND.get(one.opcode, 3),
        group=group,
        detail=same(f"{one.name} = {one.opcode} {one.shape}"),
        value=float(one.bytes) or None,
    )
