"""The typed access as CUDA C++, and what nvcc makes of it where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.gpu.cuda_source import cuda_expression
from labs.gpu.nvcc import NO_NVCC, compile_cuda, nvcc_path
from labs.results import Code, CodeMark, CodePane, Provenance
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.gpu.pattern import Pattern, Typed

_TYPES = {1: "unsigned char", 2: "unsigned short", 4: "float", 8: "float2", 16: "float4"}
TITLE = Text(zh="同一次访问，CUDA C++", en="The same access in CUDA C++")


def code(ctx: Context, pattern: Pattern, typed: Typed) -> Iterator[Code]:
    """The kernel first, then with its PTX, which takes nvcc a second."""
    text, line = access_source(pattern, typed)
    mark = [] if nvcc_path() else [CodeMark(line=line, text=NO_NVCC)]
    source = CodePane(name=same("CUDA C++"), language="cpp", text=text, marks=mark)
    yield Code(id="code", title=TITLE, provenance=Provenance.SIMULATED, panes=[source])
    if ctx.preview or not nvcc_path():
        return
    ctx.progress(None, Text(zh="nvcc 编译", en="compiling with nvcc"))
    compiled = compile_cuda(text, check=ctx.check)
    ptx = CodePane(name=same("PTX (sm_80)"), language="ptx", text=compiled.ptx, links=compiled.links)
    yield Code(id="code", title=TITLE, provenance=Provenance.MEASURED, panes=[source, ptx])


def access_source(pattern: Pattern, typed: Typed) -> tuple[str, int]:
    """The kernel, and the line (1-based) of the access."""
    kind, (x, y) = _TYPES[pattern.element_bytes], pattern.block
    index, prologue = cuda_expression(pattern.expression, pattern.block, ["stride", "offset"])
    shared = typed.space == "shared"
    parameters = f"{kind}* out, int stride, int offset"
    lines = [
        f"// access<<<1, dim3({x}, {y})>>>",
        f"__global__ void access({'' if shared else f'const {kind}* memory, '}{parameters}) {{",
        *(f"    {line}" for line in prologue),
    ]
    if shared:
        lines.append(
            "    extern __shared__ __align__(16) unsigned char bytes[];  // filled, then __syncthreads()"
        )
        lines.append(f"    const {kind}* memory = (const {kind}*)bytes;")
    thread = "threadIdx.x" if y == 1 else "threadIdx.x + blockDim.x * threadIdx.y"
    lines += [f"    out[{thread}] = memory[{index}];", "}"]
    return "\n".join(lines) + "\n", len(lines) - 1
