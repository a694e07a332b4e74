"""Functions that Dynamo cannot take in one piece, to start from: the model's pieces, each with a break."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

_HEAD: Final = """import torch
import torch.nn.functional as F

"""
FUNCTIONS: Final = {
    "mlp": f"""{_HEAD}
def forward(x, w_gate, w_up, w_down):
    inner = F.silu(F.linear(x, w_gate)) * F.linear(x, w_up)
    if inner.abs().max() > 1000:  # decided by the data
        inner = inner.clamp(-1000, 1000)
    y = F.linear(inner, w_down)
    print("tokens:", len(y))
    return y / y.square().mean().sqrt()
""",
    "norm": f"""{_HEAD}
def forward(residual, delta, w_norm):
    h = residual + delta
    scale = h.square().mean().item()  # a number of Python: the graph ends here
    y = h / (scale + 1e-5) ** 0.5
    return y * w_norm, h
""",
    "chain": f"""{_HEAD}
def forward(gate, up):
    a = F.silu(gate) * up
    rows = a[a.sum(-1) > 0]  # how many rows, only the data knows
    b = torch.tanh(rows * 0.5)
    return b * torch.sigmoid(b)
""",
}
