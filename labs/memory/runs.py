"""The four things that the memory lab does, each a generator of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.results import Markdown, Provenance
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from labs.context import Context
    from labs.engine.precision import KVType, Weights
    from labs.memory.ledger import Setting
    from labs.results import Result
    from labs.simulator.hardware import Device

# A device's own figures are asked for by these names.
_COPY_NAMES = ("host_bandwidth", "memory_bandwidth", "peak.bf16")
_CURVE_TOKENS = 256
_LEAST_KV = 64  # tokens: the KV of fewer is too small to time
_LAYER_SHARE = 3  # the traced block stands a third into the model


def show_ledger(setting: Setting, capacity: float, room: float, where: Text) -> Iterator[Result]:
    """Stacked bars, figures, the parts with their formulas, and what they say."""
    from labs.memory import ledger_views as views

    title = Text(
        zh=f"{setting.shape.name} 在 {where.zh} 上：显存去哪了",
        en=f"{setting.shape.name} on {where.en}: where memory goes",
    )
    yield views.stacked(setting, capacity, room, title)
    yield from views.fit_metrics(setting, room)
    yield views.parts_table(setting, room)
    yield views.ledger_explanation(setting, capacity, room, where)


def check_engine(
    ctx: Context, weights: Weights, kv: KVType, sequences: int, context: int, chunk: int
) -> Iterator[Result]:
    """The same ledger on the loaded model, against the engine's real allocations."""
    from labs.memory import check_views as views
    from labs.memory.engine_check import check

    ctx.progress(None, Text(zh="在真实引擎上核对", en="Checking on the engine"))
    loaded = ctx.model()
    checked = check(ctx, weights, kv, sequences, min(context, loaded.config.context), chunk, 16)
    yield from views.check_metrics(checked)
    yield views.check_table(checked)
    yield views.check_explanation(checked, loaded.name)


def show_fit(setting: Setting, room: float, share: float) -> Iterator[Result]:
    """The frontier, memory against the batch, and every device."""
    from labs.memory import fit_views as views
    from labs.memory.ledger_views import fit_metrics

    yield views.frontier_lines(setting, room)
    yield from fit_metrics(setting, room)
    yield views.batch_lines(setting, room)
    yield views.device_table(setting, share)
    yield views.fit_explanation(setting, room)


def measure_offload(
    ctx: Context, setting: Setting, device: Device | None, share: float, tokens: int, layers: int
) -> Iterator[Result]:
    """Real bandwidths, a real streamed pass, real KV brought back; then the chosen device, by formulas.

    ``device`` None is this machine, measured here.
    """
    from labs.memory import offload_views as views
    from labs.memory.bandwidths import measure_bandwidths
    from labs.memory.block_variants import block_input
    from labs.memory.kv_offload import measure_kv
    from labs.memory.offload_story import explanation
    from labs.memory.streaming import BlockFile, compute_curve, stream

    streamed = kv = None
    even = None
    if (missing := missing_model(ctx)) is not None:
        yield missing
    else:
        loaded = ctx.model()
        count = min(layers, loaded.config.layers)
        ctx.progress(0.1, Text(zh=f"把 {count} 层写进文件", en=f"Writing {count} layers to a file"))
        file = ctx.memo(("block file", count), lambda: BlockFile(loaded.model, count, ctx.check))
        ctx.progress(0.3, Text(zh="测量带宽", en="Measuring bandwidths"))
        found = measure_bandwidths(ctx, file)
        yield views.bandwidth_bars(found)
        given = block_input(loaded.model, prompt_ids(ctx, max(_CURVE_TOKENS, tokens)), 0)
        x, cos, sin = given.x[:, :tokens], given.cos[..., :tokens, :], given.sin[..., :tokens, :]
        ctx.progress(0.5, Text(zh="逐层流式前向", en="Streaming layer by layer"))
        streamed = views.Streamed(tokens, *stream(file, x, cos, sin, ctx.check))
        layer_bytes = file.layer_bytes
        rate = layer_bytes * count / sum(streamed.serial.load_s)
        yield views.pass_timeline(streamed)
        yield from views.pass_metrics(streamed)
        ctx.progress(0.7, Text(zh="计算时间随 token 数", en="Compute against tokens"))
        load_s = layer_bytes / rate
        curve = compute_curve(file, given.x, given.cos, given.sin, ctx.check)
        even = views.break_even(curve, load_s)
        yield views.crossover_lines(curve, load_s, even)
        ctx.progress(0.8, Text(zh="取回 KV 与重算", en="Bringing KV back, and computing it"))
        kv = measure_kv(ctx, prompt_ids(ctx, max(_LEAST_KV, tokens))[0].tolist())
        yield views.kv_table(kv)
    try:
        device = device or this_machine(ctx)
        room = share * device.memory_bytes
        for name in _COPY_NAMES:
            device.figure(name)  # LabError: no source gives it
        yield views.weight_table(setting, device, room)
        yield views.device_kv_table(setting, device)
        yield explanation(streamed, kv, setting, device, even)
    except LabError as error:
        yield notice("no_figure", error.text)


