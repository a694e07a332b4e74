"""What a running lab may ask of its host: device, seed, model, timing, memory; and where it may stop."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeVar, cast

from labs import memory_budget
from labs.device import device
from labs.measure import Timing, time_calls
from labs.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from labs.models.config import ModelConfig
    from labs.models.loading import LoadedModel

T = TypeVar("T")
ProgressSink = Callable[["float | None", "Text"], None]

# Entries of the memo, not bytes: a lab memoises small things (an activation, a perplexity), a handful a run.
MEMO_ENTRIES = 256

_LOADING = Text(zh="加载模型", en="Loading the model")


class Cancelled(BaseException):
    """The run was stopped or superseded. Not an Exception: a lab's ``except Exception`` lets it pass."""


class Session:
    """What outlives a run inside one worker: the loaded model and memoised results."""

    def __init__(self, model_path: Path | None = None) -> None:
        self.model_path = model_path
        self._memo: OrderedDict[Hashable, object] = OrderedDict()

    def memo(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()`` the first time, then the same object. ``key`` holds all that the value depends on."""
        if key not in self._memo:
            value = make()  # first: a cancelled or failed make leaves no entry
            self._memo[key] = value
            while len(self._memo) > MEMO_ENTRIES:
                self._memo.popitem(last=False)
        self._memo.move_to_end(key)
        return cast("T", self._memo[key])


class Context:
    """One run's view of its host. Everything here may be called from the lab's thread only."""

    def __init__(
        self,
        session: Session | None = None,
        *,
        preview: bool = False,
        seed: int = 0,
        on_progress: ProgressSink | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.session = session or Session()
        self.preview = preview
        self.seed = seed
        self._on_progress = on_progress
        self._cancelled = cancelled or threading.Event()

    @property
    def device(self) -> str:
        """``cuda`` where torch computes on one, else ``cpu``."""
        return device()

    def check(self) -> None:
        """A point where the run may be stopped: call it between steps of a long loop."""
        if self._cancelled.is_set():
            raise Cancelled

    def progress(self, fraction: float | None, text: Text) -> None:
        """Show how far the run is (0 to 1, None: unknown) and what it is doing. Also a point to stop at."""
        self.check()
        if self._on_progress:
            self._on_progress(fraction, text)

    def generator(self) -> torch.Generator:
        """A fresh CPU generator seeded with the run's seed: the same numbers in every run."""
        import torch

        return torch.Generator().manual_seed(self.seed)

    def model_config(self) -> ModelConfig:
        """The model's configuration, read without torch and without loading weights."""
        from labs.models.config_file import read_config
        from labs.models.location import locate

        path = locate(self.session.model_path)
        return self.session.memo(("config", path), lambda: read_config(path))

    def model(self) -> LoadedModel:
        """The model in fp32 on the CPU, loaded once a worker. A lab that changes it restores it."""
        from labs.models.loading import load_model

        path = self.session.model_path
        return self.session.memo(
            ("model", path),
            lambda: load_model(path, on_progress=lambda share: self.progress(share, _LOADING)),
        )

    def memo(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()`` once a worker for this key and this model."""
        return self.session.memo((self.session.model_path, key), make)

    def measure(
        self, call: Callable[[], object], *, budget_s: float = 0.5, cold: bool = False, on: str | None = None
    ) -> Timing:
        """Time ``call``: warm up, repeat for at most about ``budget_s``; median, 20th and 80th percentile.

        ``cold`` empties the caches before each sample. ``on``: the device that computes, where it is not the
        run's. ``Timing.noise`` says when not to conclude from it.
        """
        return time_calls(call, device=on or self.device, budget_s=budget_s, check=self.check, cold=cold)

    def reserve(self, size_bytes: int, what: Text, lower: Text | None = None) -> None:
        """Refuse, with LabError, an allocation that would not fit in the device's free memory.

        ``what`` names the thing ("the attention scores"), ``lower`` says what to change ("Use fewer tokens").
        """
        memory_budget.reserve(size_bytes, what, self.device, lower)
