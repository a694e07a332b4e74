"""Every test draws offscreen, whatever display there is, and none depends on how fast the machine is."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# Hypothesis would fail an example that takes longer than 200 ms; speed is for the benchmarks.
settings.register_profile("inferlab", deadline=None)
settings.load_profile("inferlab")
