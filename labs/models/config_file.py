"""The config of a checkpoint, of whichever kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from labs.models.config import ModelConfig


def read_config(path: Path) -> ModelConfig:
    """The config of the ``.gguf`` file or the folder at ``path``, without torch, reading no weight."""
    if path.is_dir():
        from labs.models.folder_config import read_folder_config

        return read_folder_config(path)
    from labs.models.gguf_config import gguf_config
    from labs.models.gguf_header import read_header

    return gguf_config(read_header(path))
