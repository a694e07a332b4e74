"""What the kernel ladder says of its kernels: tiles, stages and targets change what is made of them."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from labs.catalog.operator.triton_ladder import Params, predict, text_name
from labs.context import Context
from labs.edited_source import chosen_source
from labs.ladder import sandbox
from labs.ladder.code_views import task
from labs.ladder.exercise import EXERCISES, Name, told
from labs.ladder.prediction import loaded_bytes
from labs.results import Code, Markdown

if TYPE_CHECKING:
    from labs.inspection.compiled import Compiled, Target
    from labs.inspection.process import KernelProcess

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is for Linux only"
)


def built(compiler: KernelProcess, name: Name, target: Target = "sm_90", **changed: int) -> Compiled:
    settings = {"tile_m": 64, "tile_n": 64, "tile_k": 32, "warps": 4, "stages": 3} | changed
    exercise = EXERCISES[name]
    chosen = {key: settings[key] for key in exercise.settings}
    made = compiler.ask(sandbox.build, name=name, source=exercise.solution, settings=chosen, target=target)
    assert made.fault is None
    return made.kernels[0]


@needs_triton
def test_the_target_and_the_tile_choose_the_matrix_instruction(compiler: KernelProcess) -> None:
    assert built(compiler, "matmul").matrix_instructions == ["wgmma.mma_async"]
    assert built(compiler, "matmul", tile_m=32).matrix_instructions == ["mma.sync"]
    assert built(compiler, "matmul", "gfx942").matrix_instructions == ["v_mfma_"]


@needs_triton
def test_every_stage_of_the_pipeline_takes_its_tiles_of_shared_memory(compiler: KernelProcess) -> None:
    two, four = (built(compiler, "matmul", stages=stages) for stages in (2, 4))
    assert four.shared_bytes - two.shared_bytes == 2 * (64 * 32 + 32 * 64) * 2
    assert "ttg.async_copy_global_to_local" in two.stages["ttgir"]
    many = built(compiler, "flash_attention", stages=5)
    assert many.residency.limiters == ["shared"]
    assert many.residency.occupancy < 0.1


def test_tiles_twice_as_large_load_half_as_much() -> None:
    assert loaded_bytes("matmul", 0, 32, 32) == 2 * loaded_bytes("matmul", 0, 64, 64)


def test_the_solution_is_shown_to_who_asks_and_has_tried() -> None:
    exercise = EXERCISES["softmax"]
    for hints, attempted in ((0, True), (2, True), (3, False)):
        (only,) = task(exercise, hints, attempted=attempted)
        assert isinstance(only, Markdown) and ("unfolds here" in only.body.en) == (hints == 3)
    _, solution = task(exercise, 3, attempted=True)
    assert isinstance(solution, Code) and solution.panes[0].text == exercise.solution


def test_a_text_made_of_the_skeleton_does_not_stand_where_the_solution_is_chosen() -> None:
    solution, skeleton = (Params(begin=begin) for begin in ("solution", "skeleton"))
    mine, own = chosen_source(text_name(skeleton), "", "...")
    assert own and chosen_source(text_name(skeleton), f"{mine}more", "...") == (f"{mine}more", False)
    assert chosen_source(text_name(solution), f"{mine}more", "pass")[1]


def test_loads_are_predicted_of_the_shipped_text_alone() -> None:
    shipped = chosen_source("softmax", "", EXERCISES["softmax"].solution)[0]
    assert list(predict(Params(source=shipped), Context()))
    assert list(predict(Params(source="# kernel: matmul\n"), Context()))
    assert not list(predict(Params(source=f"{shipped}# mine\n"), Context()))
    assert not list(predict(Params(begin="skeleton"), Context()))


def test_sizes_are_told_as_one_reads_them() -> None:
    assert told(EXERCISES["matmul"].served) == "m 4096, n 4096, k 4096, fp16"
