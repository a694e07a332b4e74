"""Every exercise: its solution passes, its skeleton does not, and its loads are those that are predicted."""

from __future__ import annotations

import ast
import importlib.util
from typing import TYPE_CHECKING

import pytest

from labs.ladder import access, sandbox
from labs.ladder.exercise import EXERCISES, Exercise
from labs.ladder.prediction import loaded_bytes

if TYPE_CHECKING:
    from labs.inspection.process import KernelProcess

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is for Linux only"
)
each_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))
SETTINGS = {"tile": 32, "tile_m": 32, "tile_n": 16, "tile_k": 32, "warps": 4, "stages": 3}


def settings(exercise: Exercise) -> dict[str, int]:
    return {name: SETTINGS[name] for name in exercise.settings}


@each_exercise
def test_the_skeleton_is_python_with_something_left_to_do(exercise: Exercise) -> None:
    ast.parse(exercise.skeleton)
    ast.parse(exercise.solution)
    assert "# TODO" in exercise.skeleton and "[[" not in exercise.skeleton + exercise.solution
    assert "TODO" not in exercise.solution and len(exercise.hints) == 2


@needs_triton
@each_exercise
def test_the_solution_passes_and_the_skeleton_does_not(
    exercise: Exercise, interpreter: KernelProcess
) -> None:
    arguments = {"name": exercise.name, "settings": settings(exercise)}
    solved = interpreter.ask(sandbox.check, source=exercise.solution, **arguments)
    assert len(solved) == len(exercise.checked) and all(one.passed for one in solved), solved
    unsolved = interpreter.ask(sandbox.check, source=exercise.skeleton, **arguments)
    assert not unsolved[-1].passed


@needs_triton
@each_exercise
def test_loads_are_those_that_are_predicted(exercise: Exercise, interpreter: KernelProcess) -> None:
    played = interpreter.ask(
        sandbox.play, name=exercise.name, source=exercise.solution, settings=settings(exercise), most=4000
    )
    recording = played.recording
    assert played.fault is None and recording is not None and not recording.outside
    predicted = loaded_bytes(exercise.name, SETTINGS["tile"], SETTINGS["tile_m"], SETTINGS["tile_n"])
    assert access.loaded_bytes(recording) == predicted
    assert recording.count.sum() == len(recording.elements)
    assert not any(one.wasteful for one in access.by_line(recording))


@needs_triton
@each_exercise
def test_it_compiles_without_spills(exercise: Exercise, compiler: KernelProcess) -> None:
    built = compiler.ask(
        sandbox.build,
        name=exercise.name,
        source=exercise.solution,
        settings=settings(exercise),
        target="sm_90",
    )
    assert built.fault is None
    (kernel,) = built.kernels
    assert kernel.fits and not kernel.spill_bytes
    assert bool(kernel.matrix_instructions) == bool(exercise.work(exercise.served).matrix_flops)


@needs_triton
def test_an_error_of_the_compiler_names_its_line(compiler: KernelProcess) -> None:
    exercise = EXERCISES["vector_add"]
    source = exercise.solution.replace("x + y, mask", "x + z, mask")
    built = compiler.ask(
        sandbox.build, name="vector_add", source=source, settings=settings(exercise), target="sm_80"
    )
    assert built.fault is not None and "z" in built.fault.text
    assert built.fault.line == next(n for n, line in enumerate(source.splitlines(), 1) if "x + z" in line)


@needs_triton
def test_a_stride_is_told_to_be_uncoalesced(interpreter: KernelProcess) -> None:
    exercise = EXERCISES["vector_add"]
    strided = exercise.solution.replace("x_ptr + at,", "x_ptr + at * 8 % size,")
    for source, wasteful in ((exercise.solution, False), (strided, True)):
        arguments = {"name": "vector_add", "source": source, "settings": settings(exercise)}
        recording = interpreter.ask(sandbox.play, **arguments, most=100).recording
        assert recording is not None
        assert any(one.wasteful for one in access.by_line(recording)) == wasteful


@needs_triton
def test_the_compiler_coalesces_a_transpose_whichever_way_it_is_written(compiler: KernelProcess) -> None:
    exercise = EXERCISES["transpose"]
    turned = "tl.store(out_ptr + column[:, None] * rows + row[None, :], tl.trans(x), mask=turned)"
    plain = "tl.store(out_ptr + column[None, :] * rows + row[:, None], x, mask=inside)"
    assert turned in exercise.solution
    for source in (exercise.solution, exercise.solution.replace(turned, plain)):
        arguments = {"name": "transpose", "source": source, "settings": settings(exercise)}
        (kernel,) = compiler.ask(sandbox.build, **arguments, target="sm_90").kernels
        assert "ttg.convert_layout" in kernel.stages["ttgir"]


@needs_triton
def test_a_kernel_is_timed_only_where_it_is_right(interpreter: KernelProcess) -> None:
    exercise = EXERCISES["vector_add"]
    arguments = {"name": "vector_add", "settings": settings(exercise), "device": "cpu", "sizes": {"size": 64}}
    right = interpreter.ask(sandbox.time, source=exercise.solution, **arguments)
    assert right.timing is not None and right.timing.repeats and all(one.passed for one in right.checked)
    wrong = interpreter.ask(
        sandbox.time, source=exercise.solution.replace("x + y, m", "x - y, m"), **arguments
    )
    assert wrong.timing is None and not wrong.checked[-1].passed
