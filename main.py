"""InferLab: opens the window, or with ``--tour OUT`` walks the app offscreen and writes pictures."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

NO_DISPLAY = (
    "No display was found (neither DISPLAY nor WAYLAND_DISPLAY is set): running the headless tour instead."
)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="inferlab", description=__doc__)
    parser.add_argument(
        "link", nargs="?", help="what to open: lab:model/number_formats?value=0.1, note:1.2.1-07"
    )
    parser.add_argument(
        "--tour", metavar="OUT", type=Path, help="walk the app offscreen; pictures and index.html"
    )
    parser.add_argument("--size", default="1280x800", help="window size of the tour (default %(default)s)")
    parser.add_argument("--theme", choices=("light", "dark"))
    parser.add_argument("--language", choices=("zh", "en"))
    parser.add_argument("--model", metavar="PATH", type=Path, help="a folder of safetensors, or a .gguf file")
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="keep the user's data here")
    return parser.parse_args(argv)


def has_display() -> bool:
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main(argv: list[str]) -> int:
    arguments = parse(argv)
    tour = arguments.tour
    if tour is None and not has_display():
        print(NO_DISPLAY)
        tour = Path("tour")
    if tour is not None:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        from gui.app import Options, run
    except ImportError as error:
        print(f"InferLab cannot start: {error}\nRun `make setup` to install what it needs.", file=sys.stderr)
        return 1
    options = Options(arguments.data, arguments.theme, arguments.language, arguments.model, arguments.link)
    if tour is not None:
        from gui.tour import walk

        return walk(tour, options, arguments.size)
    return run(options, sys.argv[:1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
