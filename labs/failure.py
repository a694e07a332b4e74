"""Why a run failed, in words: for the window and for a shell."""

from __future__ import annotations

import traceback

from labs.text import Text, same

MOST_CHARACTERS = 2**16  # more than any traceback that a person reads


def explanation(error: BaseException) -> Text:
    """Its last line, and what to do about it where that is known."""
    last = traceback.format_exception_only(error)[-1].strip()
    if _is_of_memory(error, last):
        return Text(
            zh=f"内存不足，请改用更小的参数，或关闭其他占用内存的程序。{last}",
            en=f"Out of memory: choose smaller values, or close other programs. {last}",
        )
    return same(last)


def _is_of_memory(error: BaseException, last: str) -> bool:
    """torch raises an OutOfMemoryError on a GPU, and a plain RuntimeError on the CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in last
    )


def sendable(text: str) -> str:
    """``text``, if need be without its middle and with what is no Unicode (a file's name may hold any byte)
    written out: what tells of a failure must not fail itself."""
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS // 2]} … {text[-MOST_CHARACTERS // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
