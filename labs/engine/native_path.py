"""The forward pass of a step in one native call: all layers, prefill chunks and decodes together.

A decode step of a small model makes hundreds of operations of microseconds each; what one call into torch
costs would come on top of every one of them.
"""

from __future__ import annotations

import array
import ctypes
import weakref
from typing import TYPE_CHECKING

import torch

from labs.engine.native_matrix import CMatrix, native_matrix
from labs.engine.torch_path import rotation_table
from labs.engine.weights import fused, fused_bias, norm_weight
from labs.models.llama import Block, Llama

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from labs.engine.kv_store import KVStore
    from labs.engine.native_matrix import NativeMatrix
    from labs.engine.precision import Weights
    from labs.engine.work import Work

_KV_KINDS = {"fp32": 0, "bf16": 1, "int8": 2}
_P, _I = ctypes.c_void_p, ctypes.c_int32


class CLayer(ctypes.Structure):
    """``Layer`` of ``native/step.cpp``."""

    _fields_ = (
        ("attention_norm", _P),
        ("qkv", CMatrix),
        ("qkv_bias", _P),
        ("q_norm", _P),
        ("k_norm", _P),
        ("o", CMatrix),
        ("mlp_norm", _P),
        ("gate_up", CMatrix),
        ("down", CMatrix),
    )


class CModel(ctypes.Structure):
    """``Model`` of ``native/step.cpp``."""

    _fields_ = (
        *((name, _I) for name in ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim")),
        ("epsilon", ctypes.c_float),
        ("padding", _I),
        ("embedding", _P),
        ("cosines", _P),
        ("sines", _P),
        ("layer", ctypes.POINTER(CLayer)),
        ("norm", _P),
        ("head", CMatrix),
    )


class CStore(ctypes.Structure):
    """``Store`` of ``native/attention.h``."""

    _fields_ = (("kind", _I), ("block_size", _I), ("slots", ctypes.c_int64), ("data", _P), ("scales", _P))


class CStep(ctypes.Structure):
    """``Step`` of ``native/step.cpp``."""

    _fields_ = (
        ("works", _I),
        ("sampled", _I),
        *((name, _P) for name in ("ids", "first", "start", "table", "blocks", "samples", "logits")),
    )


class NativeModel:
    """A model's weights in one type, packed for the native kernels; any number of KV stores may use it."""

    def __init__(self, model: Llama, weights: Weights) -> None:
        self.weights = weights
        self.weight_bytes = 0
        self._kept: list[object] = []  # what the library points into
        self.struct = self._packed_model(model, weights)

    def _packed_model(self, model: Llama, weights: Weights) -> CModel:
        config = model.config
        layers = (CLayer * config.layers)()
        for index in range(config.layers):
            layers[index] = self._packed_layer(model, index, weights)
        # INT4 would hurt the head, so it gets INT8, as in the quantization labs.
        head = self._packed(model.lm_head.weight.detach(), "int8" if weights == "int4" else weights)
        cosines, sines = rotation_table(model, config.context, torch.float32, "cpu")
        return CModel(
            config.layers,
            config.hidden,
            config.intermediate,
            config.heads,
            config.kv_heads,
            config.head_dim,
            config.rms_norm_eps,
            0,
            self._pointer(model.embed_tokens.weight),
            self._pointer(cosines),
            self._pointer(sines),
            ctypes.cast(layers, ctypes.POINTER(CLayer)),
            self._pointer(model.norm.weight),
            head,
        )

    def _packed_layer(self, model: Llama, index: int, weights: Weights) -> CLayer:
        block = model.layers[index]
        assert isinstance(block, Block)
        return CLayer(
            self._pointer(block.input_layernorm.weight),
            self._packed(fused(model, index, "q_proj", "k_proj", "v_proj"), weights),
            self._pointer(fused_bias(model, index)),
            self._pointer(norm_weight(block.self_attn.q_norm)),
            self._pointer(norm_weight(block.self_attn.k_norm)),
            self._packed(fused(model, index, "o_proj"), weights),
            self._pointer(block.post_attention_layernorm.weight),
            self._packed(fused(model, index, "gate_proj", "up_proj"), weights),
            self._packed(fused(model, index, "down_proj"), weights),
        )

    def _packed(self, weight: Tensor, kind: Weights) -> CMatrix:
        matrix: NativeMatrix = native_matrix(weight, kind)
        self._kept.append(matrix)
        self.weight_bytes += matrix.nbytes
        return matrix.struct

    def _pointer(self, values: Tensor | None) -> int | None:
        if values is None:
            return None
        values = values.detach().float().contiguous()
        self._kept.append(values)
        return values.data_ptr()


_PACKED: weakref.WeakKeyDictionary[Llama, NativeModel] = weakref.WeakKeyDictionary()


def native_model(model: Llama, weights: Weights) -> NativeModel:
    """Packing takes seconds, so that of the latest type is kept as long as the model is."""
    packed = _PACKED.get(model)
    if packed is None or packed.weights != weights:
        packed = _PACKED[model] = NativeModel(model, weights)
    return packed


class NativePath:
    """The native kernels over one KV store."""

    def __init__(self, library: ctypes.CDLL, model: NativeModel, vocabulary: int, store: KVStore) -> None:
        self._library, self._model, self._vocab = library, model, vocabulary
        self._kept = store  # what the library points into, beside the weights
        self.weight_bytes = model.weight_bytes
        scales = None if store.scales is None else store.scales.data_ptr()
        slots = store.blocks * store.block_size
        self._store = CStore(_KV_KINDS[store.kind], store.block_size, slots, store.data.data_ptr(), scales)
        self._threads = 0
        self._runner: int | None = None
        self._forget: weakref.finalize[..., NativePath] | None = None

    def forward(self, works: Sequence[Work]) -> Tensor:
        """FP32 logits ``[works that sample, vocab]``, in order; the KV of all tokens is stored on the way."""
        first, table = [0], []
        ids: list[int] = []
        blocks: list[int] = []
        for work in works:
            table.append(len(blocks))
            blocks += work.blocks
            ids += work.tokens
            first.append(len(ids))
        samples = [end - 1 for end, work in zip(first[1:], works, strict=True) if work.sample]
        logits = torch.empty(len(samples), self._vocab)
        lists = (ids, first, [work.start for work in works], table, blocks, samples)
        arrays = [array.array("i", numbers) for numbers in lists]
        pointers = [numbers.buffer_info()[0] for numbers in arrays]
        step = CStep(len(works), len(samples), *pointers, logits.data_ptr())
        self._library.inferlab_step(self._ready(), ctypes.byref(step))
        return logits

    def _ready(self) -> int:
        """The runner, made anew when torch's number of threads has changed."""
        threads = torch.get_num_threads()
        if threads != self._threads or self._runner is None:
            if self._forget is not None:
                self._forget()
            runner = self._library.inferlab_runner(
                ctypes.byref(self._model.struct), ctypes.byref(self._store), threads
            )
            self._forget = weakref.finalize(self, self._library.inferlab_forget, runner)
            self._runner, self._threads = runner, threads
        return self._runner
