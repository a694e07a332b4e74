"""What a checkpoint is, whatever its file format: tensors by the names of ``labs.models.config``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from labs.models.config import tensor_shapes
from labs.models.errors import unusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from labs.models.config import ModelConfig
    from labs.text import Text


_EMBEDDING, _HEAD = "embed_tokens.weight", "lm_head.weight"


class Checkpoint(Protocol):
    """An opened checkpoint. Opening checks the header; ``tensor`` reads one tensor's bytes."""

    path: Path
    config: ModelConfig

    @property
    def source_text(self) -> Text:
        """One sentence on what these weights are, for the results that were computed with them."""

    def names(self) -> set[str]:
        """The tensors that the file holds, by canonical name where they have one."""

    def shape(self, name: str) -> tuple[int, ...]:
        """What the header says of a tensor."""

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor on the CPU: FP32, or the floating-point type in which it is stored."""


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at a path that ``labs.models.location.locate`` returned."""
    if path.is_dir():
        from labs.models.safetensors_checkpoint import SafetensorsCheckpoint

        return SafetensorsCheckpoint(path)
    from labs.models.gguf_checkpoint import GGUFCheckpoint

    return GGUFCheckpoint(path)


def checked_tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor that the config asks for, in the order of the forward pass.

    LabError when one is missing, of the wrong shape or not finite, and when the file holds one that the
    config does not explain: a bias or a norm left out would give wrong results in silence.
    """
    expected, present = tensor_shapes(checkpoint.config), checkpoint.names()
    # Some Llama folders store the tied head again, or the rotary table that the config already determines.
    extra = {name for name in present - expected.keys() if not _is_redundant(name, checkpoint.config)}
    for names, zh, en in (
        (expected.keys() - present, "缺少张量", "missing tensor"),
        (extra, "含有配置未说明的张量", "a tensor that its config does not explain"),
    ):
        if names:
            first = sorted(names)[0]
            zh, en = f"{zh} {first}（共 {len(names)} 个）", f"{en}: {first} ({len(names)} in all)"
            raise unusable(checkpoint.path, zh=zh, en=en)
    if checkpoint.config.tied_embeddings and _HEAD in present:
        _check_tied(checkpoint)
    for name, shape in expected.items():
        given = checkpoint.shape(name)
        if given != shape:
            zh, en = f"{name} 的形状为 {given}，应为 {shape}", f"{name} has shape {given}, expected {shape}"
            raise unusable(checkpoint.path, zh=zh, en=en)
        tensor = checkpoint.tensor(name)
        if not all(math.isfinite(end) for end in tensor.aminmax()):
            raise unusable(checkpoint.path, zh=f"{name} 含无穷或非数", en=f"{name} holds infinities or NaN")
        yield name, tensor


def _is_redundant(name: str, config: ModelConfig) -> bool:
    return name.endswith("rotary_emb.inv_freq") or (config.tied_embeddings and name == _HEAD)


def _check_tied(checkpoint: Checkpoint) -> None:
    """A head of its own values beside a config that ties it: which is meant, nobody can tell."""
    head, embedding = (checkpoint.tensor(name).float() for name in (_HEAD, _EMBEDDING))
    if head.equal(embedding):
        return
    zh = f"配置声明 {_HEAD} 与 {_EMBEDDING} 共享，文件中两者却不相同"
    en = f"its config ties {_HEAD} to {_EMBEDDING}, but in the file they differ"
    raise unusable(checkpoint.path, zh=zh, en=en)
