"""A finished run in figures: latencies, throughput, and what the replicas did meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from labs.simulator.histogram import Histogram
from labs.simulator.model_cost import head_flops, linear_flops_per_token
from labs.simulator.ticks import PER_SECOND

if TYPE_CHECKING:
    from labs.simulator.deployment import Deployment
    from labs.simulator.replica import Replica
    from labs.simulator.served import Served


class Latency(msgspec.Struct, frozen=True):
    """Seconds; the mean is exact, percentiles are within ``histogram.RELATIVE_ERROR``. NaN of nothing."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, histogram: Histogram) -> Latency:
        p50, p90, p95, p99 = (histogram.percentile(percent) / PER_SECOND for percent in (50, 90, 95, 99))
        return cls(histogram.mean / PER_SECOND, p50, p90, p95, p99, histogram.most / PER_SECOND)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Rates are over ``duration_s``, from the first arrival to the last end; shares are from 0 to 1, over
    this time and all replicas."""

    requests: int
    duration_s: float
    queueing: Latency
    ttft: Latency
    tpot: Latency
    itl: Latency
    end_to_end: Latency
    requests_per_s: float
    output_tokens_per_s: float
    input_tokens_per_s: float
    goodput_per_s: float  # requests that kept the objective
    attainment: float  # their share
    busy: float  # share of the time in which a step is under way
    mean_batch: float  # sequences in a step, while one is under way
    kv_occupancy: float  # owned blocks
    kv_peak: float  # the most that one replica owned
    fragmentation: float  # of owned slots, those without a token
    preemptions: int
    repeated_tokens: int  # prefilled again after a preemption
    swapped_tokens: int
    padding: float  # of all tokens computed, those for nothing
    prefix_hits: float  # of prompt tokens, those that the prefix cache spared
    steps: int


def report(served: Served, replicas: list[Replica]) -> Report:
    """The figures of all ``replicas`` together."""
    usages = [replica.usage for replica in replicas]
    duration = max(1, served.last_end - served.first_arrival)
    duration_s = duration / PER_SECOND
    gaps = Histogram()
    for usage in usages:
        gaps.merge(usage.gaps)
    busy = sum(usage.busy for usage in usages)
    blocks = sum(replica.scheduler.manager.blocks for replica in replicas)
    useful = sum(usage.prefill_tokens + usage.decode_tokens for usage in usages)
    padding = sum(usage.padding_tokens for usage in usages)
    cached = sum(usage.cached_tokens for usage in usages)
    return Report(
        requests=served.requests,
        duration_s=duration_s,
        queueing=Latency.of(served.queueing),
        ttft=Latency.of(served.ttft),
        tpot=Latency.of(served.tpot),
        itl=Latency.of(gaps),
        end_to_end=Latency.of(served.end_to_end),
        requests_per_s=served.requests / duration_s,
        output_tokens_per_s=served.output_tokens / duration_s,
        input_tokens_per_s=served.input_tokens / duration_s,
        goodput_per_s=served.kept / duration_s,
        attainment=_share(served.kept, served.requests),
        busy=busy / duration / len(replicas),
        mean_batch=_share(sum(usage.sequences_time for usage in usages), busy),
        kv_occupancy=sum(usage.blocks_time for usage in usages) / duration / blocks,
        kv_peak=max(one.usage.most_blocks / one.scheduler.manager.blocks for one in replicas),
        fragmentation=_fragmentation(replicas),
        preemptions=sum(replica.scheduler.preemptions for replica in replicas),
        repeated_tokens=sum(usage.prefill_tokens for usage in usages) - served.input_tokens + cached,
        swapped_tokens=sum(usage.swapped_tokens for usage in usages),
        padding=_share(padding, padding + useful),
        prefix_hits=_share(cached, sum(usage.prompt_tokens for usage in usages)),
        steps=sum(usage.steps for usage in usages),
    )


def flops_utilisation(replicas: list[Replica], duration_s: float, deployment: Deployment) -> float:
    """MFU: useful FLOPs of the linear layers and the head, attention left out, over what the devices could
    have computed in this time at their peak."""
    model, flops = deployment.model, 0
    for usage in (replica.usage for replica in replicas):
        flops += (usage.prefill_tokens + usage.decode_tokens) * linear_flops_per_token(model)
        flops += usage.decode_tokens * head_flops(model)
    return flops / (deployment.peak * duration_s * len(replicas))


def energy_j(replicas: list[Replica], deployment: Deployment) -> float:
    """Estimated: the devices draw their TDP while a step is under way, which is the most that they may in the
    long run, and nothing between. LabError where the TDP is not known."""
    power = deployment.device.tdp_w * deployment.tensor_parallel
    return power * sum(replica.usage.busy for replica in replicas) / PER_SECOND


def _fragmentation(replicas: list[Replica]) -> float:
    """Full blocks alone are shared, so an empty slot has one owner, and counts once."""
    empty = owned = 0
    for replica in replicas:
        usage, size = replica.usage, replica.scheduler.manager.block_size
        owned += usage.blocks_time * size
        empty += (usage.blocks_time + usage.shared_time) * size - usage.stored_time
    return _share(empty, owned)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
