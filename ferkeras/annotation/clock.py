"""Time and colour of a source video, which its annotated copy takes over."""

from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

#: Of a source without a file, such as a camera: milliseconds, and the rate that is announced.
CAMERA_UNIT, CAMERA_RATE = Fraction(1, 1000), Fraction(30)
#: Announced rates lie between these: a wrong one in a header would have the encoder plan nonsense.
RATES = (Fraction(1), Fraction(240))


class Clock:
    """Read from the headers of a file, without decoding.

    Args:
        av: PyAV.
        source: The video; None for a camera.

    Attributes:
        unit: Seconds in which time stamps are counted.
        rate: Average number of frames per second.
        first_s: Time stamp of the first frame.
        end_s: Time stamp of the end of the last frame, as far as the header says; 0 where it does not.
        matrix: The one that turns its YUV to RGB, FFmpeg's number; None where the file does not say.
        colours: Names and values of FFmpeg's other marks for the meaning of the colours.
    """

    def __init__(self, av: ModuleType, source: Path | None) -> None:
        self.unit, self.rate, self.first_s, self.end_s = CAMERA_UNIT, CAMERA_RATE, 0.0, 0.0
        self.matrix: int | None = None
        self.colours: dict[str, int] = {}
        if source is None:
            return
        with open_source(av, source) as container:
            stream = pictures(container)
            self.unit = stream.time_base
            self.rate = min(max(stream.average_rate or stream.guessed_rate or CAMERA_RATE, RATES[0]), RATES[1])
            self.first_s = _first_stamp(container, stream) * float(self.unit)
            if stream.duration:
                self.end_s = self.first_s + float(stream.duration * self.unit)
            context = stream.codec_context
            if context.colorspace in list(av.video.reformatter.Colorspace):
                self.matrix = int(context.colorspace)
                names = ("colorspace", "color_primaries", "color_trc")
                self.colours = {name: int(getattr(context, name)) for name in names}


def open_source(av: ModuleType, source: Path) -> Any:
    # A playlist may not reach beyond this machine's files.
    return av.open(str(source), options={"protocol_whitelist": "file"}, metadata_errors="replace")


def pictures(container: Any) -> Any:
    """The stream that `ferkeras.video` decodes: the first one that is no cover picture."""
    return next(s for s in container.streams.video if not s.disposition & s.disposition.attached_pic)


def _first_stamp(container: Any, stream: Any) -> int:
    """The lowest time stamp of a frame that is shown. Frames are not stored in the order in which they are shown."""
    # AVI has no times of presentation, and those that FFmpeg makes up can be wrong: `ferkeras.video` takes dts there.
    presented = container.format.name != "avi"
    first: int | None = None
    for packet in container.demux(stream):
        stamp = packet.pts if presented else packet.dts
        if packet.size and not packet.is_discard and stamp is not None:
            first = stamp if first is None else min(first, stamp)
        if first is not None and packet.dts is not None and packet.dts >= first:
            break  # none is shown before it is decoded
    return first or 0
