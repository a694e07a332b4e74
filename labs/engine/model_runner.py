"""What the engine calls each step: tokens in, logits out, KV in the blocks that the engine assigned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.engine.batch import flat_batch
from labs.engine.fast_path import checked_library, fast_path
from labs.engine.kv_store import KVStore
from labs.engine.native_path import NativePath, native_model
from labs.engine.torch_path import TorchPath
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from labs.engine.fast_path import Path
    from labs.engine.kv_store import HostBlocks
    from labs.engine.precision import KVType, Weights
    from labs.engine.work import Work
    from labs.models.llama import Llama


class ModelRunner:
    """The model with its weights in one type and a paged KV store of ``blocks`` blocks.

    ``model`` is an fp32 model; in fp32 the runner shares its memory where it can. ``kv_bytes`` is what the
    store takes, ``weight_bytes`` what one decode step must read of the weights at least. ``path``: how steps
    are computed, by default as ``labs.engine.fast_path`` finds.
    """

    def __init__(
        self,
        model: Llama,
        *,
        blocks: int,
        block_size: int,
        weights: Weights = "fp32",
        kv: KVType = "fp32",
        device: str = "cpu",
        path: Path | None = None,
    ) -> None:
        self.model, self.config = model, model.config
        self.block_size = block_size
        self.device = device
        self.kv = KVStore(model.config, blocks, block_size, kv, device)
        self.kv_bytes = self.kv.nbytes
        if path is None:
            found = fast_path(weights, device)
            if found.path is None:
                raise LabError(found.text)
            path = found.path
        self.path = path
        self._compute: NativePath | TorchPath
        if path == "native":
            library = checked_library()
            if isinstance(library, Text):
                raise LabError(library)
            self._compute = NativePath(library, native_model(model, weights), self.config.vocab, self.kv)
        else:
            positions = min(model.config.context, blocks * block_size)
            self._compute = TorchPath(model, weights, device, positions)
        self.weight_bytes = self._compute.weight_bytes

    @torch.inference_mode()
    def step(self, works: Sequence[Work]) -> Tensor:
        """Compute the new tokens of all ``works``; FP32 logits ``[works that sample, vocab]``, in order.

        LabError when a sequence outgrows the model's context.
        """
        if not works:
            return torch.empty(0, self.config.vocab, device=self.device)
        self._check(works)
        if isinstance(self._compute, NativePath):
            return self._compute.forward(works)
        return self._compute.forward(flat_batch(works, self.block_size, self.device), self.kv)

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy-on-write: source block onto target block, in all layers."""
        self.kv.copy_blocks(pairs)

    def save_blocks(self, blocks: Sequence[int]) -> HostBlocks:
        """Swap out: the KV of these blocks in host memory."""
        return self.kv.save_blocks(blocks)

    def restore_blocks(self, saved: HostBlocks, blocks: Sequence[int]) -> None:
        """Swap in, into any blocks, as many as were saved."""
        self.kv.restore_blocks(saved, blocks)

    def _check(self, works: Sequence[Work]) -> None:
        for work in works:
            end = work.start + len(work.tokens)
            assert work.tokens and work.start >= 0, "a work without tokens"
            assert end <= len(work.blocks) * self.block_size, "a block table that does not cover its tokens"
            # A native kernel would read whatever lies there.
            assert 0 <= min(work.tokens) and max(work.tokens) < self.config.vocab, "a token of no vocabulary"
            assert 0 <= min(work.blocks) and max(work.blocks) < self.kv.blocks, "a block that does not exist"
            if end > self.config.context:
                zh = f"序列长 {end} 个 token，超过模型的上下文 {self.config.context}"
                en = f"a sequence of {end} tokens exceeds the model's context of {self.config.context}"
                raise LabError(Text(zh=zh, en=en))
