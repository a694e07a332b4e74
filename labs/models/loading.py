"""From a path to a model that runs: weights, tokenizer and config, checked against each other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from labs.memory_budget import reserve
from labs.models.checkpoint import checked_tensors, open_checkpoint
from labs.models.config import tensor_shapes
from labs.models.errors import unusable
from labs.models.llama import Llama
from labs.models.location import locate
from labs.text import Text

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from labs.models.checkpoint import Checkpoint
    from labs.models.config import ModelConfig
    from labs.models.tokenizer import ModelTokenizer


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """``name`` is short, for titles; ``source_text`` says what the weights are, for provenance."""

    model: Llama
    tokenizer: ModelTokenizer
    config: ModelConfig
    name: str
    source_text: Text
    path: Path


def load_model(
    path: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    on_progress: Callable[[float], None] | None = None,
) -> LoadedModel:
    """The model at ``path`` (see ``labs.models.location.locate``), in ``eval`` mode, needing no gradients.

    ``on_progress`` gets the share of tensors read, 0 to 1; what it raises stops the loading.
    LabError names the file and what was expected of it.
    """
    found = locate(path)
    checkpoint = open_checkpoint(found)
    tokenizer = _tokenizer(found)
    _check_vocabulary(found, tokenizer, checkpoint.config)
    name = found.resolve().name.removesuffix(".gguf")
    size_bytes = checkpoint.config.parameters * dtype.itemsize
    reserve(size_bytes, Text(zh=f"{name} 的权重", en=f"the weights of {name}"), str(device))
    model = _model(checkpoint, torch.device(device), dtype, on_progress)
    return LoadedModel(model, tokenizer, checkpoint.config, name, checkpoint.source_text, found)


def _check_vocabulary(path: Path, tokenizer: ModelTokenizer, config: ModelConfig) -> None:
    """A token without a row in the embedding would end a run with an IndexError. Tokens added later are let
    be: some models carry a padding token that has no row, and is never met in a text."""
    if tokenizer.largest_id >= config.vocab:
        zh = f"分词器的 token 编号最大为 {tokenizer.largest_id}，而嵌入只有 {config.vocab} 行"
        en = f"the tokenizer's ids reach {tokenizer.largest_id}, and the embedding has {config.vocab} rows"
        raise unusable(path, zh=zh, en=en)


def _model(
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    on_progress: Callable[[float], None] | None,
) -> Llama:
    config = checkpoint.config
    total = len(tensor_shapes(config))
    weights = {}
    for done, (name, tensor) in enumerate(checked_tensors(checkpoint), start=1):
        weights[name] = tensor.to(device=device, dtype=dtype)
        if on_progress is not None:
            on_progress(done / total)
    if config.tied_embeddings:
        weights["lm_head.weight"] = weights["embed_tokens.weight"]
    # On the meta device a module has shapes and no memory: no time goes into weights that are replaced.
    with torch.device("meta"):
        model = Llama(config)
    model.load_state_dict(weights, assign=True)
    model.tie()
    return model.eval().requires_grad_(False)


def _tokenizer(path: Path) -> ModelTokenizer:
    if path.is_dir():
        from labs.models.folder_tokenizer import read_folder_tokenizer

        return read_folder_tokenizer(path)
    from labs.models.gguf_tokenizer import read_gguf_tokenizer

    return read_gguf_tokenizer(path)
