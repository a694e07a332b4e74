"""A trace as an animation: the views that follow its clock, drawn at evenly spaced moments."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QRegion

from gui.lab.views.view import PLAIN, pick

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from gui.lab.playback.clock import Clock
    from gui.lab.views.view import View

Kind = Literal["gif", "png"]
# A GIF of so many frames of a full page is about as large as one would send to anybody.
MOST_FRAMES = 600
FRAME_MS = 100
MARGIN, TITLE = 12, 26
PNG_SCALE = 2.0


def animation_steps(
    path: Path, kind: Kind, clock: Clock, views: Sequence[View], frames: int
) -> Generator[int]:
    """Write ``frames`` frames (at most MOST_FRAMES) to a GIF file, or as PNG files to a new folder ``path``.

    Each frame is two steps, to draw and to write it; yields how many are written. The cursor is back where it
    was when the last is written or the iterator is closed before; what was written till then is removed in
    that case. Raises OSError.
    """
    frames = max(2, min(frames, MOST_FRAMES))
    cursor, now = clock.cursor, clock.now_s
    writer = GifWriter(path) if kind == "gif" else PngWriter(path, frames)
    done = False
    try:
        for frame in range(frames):
            _seek(clock, frame / (frames - 1))
            drawn = picture(views, PNG_SCALE if kind == "png" else 1.0)
            yield frame
            writer.write(drawn)
            yield frame + 1
        done = True
    finally:
        clock.restore(cursor, now)
        writer.finish()
        if not done:
            writer.remove()


def _seek(clock: Clock, share: float) -> None:
    """To this part of the trace's time; of its events where it has no time."""
    first, last = float(clock.times[0]), float(clock.times[-1])
    if last > first:
        clock.seek_time(first + share * (last - first))
    else:
        clock.seek(round(share * clock.last))


def picture(views: Sequence[View], scale: float) -> QImage:
    """The views as they are drawn now, each under its title."""
    width = max(view.width() for view in views) + 2 * MARGIN
    height = sum(view.height() + TITLE + MARGIN for view in views) + MARGIN
    image = QImage(QSize(width, height) * scale, QImage.Format.Format_RGB888)
    image.setDevicePixelRatio(scale)
    theme = views[0].theme
    image.fill(QColor(theme.raised))
    painter = QPainter(image)
    font = QFont(views[0].font())
    font.setPixelSize(13)
    font.setWeight(QFont.Weight.DemiBold)
    y = MARGIN
    for view in views:
        painter.setFont(font)
        painter.setPen(QColor(theme.ink))
        title = QRectF(MARGIN, y, width - 2 * MARGIN, TITLE)
        painter.drawText(title, int(Qt.AlignmentFlag.AlignVCenter), pick(view.result["title"]))
        view.render(painter, QPoint(MARGIN, y + TITLE), QRegion(), PLAIN)
        y += view.height() + TITLE + MARGIN
    painter.end()
    return image


class PngWriter:
    def __init__(self, folder: Path, frames: int) -> None:
        folder.mkdir()
        self._folder, self._digits = folder, len(str(frames))
        self._written: list[Path] = []

    def write(self, image: QImage) -> None:
        path = self._folder / f"{len(self._written):0{self._digits}d}.png"
        if not image.save(str(path)):
            raise OSError(f"{path} was not written")
        self._written.append(path)

    def finish(self) -> None:
        """Every file is complete."""

    def remove(self) -> None:
        for path in self._written:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else has come to lie in it
            self._folder.rmdir()


class GifWriter:
    """Frame after frame, each with its own 256 colours and only where it differs from the one before: no more
    than two frames are in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._before: Any = None

    def write(self, image: QImage) -> None:
        from PIL import GifImagePlugin, Image, ImageChops

        size = (image.width(), image.height())
        frame = Image.frombuffer("RGB", size, bytes(image.constBits()), "raw", "RGB", image.bytesPerLine(), 1)
        changed = (0, 0, *size)
        if self._before is None:
            header, _ = GifImagePlugin.getheader(_few_colours(frame), info={"loop": 0})
            self._file.writelines(header)
        else:
            changed = ImageChops.difference(frame, self._before).getbbox() or (0, 0, 1, 1)
        self._before = frame
        part = _few_colours(frame.crop(changed))
        self._file.writelines(
            GifImagePlugin.getdata(part, changed[:2], duration=FRAME_MS, include_color_table=True)
        )

    def finish(self) -> None:
        self._file.write(b";")
        self._file.close()

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def _few_colours(frame: Any) -> Any:
    from PIL import Image

    return frame.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
