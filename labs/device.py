"""Which device labs compute on, and whether it launches Triton's kernels: tried, not assumed."""

from __future__ import annotations

import functools

from labs.inspection.process import HAS_TRITON, NO_TRITON
from labs.text import Text

_NO_GPU = Text(zh="Triton 内核要在 CUDA GPU 上运行，此处没有", en="Triton kernels run on a GPU; none here")
# Triton compiles a small launcher at its first use, in C.
_TOOLS = Text(
    zh="Triton 第一次启动内核时要用 C 编译器和 Python 头文件（Debian：gcc、python3-dev）",
    en="to launch its first kernel Triton needs a C compiler and Python's headers (Debian: gcc, python3-dev)",
)


def device() -> str:
    """``cuda`` where torch computes on one, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() and _computes() else "cpu"


@functools.cache
def _computes() -> bool:
    """A driver may show a GPU for which this build of torch has no code, or whose memory is all taken."""
    import torch

    try:
        return float(torch.ones(8, device="cuda").sum()) == 8
    except RuntimeError:
        return False


def no_kernels() -> Text | None:
    """Why Triton's kernels cannot be launched here; None where they can."""
    if device() != "cuda":
        return _NO_GPU
    return _refused() if HAS_TRITON else NO_TRITON


@functools.cache
def _refused() -> Text | None:
    """One small kernel, launched and checked: old GPUs are refused by the compiler, and it needs tools."""
    import torch

    from labs.ops.softmax import naive_softmax, triton_softmax

    x = torch.linspace(-3, 3, 200, device="cuda").view(2, 100)
    try:
        right = torch.allclose(triton_softmax(x), naive_softmax(x), atol=1e-5)
    except Exception as error:  # whatever a compiler, a linker or a driver says
        return refusal(error)
    zh, en = "Triton 内核在这个 GPU 上算错", "Triton's kernels compute wrongly on this GPU"
    return None if right else Text(zh=zh, en=en)


def refusal(error: BaseException) -> Text:
    """What stopped a kernel from being launched, in a line."""
    lines = str(error).strip().splitlines() or [""]
    said = f"{type(error).__name__}: {lines[0][:160]}"
    if type(error).__name__ == "CalledProcessError" or "C compiler" in lines[0]:
        return Text(zh=f"{_TOOLS.zh}。{said}", en=f"{_TOOLS.en}. {said}")
    return Text(
        zh=f"内核在这个 GPU 上无法启动：{said}", en=f"the kernel cannot be launched on this GPU: {said}"
    )
