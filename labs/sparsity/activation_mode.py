"""Activation sparsity: how much of the SwiGLU product is near zero, what dropping it costs and buys."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.sparsity import union_density
from labs.measure import time_calls
from labs.models.activations import capture
from labs.models.llama import linear
from labs.models.perplexity import paired_difference, perplexity
from labs.models.texts import load_text
from labs.quantization.layer_data import calibration_ids
from labs.quantization.threads import threads
from labs.relative_error import relative_error
from labs.results import Axis, Lines, Mark, Markdown, Metric, Provenance, Series, array
from labs.sparsity.native import Kernels, kernels
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing
    from labs.models.llama import Llama
    from labs.models.perplexity import LossDifference, Perplexity
    from labs.results import Result

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
THRESHOLDS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.3, 0.5, 1.0)
BATCHES = (1, 2, 4, 8, 16, 32)
_WINDOWS, _WINDOW = 2, 256
_TOKENS = 128
_BUDGET_S = 0.15


def run_activations(ctx: Context, params: Any) -> Iterator[Result]:
    ctx.progress(0.1, Text(zh="读一段文字，记下激活", en="Reading a text, recording activations"))
    model, share = ctx.model().model, params.share / 100
    inputs = activations(ctx)
    shown = sorted({0, params.layer, len(inputs) - 1})
    yield near_zero(inputs, shown)
    chosen, weight = inputs[params.layer], linear(model, params.layer, "down_proj").weight.detach()
    yield from dropped_figures(chosen, weight, share)
    yield error_lines(inputs, model, shown, params.share)
    unions = union_lines(chosen, share)
    yield unions
    if ctx.preview:
        return
    speed = yield from speed_metric(ctx, chosen, weight, share)
    loss = yield from loss_metric(ctx, inputs, share)
    yield explanation(unions, speed, loss, params)


def activations(ctx: Context) -> list[Tensor]:
    """What enters each layer's down projection, ``[tokens, F]``: silu(gate) * up. Memoised."""

    def make() -> list[Tensor]:
        model = ctx.model().model
        wanted = [(layer, "down_proj") for layer in range(len(model.layers))]
        found = capture(model, calibration_ids(ctx, _TOKENS), wanted)
        return [found[one][0] for one in wanted]

    return ctx.memo(("swiglu products",), make)


def threshold_of(x: Tensor, share: float) -> float:
    """Magnitude below which ``share`` of all numbers lie."""
    ordered = x.abs().flatten().sort().values
    return float(ordered[min(len(ordered) - 1, round(share * len(ordered)))])


def dropped(x: Tensor, threshold: float) -> Tensor:
    return x.where(x.abs() >= threshold, 0.0)


def near_zero(inputs: list[Tensor], shown: list[int]) -> Lines:
    """Share of numbers below a multiple of the layer's root mean square."""

    def shares(x: Tensor) -> list[float]:
        rms = float(x.square().mean().sqrt())
        return [100 * float((x.abs() < one * rms).float().mean()) for one in THRESHOLDS]

    return Lines(
        id="near_zero",
        title=Text(zh="SwiGLU 乘积里接近零的份额", en="Share of the SwiGLU product near zero"),
        help=Text(
            zh="门限按该层全部数的均方根（RMS）的倍数；离群值大的层 RMS 也大，几乎所有数都“接近零”。",
            en="Thresholds are multiples of the root mean square (RMS) of all of a layer's numbers; large "
            "outliers make the RMS large, and nearly all the rest near zero.",
        ),
        provenance=Provenance.MEASURED,
        unit="%",
        x=Axis(title=Text(zh="门限 ÷ RMS", en="threshold / RMS"), log=True),
        y=Axis(title=Text(zh="份额", en="share"), unit="%"),
        series=[
            Series(
                name=Text(zh=f"第 {layer} 层", en=f"layer {layer}"),
                x=array(THRESHOLDS),
                y=array(shares(inputs[layer])),
            )
            for layer in shown
        ],
    )


def error_lines(inputs: list[Tensor], model: Llama, shown: list[int], now: int) -> Lines:
    def errors(layer: int) -> list[float]:
        x, weight = inputs[layer], linear(model, layer, "down_proj").weight.detach()
        return [_error(x, weight, share) for share in SHARES]

    return Lines(
        id="error_by_share",
        title=Text(zh="丢掉多少，down_proj 输出错多少", en="Dropped, and the error of down_proj's output"),
        provenance=Provenance.MEASURED,
        x=Axis(title=Text(zh="丢掉的份额", en="share dropped"), unit="%"),
        y=Axis(title=Text(zh="相对误差", en="relative error")),
        series=[
            Series(
                name=Text(zh=f"第 {layer} 层", en=f"layer {layer}"),
                x=array([100 * one for one in SHARES]),
                y=array(errors(layer)),
            )
            for layer in shown
        ],
        marks=[Mark(x=now, name=Text(zh="当前", en="now"))],
        help=Text(
            zh="每层一个门限，取该层在这段文字上的分位数；低于门限的数当作零（TEAL 的做法）。",
            en="A threshold a layer: its quantile on this text. What is below counts as zero (as in TEAL).",
        ),
    )


