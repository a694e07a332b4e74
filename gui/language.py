"""The language in force, Chinese or English, and the choice among bilingual texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QCoreApplication, QLocale, QObject, QTranslator, Signal

if TYPE_CHECKING:
    from collections.abc import Mapping

Language = Literal["zh", "en"]
TRANSLATIONS = Path(__file__).resolve().parent.parent / "resources" / "translations"


class LanguageSwitch(QObject):
    """Installs the Qt translators; Qt then sends every widget a LanguageChange event."""

    changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.current: Language = "zh" if QLocale.system().language() == QLocale.Language.Chinese else "en"
        self._translator: QTranslator | None = None

    def apply(self, language: Language) -> None:
        """Switch at run time. English is the language of the source, so it needs no translator."""
        self.current = language
        app = QCoreApplication.instance()
        if app is None:
            return
        if self._translator is not None:
            app.removeTranslator(self._translator)
            self._translator = None
        if language == "zh":
            translator = QTranslator(app)
            if translator.load(str(TRANSLATIONS / "inferlab_zh.qm")):
                app.installTranslator(translator)
                self._translator = translator
        self.changed.emit(language)

    def pick(self, text: Mapping[str, str]) -> str:
        """The current language's side of a bilingual ``{"zh": ..., "en": ...}``."""
        return text[self.current]


language_switch = LanguageSwitch()