def trace_activations(ctx: Context, tokens: int) -> Iterator[Result]:
    """One real block, traced: lifetimes, reuse, in-place operations, a planned arena, what training keeps."""
    import torch

    from labs.memory import activation_views as views
    from labs.memory.block_variants import block_input, in_place, kept_for_backward, out_of_place
    from labs.memory.live_storage import allocator_peak, watch

    if (missing := missing_model(ctx)) is not None:
        yield missing
        return
    loaded = ctx.model()
    config = loaded.config
    ctx.progress(None, Text(zh="跟踪一个真实的 block", en="Tracing a real block"))
    given = block_input(loaded.model, prompt_ids(ctx, tokens), config.layers // _LAYER_SHARE)
    with torch.inference_mode():
        watch(lambda: out_of_place(given))  # the first time torch imports what watching needs
        plain_record, plain_output = watch(lambda: out_of_place(given))
        saving_record, saving_output = watch(lambda: in_place(given))
        allocator = allocator_peak(lambda: out_of_place(given)) if ctx.device == "cpu" else None
    plain, saving = views.traced(plain_record), views.traced(saving_record)
    assert isinstance(plain_output, torch.Tensor) and isinstance(saving_output, torch.Tensor)
    difference = float((plain_output - saving_output).abs().max() / plain_output.abs().max())
    yield views.trace(plain)
    yield views.lifetimes_view(plain)
    yield views.arena_view(plain)
    yield from views.metrics(plain, saving, allocator)
    ctx.check()
    kept, checkpointed = kept_for_backward(given), kept_for_backward(given, checkpointing=True)
    yield views.ways_bars(plain, saving, kept, checkpointed)
    yield views.explanation(plain, saving, kept, checkpointed, config.layers, difference)


def prompt_ids(ctx: Context, tokens: int) -> torch.Tensor:
    """The first ``tokens`` tokens of the shipped text, ``[1, tokens]``."""
    import torch

    from labs.models.texts import load_text

    ids = ctx.memo("memory prompt", lambda: ctx.model().tokenizer.encode(load_text("evaluation.en")[:8000]))
    return torch.tensor([ids[:tokens]])


def this_machine(ctx: Context) -> Device:
    """Free memory, and the bandwidths and peak that are measured now, once a worker."""
    from labs.memory.bandwidths import copy_bandwidth
    from labs.memory_budget import free_bytes
    from labs.quantization.roofs import gemm_peak, read_bandwidth
    from labs.simulator.hardware import measured_device

    def make() -> Device:
        ctx.progress(None, Text(zh="测量本机", en="Measuring this machine"))
        return measured_device(
            "this machine",
            memory_bytes=float(free_bytes(ctx.device) or 0),
            memory_bandwidth=read_bandwidth(ctx),
            peaks={"fp32": gemm_peak(ctx, "fp32"), "bf16": gemm_peak(ctx, "bf16")},
            method="measured in this run: a large read, a copy, a 1024-wide product",
            host_bandwidth=copy_bandwidth(ctx),
        )

    return ctx.memo(("this machine", ctx.device), make)


def missing_model(ctx: Context) -> Markdown | None:
    """Why nothing can be measured on a model, if so; what is counted needs none."""
    try:
        ctx.model_config()
    except LabError as error:
        return notice("no_model", error.text)
    return None


def notice(name: str, text: Text) -> Markdown:
    return Markdown(
        id=name,
        title=Text(zh="少了什么", en="What is missing"),
        provenance=Provenance.MEASURED,
        body=text,
        wide=True,
    )
