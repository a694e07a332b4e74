"""Parameters that several quantisation labs share: which matrix of the model they look at."""

from __future__ import annotations

from typing import Annotated, Literal

from labs.spec import Field
from labs.text import Text, same

Module = Annotated[
    Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    Field(
        zh="模块",
        en="Module",
        zh_help="该层的哪个线性层：注意力的 Q、K、V、O 投影，或 MLP 的 gate、up、down 投影。",
        en_help="Which linear layer of the block: Q, K, V, O of attention, or gate, up, down of the MLP.",
        choices={
            name: same(name)
            for name in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
        },
    ),
]
Layer = Annotated[
    int,
    Field(
        zh="层",
        en="Layer",
        zh_help="从 0 开始数的 Transformer 层。默认模型第 11 层的 down_proj 输入里"
        "有全模型最大的激活离群值之一。",
        en_help="Transformer block, counted from 0. In the default model the input of layer 11's down_proj "
        "holds one of the largest activation outliers.",
        ge=0,
        le="last_layer",
    ),
]
Target = Annotated[
    Literal["weight", "activation"],
    Field(
        zh="对象",
        en="Target",
        zh_help="权重 [输出通道, 输入通道] 只需离线量化一次；"
        "激活 [token, 通道] 是该模块的真实输入，推理时逐次量化。",
        en_help="A weight [out, in] is quantised once, offline; an activation [tokens, channels], the "
        "module's real input, each time it arrives.",
        choices={"weight": Text(zh="权重", en="weight"), "activation": Text(zh="激活", en="activation")},
    ),
]
