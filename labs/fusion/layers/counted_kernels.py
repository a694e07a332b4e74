"""The fused block on Triton's kernels in the interpreter: checked, and every byte of each kernel counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import torch

from labs.formulas.decoder_block import INT8_STEPS, Step
from labs.fusion.layers.block import FusibleBlock, Inputs, Weights
from labs.fusion.layers.int8 import Projection, quantised_projection
from labs.fusion.layers.triton_kernels import TritonKernels
from labs.inspection.compiled import Compiled, Target  # noqa: TC001 - read from annotations when asked
from labs.inspection.interpreted import Recorder
from labs.models.config import ModelConfig
from labs.ops.rope import angles
from labs.relative_error import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CONTEXT = 16  # tokens of the sequence at most: bytes grow with them, and the interpreter is slow


class KernelBytes(msgspec.Struct, frozen=True):
    """Distinct bytes that one launch loaded and stored; ``outside``: lanes beyond every tensor."""

    step: Step
    read: int
    written: int
    outside: int

    @property
    def bytes(self) -> int:
        return self.read + self.written


class CountedBlock(msgspec.Struct, frozen=True):
    """``gap``: of what the fused block gives from the same block with nothing fused, relative, by norms."""

    kernels: list[KernelBytes]
    gap: float


def count_block(
    config: dict[str, Any], tokens: int, context: int, int8: bool, steps: list[Step]
) -> CountedBlock:
    """With ``steps`` fused, at ``tokens`` of ``context``, random weights of the model's shape. To be asked of
    ``labs.inspection.process``; ``config`` are a ModelConfig's fields."""
    shape, kernels = msgspec.convert(config, ModelConfig), WatchedKernels()
    weights, entering = random_block(shape, tokens, context, int8)
    expected = FusibleBlock(shape, kernels, frozenset())(weights, entering)
    found = FusibleBlock(shape, kernels, frozenset(steps))(weights, entering)
    return CountedBlock(kernels.watched, relative_error(found, expected))


def compiled_block(
    config: dict[str, Any], tokens: int, context: int, int8: bool, target: Target
) -> list[Compiled]:
    """What the same block launches, compiled for ``target``, without its texts."""
    from labs.inspection.compiled import compile_launch
    from labs.inspection.launches import launches_of

    shape = msgspec.convert(config, ModelConfig)
    weights, entering = random_block(shape, tokens, context, int8)
    whole = FusibleBlock(shape, TritonKernels(), frozenset(INT8_STEPS))
    launches = launches_of(lambda: whole(weights, entering))
    return [msgspec.structs.replace(compile_launch(one, target), stages={}) for one in launches]


def random_block(config: ModelConfig, tokens: int, context: int, int8: bool) -> tuple[Weights, Inputs]:
    """Weights and inputs of a block in fp32; ``tokens`` 1: a decode over a cache, else a prefill."""
    make = torch.Generator().manual_seed(0)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=make)

    width, ffn, size = config.hidden, config.intermediate, config.head_dim
    query, kv = config.heads * size, config.kv_heads * size
    project = quantised_projection if int8 else Projection
    weights = Weights(
        (normal(width), normal(width)),
        project(normal(query + 2 * kv, width, scale=width**-0.5)),
        normal(width, query, scale=query**-0.5),
        project(normal(2 * ffn, width, scale=width**-0.5)),
        normal(width, ffn, scale=ffn**-0.5),
    )
    cosine, sine = (table[-tokens:].contiguous() for table in angles(context, size))
    causal = None if tokens == 1 else torch.full((tokens, context), -torch.inf).triu(1)
    cache = (config.kv_heads, context, size)
    rows = normal(tokens, width), normal(tokens, width)
    return weights, Inputs(*rows, cosine, sine, normal(*cache), normal(*cache), causal)


class WatchedKernels(TritonKernels):
    """``watched`` holds the accesses of every launch."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: list[KernelBytes] = []

    def add_norm(self, *given: Any) -> Any:
        return self._watch("norm", super().add_norm, given)

    def add_norm_quantise(self, *given: Any) -> Any:
        return self._watch("quantise", super().add_norm_quantise, given)

    def int8_product(self, *given: Any) -> Any:
        return self._watch("scales", super().int8_product, given)

    def swiglu(self, *given: Any) -> Any:
        return self._watch("activation", super().swiglu, given)

    def rope(self, *given: Any) -> Any:
        return self._watch("rope", super().rope, given)

    def attention(self, *given: Any) -> Any:
        return self._watch("attention", super().attention, given)

    def _watch(self, step: Step, call: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        recorder = Recorder()
        with recorder.entered():
            made = call(*given)
        counts = recorder.recording()
        read = sum(one.distinct_loaded_bytes for one in counts.tensors)
        written = sum(one.distinct_stored_bytes for one in counts.tensors)
        self.watched.append(KernelBytes(step, read, written, counts.outside))
        return made
