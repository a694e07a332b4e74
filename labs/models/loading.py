"""From a path to a model that runs: weights, tokenizer and config, checked against each other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from labs.models.checkpoint import checked_tensors, open_checkpoint
from labs.models.config import tensor_shapes
from labs.models.llama import Llama
from labs.models.location import locate

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from labs.models.checkpoint import Checkpoint
    from labs.models.config import ModelConfig
    from labs.models.tokenizer import ModelTokenizer
    from labs.text import Text


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
    model = _model(checkpoint, torch.device(device), dtype, on_progress)
    name = found.resolve().name.removesuffix(".gguf")
    return LoadedModel(model, tokenizer, checkpoint.config, name, checkpoint.source_text, found)


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
