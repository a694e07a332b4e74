"""Makes importing PySide, and what is imported after it, cheaper, a fifth of a start in all. Import it first.

Python's collector would look, again and again, at thousands of new classes that stay to the end; the window's
own takes over once there is an application (``gui.garbage``). PySide would compile its own support modules
(``gui.kept_bytecode``), and read the source of each module that is imported, to see whether it names PySide:
such a module may use PySide's optional features (``from __feature__ import snake_case``). None of InferLab's
does.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from gui.kept_bytecode import kept_bytecode

if TYPE_CHECKING:
    from types import ModuleType


def skip_feature_check() -> None:
    """Every module imported from now on is one without features. A PySide that checks in another way than
    the one this was written for goes on checking.
    """
    feature = sys.modules.get("__feature__")
    known = getattr(feature, "pyside_feature_dict", None)
    if known is None or not hasattr(feature, "feature_imported"):
        return

    def without_features(module: ModuleType) -> None:
        known.setdefault(getattr(module, "__name__", ""), 0)

    feature.feature_imported = without_features  # type: ignore[union-attr]


gc.disable()
with kept_bytecode():
    import PySide6  # noqa: F401  (this is the import that compiles)
skip_feature_check()
