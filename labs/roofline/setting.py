"""A step of the model as its parts: what it computes, what each part is called, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labs.formulas.decoder_demand import Bits, Decoder, part_demands
from labs.text import Text

if TYPE_CHECKING:
    from typing import Final

    from labs.formulas.roofline import Demand
    from labs.models.config import ModelConfig

Phase = Literal["prefill", "decode"]
Precision = Literal["fp32", "bf16"]

TITLES: Final = {
    "norms": Text(zh="两次归一化", en="two norms"),
    "qkv": Text(zh="QKV 投影", en="QKV projection"),
    "rope": Text(zh="旋转位置", en="rotary positions"),
    "attention": Text(zh="注意力", en="attention"),
    "o": Text(zh="输出投影 O", en="output projection"),
    "residual": Text(zh="两次残差相加", en="two residual additions"),
    "gate_up": Text(zh="gate 与 up", en="gate and up"),
    "activation": Text(zh="SwiGLU 激活", en="SwiGLU activation"),
    "down": Text(zh="down", en="down"),
    "head": Text(zh="输出头", en="output head"),
}
BITS: Final = {"fp32": 32, "bf16": 16}
KV_BITS: Final = 32  # labs.models.kv_cache keeps KV in fp32 whatever the model's type


@dataclass(frozen=True)
class Setting:
    """What a step computes: ``context`` tokens a sequence when it ends, all of them in a prefill."""

    phase: Phase
    batch: int
    context: int
    precision: Precision = "fp32"

    @property
    def tokens(self) -> int:
        """New tokens of each sequence."""
        return self.context if self.phase == "prefill" else 1

    @property
    def bits(self) -> Bits:
        bits = BITS[self.precision]
        # A prefill attends to the keys that it has just computed, not to the cache.
        return Bits(bits, bits, KV_BITS if self.phase == "decode" else bits)


def decoder_of(config: ModelConfig) -> Decoder:
    return Decoder(
        config.hidden, config.intermediate, config.heads, config.kv_heads, config.head_dim, config.vocab
    )


def demands(config: ModelConfig, setting: Setting) -> dict[str, Demand]:
    """By part, without a tensor."""
    return part_demands(decoder_of(config), setting.batch, setting.tokens, setting.context, setting.bits)


def count_of(config: ModelConfig, name: str) -> int:
    return 1 if name == "head" else config.layers
