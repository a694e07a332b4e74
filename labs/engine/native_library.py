"""C++ compiled at first use, for this very processor, into the user's cache; or why that cannot be."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from labs.text import Text

_FLAGS = ("-O3", "-march=native", "-std=gnu++20", "-fPIC", "-shared", "-pthread", "-Wno-psabi")
_NEEDED = {"avx2", "fma", "f16c"}
_CPU_INFO = Path("/proc/cpuinfo")


class NativeUnavailable(Exception):
    """``text`` says why the kernels cannot be had here."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


def loaded(source: Path, *headers: Path) -> ctypes.CDLL | Text:
    """The library of ``source``, compiled if this machine has not done so before (some seconds); else the
    reason why there is none. ``headers`` are folders to include from, besides the source's own."""
    try:
        return ctypes.CDLL(str(compiled(source, *headers)))
    except NativeUnavailable as error:
        return error.text
    except OSError as error:
        return Text(zh=f"原生内核无法加载：{error}", en=f"the native kernels cannot be loaded: {error}")


def compiled(source: Path, *headers: Path, folder: Path | None = None) -> Path:
    """The shared library in the user's cache, for this source, its headers, this compiler and processor.

    NativeUnavailable without a compiler, on another processor, or when it does not compile.
    """
    features = _processor()
    compiler = shutil.which("g++")
    if compiler is None:
        raise NativeUnavailable(
            Text(zh="没有 g++，原生内核无法编译", en="there is no g++ to compile the native kernels")
        )
    key = _key(compiler, features, source, headers)
    target = (folder or cache_folder()) / f"{source.stem}-{key}.so"
    if not target.exists():
        _compile(compiler, source, headers, target)
    return target


def cache_folder() -> Path:
    """Where the user's programs keep what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "InferLab" / "native"


def _processor() -> str:
    """Name and features, as the system tells them."""
    text = _CPU_INFO.read_text() if _CPU_INFO.exists() else ""
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in lines.items()}
    if missing := sorted(_NEEDED - set(facts.get("flags", "").split())):
        names = ", ".join(name.upper() for name in missing)
        raise NativeUnavailable(
            Text(
                zh=f"原生内核需要 Linux x86 处理器的 {names}，此处没有（{platform.machine()}）",
                en=f"the native kernels need {names} of a Linux x86 processor, missing here "
                f"({platform.machine()})",
            )
        )
    return f"{facts.get('model name')} {facts['flags']}"


def _key(compiler: str, processor: str, source: Path, headers: tuple[Path, ...]) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    digest = hashlib.sha256(repr((version, processor, _FLAGS)).encode())
    digest.update(source.read_bytes())
    for folder in (source.parent, *headers):
        for header in sorted(folder.glob("*.h")):
            digest.update(header.read_bytes())
    return digest.hexdigest()[:16]


def _compile(compiler: str, source: Path, headers: tuple[Path, ...], target: Path) -> None:
    """To a name of its own, then renamed: another process sees the whole library or none."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".tmp")
        os.close(handle)
    except OSError as error:
        raise NativeUnavailable(
            Text(zh=f"缓存目录不可写：{error}", en=f"the cache folder cannot be written: {error}")
        ) from error
    command = [compiler, *_FLAGS, *(f"-I{folder}" for folder in headers), "-o", name, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        Path(name).unlink()
        errors = [line for line in done.stderr.splitlines() if "error" in line] or ["g++"]
        raise NativeUnavailable(
            Text(
                zh=f"原生内核编译失败：{errors[0][:200]}",
                en=f"the native kernels do not compile: {errors[0][:200]}",
            )
        )
    os.replace(name, target)
