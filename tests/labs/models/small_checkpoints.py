"""Checkpoints of a few thousand random weights, written the way other programs write them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

if TYPE_CHECKING:
    from pathlib import Path

LAYERS, HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 2, 32, 64, 4, 2, 8, 96
_BLOCK = {
    "attn_norm": (HIDDEN,),
    "attn_q": (HEADS * HEAD_DIM, HIDDEN),
    "attn_k": (KV_HEADS * HEAD_DIM, HIDDEN),
    "attn_v": (KV_HEADS * HEAD_DIM, HIDDEN),
    "attn_output": (HIDDEN, HEADS * HEAD_DIM),
    "ffn_norm": (HIDDEN,),
    "ffn_gate": (INTERMEDIATE, HIDDEN),
    "ffn_up": (INTERMEDIATE, HIDDEN),
    "ffn_down": (HIDDEN, INTERMEDIATE),
}


def reference_model(architecture: str, **changes: Any) -> Any:
    """transformers' implementation of ``llama``, ``qwen2`` or ``qwen3`` with every weight drawn at random."""
    import transformers

    prefix = architecture.capitalize()
    config = getattr(transformers, f"{prefix}Config")(
        **{
            "vocab_size": VOCAB,
            "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "max_position_embeddings": 256,
            **changes,
        }
    )
    model = getattr(transformers, f"{prefix}ForCausalLM")(config).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            # Biases and norms start as zeros and ones, where leaving one out would go unnoticed.
            weight.normal_(1.0 if "norm" in name else 0.0, 0.3, generator=generator)
    return model


def save_folder(folder: Path, architecture: str = "llama", **changes: Any) -> Any:
    """Write ``reference_model`` and a tokenizer to ``folder``, and return the model."""
    model = reference_model(architecture, **changes)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return model


def save_tokenizer(folder: Path) -> None:
    words = {"<|end|>": 0, **{chr(code): code - 31 for code in range(32, 126)}}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))


@dataclasses.dataclass
class SmallGGUF:
    """What ``write`` puts into the file; a test changes a field to make the file wrong."""

    architecture: str = "llama"
    tokenizer: str = "gpt2"
    pre_tokenizer: str = "smollm"
    quantization: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32
    alignment: int = 32
    keys: dict[str, int | float | str] = dataclasses.field(default_factory=dict)  # over the ones below
    tensors: dict[str, np.ndarray[Any, Any] | None] = dataclasses.field(
        default_factory=dict
    )  # None: left out

    def write(self, path: Path) -> Path:
        writer = gguf.GGUFWriter(path, self.architecture)
        writer.add_custom_alignment(self.alignment)
        for key, value in (self._keys() | self.keys).items():
            add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
            add(key, value)
        writer.add_token_list(["<|end|>", *(chr(code) for code in range(33, 33 + VOCAB - 2)), "ab"])
        writer.add_token_types([3] + [1] * (VOCAB - 1))
        writer.add_token_merges(["a b"])
        for name, values in (random_tensors() | self.tensors).items():
            if values is None:
                continue
            if values.ndim == 2 and self.quantization != gguf.GGMLQuantizationType.F32:
                data = gguf.quantize(values, self.quantization)
                writer.add_tensor(name, data, raw_dtype=self.quantization)
            else:
                writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _keys(self) -> dict[str, int | float | str]:
        return {
            "llama.block_count": LAYERS,
            "llama.context_length": 256,
            "llama.embedding_length": HIDDEN,
            "llama.feed_forward_length": INTERMEDIATE,
            "llama.attention.head_count": HEADS,
            "llama.attention.head_count_kv": KV_HEADS,
            "llama.attention.layer_norm_rms_epsilon": 1e-5,
            "llama.rope.freq_base": 10000.0,
            "tokenizer.ggml.model": self.tokenizer,
            "tokenizer.ggml.pre": self.pre_tokenizer,
            "tokenizer.ggml.eos_token_id": 0,
            "tokenizer.chat_template": "{{ messages[0]['content'] }}{{ eos_token }}",
        }


def random_tensors() -> dict[str, np.ndarray[Any, Any]]:
    """Tensors by their GGUF names, with a tied head."""
    generator = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (VOCAB, HIDDEN),
        "output_norm.weight": (HIDDEN,),
    }
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in _BLOCK.items()}
    return {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
