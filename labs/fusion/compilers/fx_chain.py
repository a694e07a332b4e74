"""A chain as a ``torch.fx`` graph of the calls that eager torch would make, one a step."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import fx

from labs.fusion.compilers.fx_subjects import known
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from torch import Tensor

    from labs.fusion.compilers.pattern_language import Chain


def mean(x: Tensor) -> Tensor:
    """Over the last dimension, which stays."""
    return x.mean(-1, keepdim=True)


def row_sum(x: Tensor) -> Tensor:
    """Over the last dimension, which stays."""
    return x.sum(-1, keepdim=True)


TARGETS: Final[dict[str, Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": torch.neg,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "relu": torch.relu,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "square": torch.square,
    "mean": mean,
    "sum": row_sum,
    "linear": F.linear,
}
OPERATOR_OF: Final = {target: name for name, target in TARGETS.items()}


def graph_module(chain: Chain) -> fx.GraphModule:
    """Placeholders are the chain's inputs in order; the outputs come as a tuple."""
    graph = fx.Graph()
    values: dict[str, fx.Node] = {name: graph.placeholder(name) for name in chain.inputs}
    for step in chain.steps:
        operands = tuple(values[one] if isinstance(one, str) else one for one in step.operands)
        node = graph.create_node("call_function", TARGETS[step.operator], operands, name=step.name)
        values[step.name] = node
    graph.output(tuple(values[name] for name in chain.outputs))
    return fx.GraphModule(torch.nn.Module(), graph)


def record_shapes(module: fx.GraphModule, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Run it once: what it gives, and each node's shape and bytes in ``node.meta``.

    LabError where an input has no tensor, or shapes do not go together.
    """
    recorder = _Recorder(module)
    recorder.extra_traceback = (
        False  # it would import Dynamo, in two seconds, to say no more than is said here
    )
    inputs = [known(tensors, node.name) for node in module.graph.find_nodes(op="placeholder")]
    result: tuple[Tensor, ...] = recorder.run(*inputs)
    return result


class _Recorder(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        try:
            value = super().run_node(n)
        except RuntimeError as error:
            what = str(error).split("\n", 1)[0]
            raise LabError(
                Text(zh=f"算子 {n.name} 不能算：{what}", en=f"operator {n.name} cannot be computed: {what}")
            ) from None
        if isinstance(value, torch.Tensor):
            n.meta["shape"], n.meta["bytes"] = tuple(value.shape), value.nbytes
        return value