@torch.no_grad()
def _error(x: Tensor, weight: Tensor, share: float) -> float:
    kept = dropped(x, threshold_of(x, share))
    return relative_error(kept @ weight.t(), x @ weight.t())


def dropped_figures(x: Tensor, weight: Tensor, share: float) -> Iterator[Metric]:
    yield Metric(
        id="exact_zeros",
        title=Text(zh="恰好是零", en="Exactly zero"),
        help=Text(
            zh="ReLU 的模型里这是大多数；SiLU 从不给出零，所以要用门限造出稀疏。",
            en="The majority in a model with ReLU; SiLU never gives a zero, so that a threshold must make "
            "them.",
        ),
        provenance=Provenance.MEASURED,
        unit="%",
        value=100 * float((x == 0).float().mean()),
    )
    yield Metric(
        id="drop_error",
        title=Text(zh="丢弃之后的输出误差", en="Output error after dropping"),
        help=Text(
            zh="预测只看丢掉的数占多少能量，当作权重的各列一样长、彼此正交。",
            en="The prediction looks only at the energy of what is dropped, as if the weight's columns were "
            "equally long and orthogonal.",
        ),
        provenance=Provenance.MEASURED,
        value=_error(x, weight, share),
        predicted=relative_error(dropped(x, threshold_of(x, share)), x),
        formula=Text(zh="‖丢掉的‖ ÷ ‖全部‖", en="|dropped| / |all|"),
        better="lower",
    )


def unions(x: Tensor, share: float) -> list[float]:
    """For each batch size, the mean share of channels that some token of a batch needs."""
    needed = x.abs() >= threshold_of(x, share)
    found = []
    for batch in BATCHES:
        whole = len(needed) // batch * batch
        found.append(float(needed[:whole].view(-1, batch, x.shape[1]).any(dim=1).float().mean()))
    return found


def union_lines(x: Tensor, share: float) -> Lines:
    found = unions(x, share)
    series = [
        Series(
            name=Text(zh="真实 token", en="real tokens"), x=array(BATCHES), y=array([100 * u for u in found])
        ),
        Series(
            name=Text(zh="若各 token 独立（公式）", en="if tokens were independent (formula)"),
            x=array(BATCHES),
            y=array([100 * union_density(found[0], batch) for batch in BATCHES]),
            provenance=Provenance.ESTIMATED,
        ),
    ]
    return Lines(
        id="union",
        title=Text(zh="一批里至少有一个 token 要的通道", en="Channels that some token of a batch needs"),
        help=Text(
            zh="权重的一行，只要批里有一个 token 用到就得读。批一大，并集接近全部，省不下字节。",
            en="A row of the weight is read if one token of the batch needs it. With the batch the union "
            "approaches all, and nothing is saved.",
        ),
        provenance=Provenance.MEASURED,
        unit="%",
        x=Axis(title=Text(zh="批大小", en="batch"), log=True),
        y=Axis(title=Text(zh="要读的通道", en="channels read"), unit="%"),
        series=series,
    )


def speed_metric(ctx: Context, x: Tensor, weight: Tensor, share: float) -> Generator[Result, None, Text]:
    """Returns what there is to say of the speed-up at batch 1, or why there is none."""
    native = kernels()
    if not isinstance(native, Kernels):
        return Text(zh=f"没有测快了多少：{native.zh}。", en=f"How much faster was not timed: {native.en}.")
    rows, one = weight.t().contiguous(), x[-1:].contiguous()
    out, kept = torch.empty(1, rows.shape[1]), dropped(one, threshold_of(x, share))
    active = kept[0].nonzero()[:, 0].to(torch.int32)
    every = torch.arange(len(rows), dtype=torch.int32)
    native.active_rows(rows, active, one, out)
    right = bool(torch.allclose(out, kept @ rows, atol=1e-3 * float(out.abs().max())))
    best: dict[str, Timing] = {}
    with threads(1):
        for _ in range(3):
            for name, wanted in (("every", every), ("active", active)):
                call = _call(native, rows, wanted, one, out)
                found = time_calls(call, budget_s=_BUDGET_S / 3, check=ctx.check)
                best[name] = min(found, best.get(name, found), key=lambda timing: timing.low_s)
    speed = best["every"].low_s / best["active"].low_s if right else None
    yield Metric(
        id="skip_speed",
        title=Text(zh="跳过不用的行：快几倍", en="Skipping rows: times as fast"),
        help=Text(
            zh="一个 token 的 down_proj，同一个 C++ 内核，读全部的行与只读要用的行。",
            en="down_proj of one token by one C++ kernel: reading every row, and those needed only.",
        ),
        provenance=Provenance.MEASURED,
        unit="×",
        value=speed,
        predicted=len(every) / max(1, len(active)),
        formula=Text(zh="全部的行 ÷ 要用的行", en="all rows / rows needed"),
        better="higher",
        source=Text(
            zh="单线程，各三轮的最快五分之一", en="one thread, the fastest fifth of three rounds each"
        ),
    )
    return _speed_text(speed, list(best.values()))


