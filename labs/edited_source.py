"""A parameter that is code: the reader's text while it belongs to what is chosen, else the shipped one."""

from __future__ import annotations

TAG = "# kernel: "


def chosen_source(name: str, edited: str, shipped: str) -> tuple[str, bool]:
    """The text to run, and whether it is the shipped one.

    A text begins with the name of the kernel that it was made from, and counts only while that one is chosen;
    a text without a name always does.
    """
    own = f"{TAG}{name}\n{shipped}"
    stated = edited.split("\n", 1)[0].removeprefix(TAG).strip() if edited.startswith(TAG) else None
    if not edited.strip() or (stated is not None and stated != name):
        return own, True
    return edited, edited == own
