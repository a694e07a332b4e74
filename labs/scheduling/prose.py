"""What a run shows, in words: points computed from its figures."""

from __future__ import annotations

from labs.results import Markdown, Provenance
from labs.text import Text


def points(zh: list[str], en: list[str], provenance: Provenance = Provenance.SIMULATED) -> Markdown:
    return Markdown(
        id="story",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=provenance,
        wide=True,
        body=Text(zh="\n".join(f"- {one}" for one in zh), en="\n".join(f"- {one}" for one in en)),
    )
