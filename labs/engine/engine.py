"""The serving engine: what the scheduler decides, computed on the real model, token by token.

In the spirit of nano-vllm: a request becomes a sequence, a step is one batch of the scheduler, one call of
the runner and one choice of tokens.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.engine.beams import BeamSearch
from labs.engine.events import EventKind
from labs.engine.generation import Answer, Generation, found_stop, text_before_stop
from labs.engine.occupancy import stored_tokens
from labs.engine.prefix_keys import extend_keys
from labs.engine.sampling import SamplingParams, choose
from labs.engine.scheduler import Copy, SwapOut
from labs.engine.sequence import Sequence
from labs.engine.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from labs.engine.events import Event, EventLog, Row
    from labs.engine.kv_store import HostBlocks
    from labs.engine.model_runner import ModelRunner
    from labs.engine.scheduler import Batch, Scheduler
    from labs.models.tokenizer import ModelTokenizer


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step. Times in s: when it began, and what scheduling, the model, and choosing tokens took.

    ``prefill_tokens`` and ``decode_tokens`` are useful work; ``padding_tokens`` were computed for nothing.
    ``kv_blocks`` are those owned, ``kv_tokens`` the tokens in them, at the end of the step.
    """

    start_s: float
    schedule_s: float
    model_s: float
    sample_s: float
    prefill_tokens: int
    decode_tokens: int
    padding_tokens: int
    running: int
    waiting: int
    kv_blocks: int
    kv_tokens: int

    @property
    def end_s(self) -> float:
        return self.start_s + self.schedule_s + self.model_s + self.sample_s


