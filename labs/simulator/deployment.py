"""A model on a device, or on several that share each layer: the bytes and FLOPs that each of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from labs.simulator.hardware import Compute, Device
from labs.simulator.model_cost import kv_bytes_per_token, streamed_parameters
from labs.simulator.model_shape import ModelShape, parameters
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from typing import Final

# Of the device's memory, what an engine may fill with weights and KV (vLLM's default gpu_memory_utilization).
MEMORY_SHARE: Final = 0.9


class Deployment(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """``tensor_parallel`` devices hold a slice of every layer each (Megatron-LM, 1909.08053).

    ``weight_bytes`` and ``kv_bytes`` are bytes an element; ``compute`` is the type of the matrix products,
    attention runs in BF16 at least.
    """

    model: ModelShape
    device: Device
    tensor_parallel: int = 1
    compute: Compute = "bf16"
    weight_bytes: float = 2.0
    kv_bytes: float = 2.0

    def __post_init__(self) -> None:
        heads, devices = self.model.heads, self.tensor_parallel
        if devices < 1 or heads % devices:
            zh = f"{heads} 个注意力头不能均分到 {devices} 个设备"
            raise LabError(Text(zh=zh, en=f"{heads} heads cannot be divided evenly among {devices} devices"))

    @property
    def peak(self) -> float:
        """FLOP/s of all devices together."""
        return self.device.peak(self.compute) * self.tensor_parallel

    @property
    def attention_peak(self) -> float:
        compute = "bf16" if self.compute in ("fp8", "int8", "fp4") else self.compute
        return self.device.peak(compute) * self.tensor_parallel

    @property
    def bandwidth(self) -> float:
        """Bytes/s of all devices together."""
        return self.device.memory_bandwidth * self.tensor_parallel

    @property
    def kv_copies(self) -> float:
        """How often the devices together store each token: more than once where there are more devices than
        KV heads, and always where all heads share one latent."""
        if self.model.latent is not None:
            return float(self.tensor_parallel)
        return max(1.0, self.tensor_parallel / self.model.kv_heads)

    @property
    def kv_token_bytes(self) -> float:
        """Bytes that a token takes, over all layers and devices."""
        return kv_bytes_per_token(self.model, self.kv_bytes) * self.kv_copies

    def streamed_bytes(self, tokens: float) -> float:
        """Bytes of weights that a step with so many tokens reads, over all devices."""
        return streamed_parameters(self.model, tokens) * self.weight_bytes

    def kv_blocks(self, block_size: int, memory_share: float = MEMORY_SHARE) -> int:
        """Blocks that fit beside the weights. LabError where the weights alone do not fit."""
        memory = self.device.memory_bytes * self.tensor_parallel * memory_share
        weights = parameters(self.model) * self.weight_bytes
        blocks = int((memory - weights) // (self.kv_token_bytes * block_size))
        if blocks < 1:
            raise self._too_large(weights, memory)
        return blocks

    def _too_large(self, weights: float, memory: float) -> LabError:
        name, gib = self.model.name, 2**30
        size, room = f"{weights / gib:.1f} GiB", f"{memory / gib:.1f} GiB"
        where = f"{self.tensor_parallel} × {self.device.title}"
        return LabError(
            Text(
                zh=f"{name} 的权重要 {size}，而 {where} 可用 {room}；请增加设备，或用更少的位",
                en=f"{name} has {size} of weights, and {where} has {room} to use: more devices or fewer bits",
            )
        )