def _speed_text(speed: float | None, timings: list[Timing]) -> Text:
    if speed is None:
        return Text(
            zh="跳行的结果与读全部的不符，不给速度。", en="Skipping gave another result: no speed is shown."
        )
    warning = noise_warning(timings)
    return Text(
        zh=f"一个 token 时实测快 {speed:.2f} 倍。" + (warning.zh if warning else ""),
        en=f"With one token here it is {speed:.2f} times as fast. " + (warning.en if warning else ""),
    )


def _call(native: Kernels, rows: Tensor, wanted: Tensor, one: Tensor, out: Tensor) -> Any:
    return lambda: native.active_rows(rows, wanted, one, out)


@contextlib.contextmanager
def thresholded(model: Llama, thresholds: list[float]) -> Iterator[None]:
    """Each layer's down projection sees zeros where its input is below the layer's threshold."""
    handles = [
        linear(model, layer, "down_proj").register_forward_pre_hook(
            lambda _module, inputs, limit=limit: (dropped(inputs[0], limit),)
        )
        for layer, limit in enumerate(thresholds)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def loss_metric(ctx: Context, inputs: list[Tensor], share: float) -> Generator[Result, None, LossDifference]:
    """Of the whole model; returns the paired difference."""
    loaded = ctx.model()
    what = Text(zh="全部层都丢：模型的损失", en="Dropped in every layer: the model's loss")
    ids = ctx.memo(("evaluation ids",), lambda: loaded.tokenizer.encode(load_text("evaluation.en")))

    def measure() -> Perplexity:
        return perplexity(
            loaded.model,
            ids,
            window=_WINDOW,
            windows=_WINDOWS,
            on_window=lambda done, total, _so_far: ctx.progress(done / total, what),
        )

    ctx.progress(0.2, what)
    before = ctx.memo(("sparsity baseline", _WINDOWS, _WINDOW), measure)
    with thresholded(loaded.model, [threshold_of(x, share) for x in inputs]):
        after = measure()
    loss: LossDifference = paired_difference(before, after)
    yield Metric(
        id="loss",
        title=Text(zh="整个模型的损失增加", en="Rise of the model's loss"),
        help=Text(
            zh="30 层的 down_proj 输入都丢这么多；门限来自校准文字，损失在另一段文字上。",
            en="In the input of every layer's down_proj; thresholds from the calibration text, the loss on "
            "another.",
        ),
        provenance=Provenance.MEASURED,
        unit="nat/token",
        value=loss.mean,
        low=loss.mean - loss.stderr,
        high=loss.mean + loss.stderr,
        better="lower",
        source=Text(
            zh=f"{_WINDOWS} 个窗口 × {_WINDOW} token；区间是一个标准误",
            en=f"{_WINDOWS} windows of {_WINDOW} tokens; the range is one standard error",
        ),
    )
    return loss


def explanation(union: Lines, speed: Text, loss: LossDifference, params: Any) -> Markdown:
    real, independent = (series.y for series in union.series)
    body = Text(
        zh=f"**SwiGLU 没有现成的零**，但多数数很小：丢掉 {params.share}%，整个模型的损失变 "
        f"{loss.mean:+.3f} ± "
        f"{loss.stderr:.3f} nat/token。权重一行不读，就省一行的字节。{speed.zh}"
        f"\n\n**批一大就没有了。** 一个 token 要 {real[0]:.0f}% 的通道，{BATCHES[-1]} 个真实 token 的并集"
        f"要 {real[-1]:.0f}%（独立的话 {independent[-1]:.0f}%）。所以激活稀疏是单条解码、端侧的办法，预填充与"
        "大批用不上。权重还要按输入通道连续存放，否则跳过的不是整行。",
        en=f"**SwiGLU gives no zeros of its own**, but most numbers are small: without {params.share}% of "
        "them "
        f"the model's loss changes by {loss.mean:+.3f} ± {loss.stderr:.3f} nats a token. A row of the weight "
        "that is not read is a row of bytes saved. {speed.en}"
        f"\n\n**With a batch it is gone.** One token needs {real[0]:.0f}% of the channels, the union of "
        f"{BATCHES[-1]} real ones {real[-1]:.0f}% (independent ones {independent[-1]:.0f}%). Activation "
        "sparsity is for decoding one sequence, as on devices, not for prefill or large batches. Weights "
        "must "
        "lie by input channel, or what is skipped is no row.",
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        body=body,
        wide=True,
    )