class Engine:
    """``add`` requests, then ``step`` until nothing is left to do. Times are those of ``clock``, in s.

    The runner must have as many blocks, of the same size, as the scheduler's block manager.
    """

    def __init__(
        self,
        runner: ModelRunner,
        scheduler: Scheduler,
        tokenizer: ModelTokenizer,
        stop_ids: tuple[int, ...] = (),
        log: EventLog | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.runner, self.scheduler, self.tokenizer = runner, scheduler, tokenizer
        self.stop_ids = frozenset(stop_ids)
        self.clock = clock
        self.steps: list[StepRecord] = []
        self.generations: list[Generation] = []
        self._of: dict[Sequence, Generation] = {}
        self._saved: dict[Sequence, HostBlocks] = {}
        self._ids = 0
        self._log = log

    def add(
        self,
        prompt: list[int],
        params: SamplingParams | None = None,
        *,
        arrival_s: float | None = None,
        user: str = "",
        priority: int = 0,
        deadline_s: float = float("inf"),
        predicted: int = 0,
    ) -> Generation:
        """A request of ``prompt`` token ids. LabError if it can never run."""
        params = params or SamplingParams()
        now = self.clock()
        root = Sequence(
            id=self._next_id(),
            prompt=len(prompt),
            limit=params.max_tokens,
            arrival_s=now if arrival_s is None else arrival_s,
            user=user,
            priority=priority,
            deadline_s=deadline_s,
            predicted=predicted,
            width=params.beams or params.n,
            tokens=list(prompt),
        )
        extend_keys(root, self.scheduler.manager)
        self.scheduler.add(root, now)
        search = BeamSearch(params, self._stops(params)) if params.beams else None
        generation = Generation(len(self.generations), root, params, search)
        generation.join(root)
        self.generations.append(generation)
        self._of[root] = generation
        return generation

    def cancel(self, generation: Generation) -> None:
        """End it with what it has said so far."""
        for sequence in list(generation.live):
            self._end(generation, sequence, "cancelled")

    @property
    def events(self) -> list[Event]:
        """What has happened so far; empty where nothing is recorded."""
        return [] if self._log is None else self._log.events

    @property
    def busy(self) -> bool:
        return self.scheduler.running > 0 or self.scheduler.waiting > 0

    def run(self) -> Iterator[StepRecord]:
        """Step until all is done, or until what waits cannot start without more arrivals."""
        while self.busy:
            record = self.step()
            if record is None:
                return
            yield record

    @torch.inference_mode()
    def step(self) -> StepRecord | None:
        """One step; None, and nothing done, if no batch can be formed now."""
        begin = self.clock()
        batch = self.scheduler.schedule(begin)
        self._move(batch)
        if not batch:
            return None
        decodes = list(self.scheduler.decoding) if batch.decodes else []
        works = self._works(batch, decodes)
        scheduled = self.clock()
        logits = self.runner.step(works)
        computed = self.clock()
        rows = batch.rows(decodes)
        started = self.scheduler.complete(batch)
        if self._log is not None:
            self._log.add(EventKind.STEP, start_s=begin, rows=rows, tokens=sum(row.tokens for row in rows))
        self._say(started + decodes, logits)
        return self._record(rows, begin, scheduled, computed)

    # A step's parts

    def _move(self, batch: Batch) -> None:
        for move in batch.moves:
            if isinstance(move, Copy):
                self.runner.copy_blocks([(move.source, move.target)])
            elif isinstance(move, SwapOut):
                self._saved[move.sequence] = self.runner.save_blocks(move.blocks)
            else:
                self.runner.restore_blocks(self._saved.pop(move.sequence), move.blocks)

    def _works(self, batch: Batch, decodes: list[Sequence]) -> list[Work]:
        works, padding = [], []
        for chunk in batch.chunks:
            sequence, end = chunk.sequence, chunk.start + chunk.tokens
            tokens = sequence.tokens[chunk.start : end]
            works.append(Work(tokens, chunk.start, sequence.blocks, sample=chunk.last))
            if chunk.padding:
                padding.append(Work([0] * chunk.padding, end, sequence.blocks, sample=False))
        works += [Work(one.tokens[-1:], one.length - 1, one.blocks, sample=True) for one in decodes]
        return works + padding

    def _say(self, sequences: list[Sequence], logits: Tensor) -> None:
        """Each has a new token. The likeliest ones are looked up for all at once."""
        likeliest = logits.argmax(dim=-1).tolist()
        searched: dict[int, dict[Sequence, int]] = {}
        for row, sequence in enumerate(sequences):
            generation = self._of[sequence]
            if generation.search is not None:
                searched.setdefault(generation.id, {})[sequence] = row
            elif sequence is generation.root and sequence.generated == 1 and generation.params.n > 1:
                self._start_samples(generation, logits[row])
            else:
                self._say_one(generation, sequence, logits[row], likeliest[row])
        for number, rows in searched.items():
            beams = next(iter(rows)).together()  # the search knows them in this order
            self._search(self.generations[number], beams, logits[[rows[beam] for beam in beams]])

    def _say_one(self, generation: Generation, sequence: Sequence, logits: Tensor, likeliest: int) -> None:
        params = generation.params
        if params.temperature == 0 and params.repetition_penalty == 1:
            token = likeliest
        else:
            token = choose(logits, params, generation.generators.get(sequence, _UNUSED), sequence.tokens)
        self._append(generation, sequence, token)

    def _append(self, generation: Generation, sequence: Sequence, token: int) -> None:
        self._tell(generation, sequence, token)
        if sequence not in generation.live:
            return
        params = generation.params
        if token in self._stops(params):
            self._end(generation, sequence, "eos")
        elif found_stop(self.tokenizer, generation.generated(sequence), params.stop):
            self._end(generation, sequence, "stop")
        elif sequence.remaining <= 0:
            self._end(generation, sequence, "length")

    def _tell(self, generation: Generation, sequence: Sequence, token: int) -> None:
        """``sequence`` goes on with ``token``."""
        sequence.tokens.append(token)
        extend_keys(sequence, self.scheduler.manager)
        if sequence not in generation.live:
            return  # it has ended, and its static batch has not
        now = self.clock()
        if sequence.generated == 1:
            sequence.first_token_s = now
        generation.token_times_s[sequence].append(now)
        if self._log is not None:
            self._log.add(EventKind.TOKEN, sequence.id, tokens=token)

    def _start_samples(self, generation: Generation, logits: Tensor) -> None:
        """The prompt has been computed once: each sample forks from it with a first token of its own."""
        root, params = generation.root, generation.params
        samples = [root, *(self._fork(generation, root, sample) for sample in range(1, params.n))]
        for sequence in samples:
            token = choose(logits, params, generation.generators[sequence], root.tokens[: root.prompt])
            self._append(generation, sequence, token)

    def _fork(self, generation: Generation, parent: Sequence, sample: int = 0) -> Sequence:
        child = Sequence(
            id=self._next_id(),
            prompt=parent.prompt,
            limit=parent.limit,
            arrival_s=parent.arrival_s,
            user=parent.user,
            priority=parent.priority,
            deadline_s=parent.deadline_s,
            predicted=parent.predicted,
            tokens=list(parent.tokens),
            keys=list(parent.keys),
            lockstep=parent.lockstep,
            admitted_s=parent.admitted_s,
            first_token_s=parent.first_token_s,
        )
        self.scheduler.fork(parent, child)
        self._of[child] = generation
        generation.join(child, sample)
        return child

    def _search(self, generation: Generation, beams: list[Sequence], logits: Tensor) -> None:
        """One step of beam search: fork what goes on more than once, then drop what does not go on."""
        search = generation.search
        assert search is not None
        answers = [beam.tokens[generation.root.prompt :] for beam in beams]
        steps = search.advance(logits.log_softmax(dim=-1), answers)
        together = beams[0].lockstep = beams[0].lockstep or [beams[0]]
        heirs: list[Sequence] = []
        taken: set[int] = set()
        for step in steps:
            parent = beams[step.parent]
            heirs.append(self._fork(generation, parent) if step.parent in taken else parent)
            taken.add(step.parent)
        for index, beam in enumerate(list(beams)):
            if index not in taken:
                self._drop(generation, beam, "pruned")
        together[:] = heirs
        for step, heir in zip(steps, heirs, strict=True):
            self._tell(generation, heir, step.token)
        if not heirs or heirs[0].remaining <= 0 or search.done(heirs[0].generated):
            self._close(generation, heirs)

    def _close(self, generation: Generation, beams: list[Sequence]) -> None:
        assert generation.search is not None
        times = generation.token_times_s[beams[0]] if beams else []
        for score, tokens in generation.search.close([generation.generated(beam) for beam in beams]):
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
            generation.answers.append(Answer(tokens, text, "beam", times[: len(tokens)], score))
        for beam in beams:
            self._drop(generation, beam, "length")

    # Ends

    def _end(self, generation: Generation, sequence: Sequence, reason: str) -> None:
        tokens = generation.generated(sequence)
        if reason == "eos":
            tokens = tokens[:-1]
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        text = text_before_stop(text, generation.params.stop)
        times = generation.token_times_s[sequence]
        generation.answers.append(Answer(tokens, text, reason, times))
        self._drop(generation, sequence, reason)

    def _drop(self, generation: Generation, sequence: Sequence, reason: str) -> None:
        generation.leave(sequence)
        self._saved.pop(sequence, None)
        self.scheduler.finish(sequence, self.clock(), reason)

    # Small things

    def _stops(self, params: SamplingParams) -> frozenset[int]:
        return frozenset() if params.ignore_eos else self.stop_ids

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids - 1

    def _record(self, rows: list[Row], begin: float, scheduled: float, computed: float) -> StepRecord:
        tokens = {"prefill": 0, "decode": 0, "padding": 0}
        for row in rows:
            tokens[row.phase] += row.tokens
        manager = self.scheduler.manager
        record = StepRecord(
            start_s=begin,
            schedule_s=scheduled - begin,
            model_s=computed - scheduled,
            sample_s=self.clock() - computed,
            prefill_tokens=tokens["prefill"],
            decode_tokens=tokens["decode"],
            padding_tokens=tokens["padding"],
            running=self.scheduler.running,
            waiting=self.scheduler.waiting,
            kv_blocks=manager.owned,
            kv_tokens=stored_tokens(manager, self.scheduler.iter_running()),
        )
        self.steps.append(record)
        return record


_UNUSED = torch.Generator()
