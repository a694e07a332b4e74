"""The languages of code that the window can highlight. CUDA C++ is ``cpp``; anything else is ``text``."""

from __future__ import annotations

LANGUAGES = ("python", "cpp", "ttir", "ttgir", "llvm", "ptx", "sass", "amdgcn", "hlo", "text")
