"""The engine's kernels in ``native/``: a whole step of the model in one call."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

from labs.engine.native_library import loaded
from labs.text import Text

HEADERS = Path(__file__).parent / "native"
SOURCE = HEADERS / "step.cpp"


@functools.cache
def native_step() -> ctypes.CDLL | Text:
    """The loaded library, or why there is none."""
    library = loaded(SOURCE)
    if isinstance(library, Text):
        return library
    library.inferlab_runner.restype = ctypes.c_void_p
    library.inferlab_runner.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    library.inferlab_step.restype = None
    library.inferlab_step.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    library.inferlab_forget.restype = None
    library.inferlab_forget.argtypes = (ctypes.c_void_p,)
    library.inferlab_product.restype = None
    library.inferlab_product.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    library.inferlab_instructions.restype = ctypes.c_char_p
    return library
