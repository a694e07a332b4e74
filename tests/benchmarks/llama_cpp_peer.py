"""llama.cpp on the same GGUF, as a process of its own: a line in, the seconds of that many steps out.

``python llama_cpp_peer.py MODEL THREADS``, with any Python that has llama-cpp-python; then on standard input
``decode BATCH CONTEXT STEPS`` or ``prefill TOKENS``. It prints ``ready`` first. The low-level interface is
used: the class around it adds time of its own.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

SEQUENCES, CONTEXT = 8, 768


def main(path: str, threads: int) -> None:
    llama_cpp: Any = importlib.import_module("llama_cpp")

    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    wanted = llama_cpp.llama_context_default_params()
    wanted.n_ctx, wanted.n_seq_max = SEQUENCES * CONTEXT, SEQUENCES
    wanted.n_batch = wanted.n_ubatch = 512
    wanted.n_threads = wanted.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, wanted)
    batch = llama_cpp.llama_batch_init(512, 0, SEQUENCES)
    print("ready", flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        run = decode if what == "decode" else prefill
        print(run(llama_cpp, context, batch, *map(int, numbers)), flush=True)


def prefill(cpp: Any, context: Any, batch: Any, tokens: int) -> float:
    return step(cpp, context, batch, [(100 + i, i, 0, i == tokens - 1) for i in range(tokens)])


def decode(cpp: Any, context: Any, batch: Any, sequences: int, start: int, steps: int) -> float:
    for one in range(sequences):
        step(cpp, context, batch, [(100 + i, i, one, False) for i in range(start)])
    return sum(
        step(cpp, context, batch, [(5, start + i, one, True) for one in range(sequences)])
        for i in range(steps)
    )


def step(cpp: Any, context: Any, batch: Any, tokens: list[tuple[int, int, int, bool]]) -> float:
    """Seconds of one call with tokens of ``(id, position, sequence, logits wanted)``."""
    batch.n_tokens = len(tokens)
    for i, (token, position, sequence, wanted) in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
    begin = time.perf_counter()
    if cpp.llama_decode(context, batch):
        raise RuntimeError("llama_decode failed")
    cpp.llama_synchronize(context)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
