"""A rank of the pool: ``python -m labs.distributed.ring_worker RANK RANKS PARENT STORE BACKEND``.

Joins the process group, says so, and then answers jobs: a line of JSON in, a line out. It ends with its
parent, with its standard input, or when nobody has wanted anything for a while.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from labs.lifetime import die_with_parent

_IDLE_S = 300.0
PEER_TIMEOUT_S = 60.0  # a peer that does not answer for so long is an error


def main() -> None:
    die_with_parent()
    rank, ranks, parent = (int(word) for word in sys.argv[1:4])
    store, backend = sys.argv[4:6]
    # It died before the kernel was told. On Windows a launcher stands between: an environment's Python.
    if sys.platform != "win32" and os.getppid() != parent:
        return
    # What a library prints must not get between the answers.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch
    import torch.distributed as dist

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // ranks))
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    timeout = timedelta(seconds=PEER_TIMEOUT_S)
    address = Path(store).as_uri() if sys.platform == "win32" else f"file://{store}"
    own = device if backend == "nccl" else None  # else NCCL guesses which GPU a barrier is on
    dist.init_process_group(backend, address, timeout, world_size=ranks, rank=rank, device_id=own)
    _say(replies, {"ready": rank})
    timer = _idle()
    for line in sys.stdin:
        timer.cancel()
        try:
            _say(replies, _answer(json.loads(line), rank, device))
        except Exception as error:  # whatever it is, the parent must hear which rank it was
            _say(replies, {"error": f"{type(error).__name__}: {error}"})
        timer = _idle()
    os._exit(0)  # not through the group's destructor, which would wait for peers


def _idle() -> threading.Timer:
    timer = threading.Timer(_IDLE_S, os._exit, (0,))
    timer.daemon = True
    timer.start()
    return timer


def _say(replies: TextIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def _answer(job: dict[str, Any], rank: int, device: Any) -> dict[str, Any]:
    """Ring attention over what lies in the job's folder; this rank's result goes there too."""
    import numpy as np
    import torch
    import torch.distributed as dist

    from labs.distributed.ring import ring_attention
    from labs.formulas.ring_attention import positions

    folder, ranks = Path(job["folder"]), dist.get_world_size()
    whole = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("q", "k", "v")}
    tokens = whole["q"].shape[1]
    owned = [positions(one, ranks, tokens, job["layout"]) for one in range(ranks)]
    q, k, v = (
        torch.from_numpy(np.ascontiguousarray(whole[name][:, owned[rank]])).to(device) for name in "qkv"
    )
    places = [torch.tensor(one, device=device) for one in owned]
    dist.barrier()
    result, record = ring_attention(q, k, v, places, rank, job["causal"])
    np.save(folder / f"out-{rank}.npy", result.out.cpu().numpy())
    return asdict(record)


if __name__ == "__main__":
    main()
