"""Tensors of a folder of safetensors, one file or several with an index, in the type they are stored in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import safetensors

from labs.models.errors import unusable
from labs.models.folder_config import read_folder_config
from labs.models.json_file import read_json
from labs.text import Text

if TYPE_CHECKING:
    import torch

    from labs.spec import LabError

_INDEX = "model.safetensors.index.json"
_FLOATS = ("F32", "F16", "BF16")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


class SafetensorsCheckpoint:
    """See ``labs.models.checkpoint.Checkpoint``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = read_folder_config(path)
        self._files: dict[str, Path] = {}  # by canonical name
        self._stored: dict[str, str] = {}  # canonical name to the name in the file
        for file in _files(path):
            for name in _opened(file).keys():
                canonical = name.removeprefix("model.")
                if canonical in self._files:
                    raise _twice(file, name, self._files[canonical])
                self._files[canonical], self._stored[canonical] = file, name

    @property
    def source_text(self) -> Text:
        name = self.path.resolve().name
        return Text(
            zh=f"本地 safetensors 文件夹 {name} 的权重", en=f"weights of the local safetensors folder {name}"
        )

    def names(self) -> set[str]:
        return set(self._stored)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(_opened(self._files[name]).get_slice(self._stored[name]).get_shape())

    def tensor(self, name: str) -> torch.Tensor:
        file, stored = self._files[name], self._stored[name]
        opened = _opened(file)
        kind = opened.get_slice(stored).get_dtype()
        if kind not in _FLOATS:
            listed = ", ".join(_FLOATS)
            raise unusable(
                file,
                zh=f"{stored} 的类型为 {kind}，应为 {listed}",
                en=f"{stored} is {kind}, expected {listed}",
            )
        tensor: torch.Tensor = opened.get_tensor(stored)
        return tensor


def _twice(file: Path, name: str, first: Path) -> LabError:
    zh = f"{name} 已出现在 {first.name} 中，无法确定应使用哪一个"
    return unusable(file, zh=zh, en=f"{name} is also in {first.name}: which one is meant is unknown")


def _opened(file: Path) -> Any:
    # Any, because safe_open's methods carry no annotations.
    try:
        return safetensors.safe_open(file, framework="pt")
    except (safetensors.SafetensorError, OSError) as error:
        zh = f"不是完整的 safetensors 文件（{error}）"
        raise unusable(file, zh=zh, en=f"not a complete safetensors file ({error})") from error


def _files(folder: Path) -> list[Path]:
    """The files that the index names, or all there are when there is no index."""
    index = folder / _INDEX
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    names = set(read_json(index, _Index).weight_map.values())
    for name in sorted(names):
        # The index comes with the model, from anywhere: it may not point out of the folder.
        if Path(name).name != name or not (folder / name).is_file():
            zh = f"索引中的文件 {name} 不在文件夹内"
            raise unusable(index, zh=zh, en=f"the index names {name}, which is not in the folder")
    return [folder / name for name in sorted(names)]
