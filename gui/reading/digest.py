"""A short name for a text, the same in every process: what caches on disk are filed under."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QCryptographicHash


def digest(text: str) -> str:
    """The first half of its SHA-256, in hexadecimal. By Qt: hashlib loads OpenSSL, 3 ms of every start."""
    made = QCryptographicHash.hash(QByteArray(text.encode()), QCryptographicHash.Algorithm.Sha256)
    return made.toHex().toStdString()[:32]
