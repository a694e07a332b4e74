"""Tensors of a Llama-architecture GGUF file, dequantised to FP32."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import gguf
import numpy as np
import torch

from labs.models.errors import unusable
from labs.models.gguf_config import ROPE_FACTORS_TENSOR, gguf_config
from labs.models.gguf_header import read_header, truncated
from labs.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from labs.models.gguf_header import TensorEntry

_NAMES = {
    "token_embd.weight": "embed_tokens.weight",
    "output_norm.weight": "norm.weight",
    "output.weight": "lm_head.weight",
}
_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class GGUFCheckpoint:
    """See ``labs.models.checkpoint.Checkpoint``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._header = read_header(path)
        self.config = gguf_config(self._header)
        self._check_places()
        entries = self._header.tensors.values()
        self._entries = {
            canonical_name(entry.name): entry for entry in entries if entry.name != ROPE_FACTORS_TENSOR
        }

    @property
    def source_text(self) -> Text:
        # Most linear weights share one type; embeddings and norms are usually stored finer.
        kinds = [self._kind(entry).name for entry in self._entries.values() if len(entry.shape) == 2]
        kind = max(set(kinds), key=kinds.count)
        return Text(
            zh=f"{self.path.name}：{kind} 权重反量化为浮点数；原始权重不可得，{kind} 自身的损失未知",
            en=f"{self.path.name}: {kind} weights, dequantised; the original weights are not at hand, "
            f"so {kind}'s own damage is unknown",
        )

    def names(self) -> set[str]:
        return set(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entries[name].shape

    def tensor(self, name: str) -> torch.Tensor:
        entry = self._entries[name]
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused by who asks
                values = gguf.dequantize(self._blocks(entry), self._kind(entry))
        except NotImplementedError as error:
            kind = self._kind(entry).name
            raise unusable(
                self.path, zh=f"{name} 的类型 {kind} 无法反量化", en=f"{name}: no dequantiser for {kind}"
            ) from error
        if not values.flags.writeable:  # F32 is not converted: this is still a view of the mapped file
            values = values.copy()
        tensor = torch.from_numpy(values).reshape(entry.shape)
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = self.config.heads if "q_proj" in name else self.config.kv_heads
            return unpermute(tensor, heads)
        return tensor

    def _kind(self, entry: TensorEntry) -> gguf.GGMLQuantizationType:
        try:
            return gguf.GGMLQuantizationType(entry.type_id)
        except ValueError as error:
            zh, en = (
                f"{entry.name} 的类型编号 {entry.type_id} 未知",
                f"{entry.name} has unknown type {entry.type_id}",
            )
            raise unusable(self.path, zh=zh, en=en) from error

    def _blocks(self, entry: TensorEntry) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """The stored bytes, ``[rows, bytes per row]``."""
        shape = self._stored_shape(entry)
        stored = np.frombuffer(self._header.data, dtype=np.uint8, count=math.prod(shape), offset=entry.offset)
        return stored.reshape(shape)

    def _stored_shape(self, entry: TensorEntry) -> tuple[int, ...]:
        block_size, block_bytes = gguf.GGML_QUANT_SIZES[self._kind(entry)]
        row, rest = divmod(entry.shape[-1] if entry.shape else 0, block_size)
        if rest or not row:
            shape = entry.shape
            zh = f"{entry.name} 的形状 {shape} 不能按 {block_size} 个元素分块"
            raise unusable(
                self.path,
                zh=zh,
                en=f"{entry.name}: shape {shape} does not divide into blocks of {block_size}",
            )
        return (*entry.shape[:-1], row * block_bytes)

    def _check_places(self) -> None:
        """Every tensor lies within the file, and no two share a byte: a damaged place would be another's
        weights in silence."""
        end, before = 0, "header"
        for entry in sorted(self._header.tensors.values(), key=lambda entry: entry.offset):
            if entry.offset < end:
                raise truncated(self.path, f"{entry.name} begins at {entry.offset}, within {before}")
            # Python's integers do not overflow.
            end, before = entry.offset + math.prod(self._stored_shape(entry)), entry.name
            if end > len(self._header.data):
                raise truncated(self.path, f"{entry.name} ends at {end} of {len(self._header.data)} bytes")


def canonical_name(name: str) -> str:
    """The name in ``labs.models.config`` of a GGUF tensor; a name that has none is returned unchanged."""
    block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None or block[2] not in _BLOCK_NAMES:
        return _NAMES.get(name, name)
    return f"layers.{block[1]}.{_BLOCK_NAMES[block[2]]}.{block[3]}"


def unpermute(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of a Q or K projection, back in the order "first halves, then second halves" within each head.

    A Llama GGUF stores them interleaved, for rotary embeddings that turn neighbouring pairs; the module in
    ``labs.models.llama`` turns the halves of a head against each other, as the original weights expect.
    """
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])
    return pairs.transpose(1, 2).reshape(weight.shape).contiguous()
