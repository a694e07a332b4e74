"""What a step costs, from a few sums over its batch: the roofline of each part, with calibrated constants.

A step's linear layers read the weights once, whoever shares them; attention reads each sequence's own KV.
Either part takes as long as its bytes or its FLOPs do, whichever is slower (Williams et al., CACM 2009); the
parts follow one another. Beside them a step has a fixed overhead, one for each sequence, and, with tensor
parallelism, two all-reduces a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from labs.formulas.prefill import causal_pairs
from labs.simulator.model_cost import head_flops, linear_flops_per_token, pair_flops, window_groups
from labs.simulator.model_shape import kv_expansion
from labs.simulator.ticks import NEVER, PER_SECOND

if TYPE_CHECKING:
    from labs.simulator.deployment import Deployment

# Activations that the devices exchange are 16 bits wide, also where weights are narrower.
ACTIVATION_BYTES = 2


class Ramp(msgspec.Struct, frozen=True, gc=False):
    """Ticks that rise by ``rise`` a step, at least for ``steps`` steps."""

    ticks: int
    rise: int
    steps: int


class CostModel(Protocol):
    """All in ticks. A step takes ``linear`` of all its tokens, and the attention of each of its sequences."""

    def linear(self, tokens: int, sequences: int) -> int:
        """All that does not depend on context. ``sequences`` of them have a token sampled."""

    def prefill_attention(self, tokens: int, cached: int) -> int:
        """Of a chunk of ``tokens`` whose sequence has ``cached`` before it."""

    def decode_attention(self, rows: int, context: int) -> Ramp:
        """Of ``rows`` sequences that together attend to ``context`` tokens, ``rows`` more each step."""

    def swap(self, tokens: int) -> int:
        """To move the KV of so many tokens to or from host memory."""


class Constants(msgspec.Struct, frozen=True, kw_only=True):
    """What the data sheet does not tell. Shares of peaks, and seconds that no roofline explains.

    ``source`` says where they come from. The defaults are the ideal that nothing can beat.
    """

    compute: float = 1.0  # of the peak, in matrix products
    attention: float = 1.0  # of the peak, in the attention of prompts
    bandwidth: float = 1.0  # of memory, in reading weights
    kv_bandwidth: float = 1.0  # of memory, in reading KV
    link: float = 1.0  # of the bandwidth between devices
    step_s: float = 0.0  # a step: scheduling, launches, sampling
    sequence_s: float = 0.0  # a sequence in it
    collective_s: float = 0.0  # an all-reduce, however small
    source: str = "data sheet: no overhead, every peak reached"


IDEAL = Constants()


class RooflineCost:
    """The cost of a deployment. Sums over layers are taken once, so that a step costs O(its chunks)."""

    def __init__(self, deployment: Deployment, constants: Constants = IDEAL) -> None:
        self.deployment, self.constants = deployment, constants
        model = deployment.model
        self._byte = PER_SECOND / (deployment.bandwidth * constants.bandwidth)
        kv_byte = PER_SECOND / (deployment.bandwidth * constants.kv_bandwidth)
        self._flop = PER_SECOND / (deployment.peak * constants.compute)
        self._linear_flops = linear_flops_per_token(model)
        self._head_flops = head_flops(model)
        self._exchange = _exchange(deployment, constants)
        self._reading: dict[int, float] = {}
        self._fixed = constants.step_s * PER_SECOND + self._exchange[0]
        self._sequence = constants.sequence_s * PER_SECOND
        kv_token = deployment.kv_token_bytes / model.layers
        attention_flop = PER_SECOND / (deployment.attention_peak * constants.attention)
        self._read = kv_token * kv_byte  # a token of KV in one layer
        self._pair = pair_flops(model) * attention_flop  # in one layer, in prefill
        self._expand = 2 * model.layers * kv_expansion(model) * self._flop  # a cached latent, in all layers
        decode_pair = pair_flops(model, absorbed=True) * attention_flop
        self._decode_token = max(self._read, decode_pair)  # of context, in one layer
        self._windows = [(window, layers) for window, layers in window_groups(model) if window is not None]
        self._full_layers = model.layers - sum(layers for _, layers in self._windows)
        self._full = round(self._decode_token * self._full_layers)

    def linear(self, tokens: int, sequences: int) -> int:
        reading = self._reading.get(tokens)
        if reading is None:
            reading = self._reading[tokens] = self.deployment.streamed_bytes(tokens) * self._byte
        computing = (tokens * self._linear_flops + sequences * self._head_flops) * self._flop
        slower = reading if reading > computing else computing
        return int(slower + self._fixed + sequences * self._sequence + tokens * self._exchange[1])

    def prefill_attention(self, tokens: int, cached: int) -> int:
        ticks = cached * self._expand
        if self._full_layers:
            pairs, read = tokens * cached + tokens * (tokens + 1) / 2, cached + tokens
            computing, reading = pairs * self._pair, read * self._read
            ticks += self._full_layers * (computing if computing > reading else reading)
        for window, layers in self._windows:
            pairs, read = causal_pairs(cached + tokens, cached, window), min(cached, window) + tokens
            ticks += layers * max(pairs * self._pair, read * self._read)
        return int(ticks)

    def decode_attention(self, rows: int, context: int) -> Ramp:
        """In a layer with a window, as if all sequences were as long as their mean."""
        ticks, rise, steps = self._full * context, self._full * rows, NEVER
        for window, layers in self._windows:
            token = round(self._decode_token * layers)
            within = rows * window - context
            if within > 0:
                ticks += token * context
                rise += token * rows
                steps = min(steps, within // rows + 1)
            else:
                ticks += token * rows * window
        return Ramp(ticks, rise, steps)

    def swap(self, tokens: int) -> int:
        host = self.deployment.device.host_bandwidth * self.deployment.tensor_parallel
        return int(tokens * self.deployment.kv_token_bytes / host * PER_SECOND)


def _exchange(deployment: Deployment, constants: Constants) -> tuple[float, float]:
    """Ticks of a step's all-reduces: fixed, and a token. A ring sends ``2 (n - 1) / n`` of the bytes."""
    devices, model = deployment.tensor_parallel, deployment.model
    if devices == 1:
        return 0.0, 0.0
    sent = 2 * (devices - 1) / devices * model.hidden * ACTIVATION_BYTES
    rate = deployment.device.link_bandwidth * constants.link
    count = 2 * model.layers
    return count * constants.collective_s * PER_SECOND, count * sent / rate * PER_SECOND
