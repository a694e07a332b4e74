"""Installs the system libraries and the Chinese font that the window needs and this machine lacks.

Runs before the virtual environment exists, so it uses the standard library only. With root or a password-free
sudo it calls apt-get; otherwise it prints the one command to run and exits with 1. A machine that has
everything is left alone and no network is reached. What Triton needs on a GPU is wished for, not required.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

# Shared library -> the Debian package that holds it. The first six are needed even without a screen.
LIBRARIES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
CHINESE_FONT = "fonts-noto-cjk"
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
CHINESE_FONT_NAMES = ("*CJK*", "*wqy*", "*SourceHan*", "*NotoSansSC*", "*NotoSerifSC*", "*DroidSansFallback*")

# Where NVIDIA's driver shows itself, in WSL as well.
GPU_NODES = ("/proc/driver/nvidia/version", "/dev/dxg")


def missing_packages() -> list[str]:
    """Debian packages that would provide what this machine lacks."""
    missing = [package for library, package in LIBRARIES.items() if not _loads(library)]
    if not _has_chinese_font():
        missing.append(CHINESE_FONT)
    if importlib.util.find_spec("ensurepip") is None:  # Debian and Ubuntu split it off from Python
        missing.append("python3-venv")
    return missing


def wished_packages() -> list[str]:
    """What launching Triton's kernels takes, where there is an NVIDIA GPU: a C compiler, Python's headers."""
    if not any(Path(node).exists() for node in GPU_NODES):
        return []
    wished = [] if shutil.which("gcc") or shutil.which("clang") else ["gcc", "libc6-dev"]
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        wished.append("python3-dev")
    return wished


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _has_chinese_font() -> bool:
    folders = [Path(folder).expanduser() for folder in FONT_FOLDERS]
    return any(
        next(folder.rglob(name), None) for folder in folders if folder.is_dir() for name in CHINESE_FONT_NAMES
    )


def _privilege() -> list[str] | None:
    """What to put before apt-get; None where we may not call it."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def main() -> int:
    if not sys.platform.startswith("linux"):
        return 0
    _install(wished_packages(), "For Triton's kernels on the GPU InferLab would like")
    return _install(missing_packages(), "InferLab needs these system packages:")


def _install(packages: list[str], why: str) -> int:
    """0 once they are there; where they may not be installed from here, the command that would."""
    if not packages:
        return 0
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    prefix = _privilege() if shutil.which("apt-get") else None
    if prefix is None:
        print(f"{why} {' '.join(packages)}\nPlease run:\n    {shlex.join(['sudo', *install])}")
        return 1
    print(f"Installing system packages: {' '.join(packages)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*prefix, "apt-get", "update", "-qq"], env=environment, check=False)
    return subprocess.run([*prefix, *install, "-qq"], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
