"""Small videos for tests, written with PyAV, whose every frame says which one it is; and damaged copies of them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, BITS = 96, 64, 8
#: Milliseconds that follow each frame of a video with a variable rate, over and over.
UNEVEN_MS = (40, 7, 93, 33)


def numbered(index: int) -> np.ndarray:
    """(H=64, W=96, 3) uint8: grey that moves, and `index` as eight black or white blocks, the highest bit first."""
    image = np.broadcast_to(((np.arange(WIDTH) + 2 * index) % WIDTH + 60).astype(np.uint8)[None, :, None], (64, 96, 3))
    image = image.copy()
    for bit in range(BITS):
        image[8:20, bit * 12 : (bit + 1) * 12] = 255 * (index >> (BITS - 1 - bit) & 1)
    return image


def number_of(image: np.ndarray) -> int:
    """The index that `numbered` wrote into a frame."""
    blocks = image[11:17].reshape(6, BITS, 12, 3)[:, :, 3:9].mean((0, 2, 3)) > 128
    return int(sum(int(bit) << (BITS - 1 - place) for place, bit in enumerate(blocks)))


def write_video(
    path: Path,
    *,
    frames: int = 60,
    picture: Callable[[int], np.ndarray] = numbered,
    codec: str = "libx264",
    b_frames: int = 2,
    key_every: int = 20,
    rate: int = 25,
    durations_ms: Sequence[int] = (),
    turned: int = 0,
    first_ms: int = 0,
    faststart: bool = False,
    matrix: int = 2,
) -> list[float]:
    """Writes a video and returns the time of each frame in seconds after the first.

    Args:
        path: Its suffix chooses the format.
        frames: How many.
        picture: Index to (H, W, 3) uint8.
        codec: Encoder of FFmpeg.
        b_frames: Most frames in a row that depend on a later one; 0 where the encoder has none.
        key_every: Frames from one key frame to the next.
        rate: Frames per second, where they are evenly spaced.
        durations_ms: How long each frame is shown, repeated; empty for a constant rate.
        turned: Degrees by which a player turns the frames counterclockwise.
        first_ms: Time stamp of the first frame. Below 0 the file says that it starts at 0.
        faststart: Puts the index at the beginning of an MP4, so that a truncated one can be read.
        matrix: FFmpeg's number of the colour matrix: 1 BT.709, 5 BT.601, 2 the latter without saying so.
    """
    unit = Fraction(1, 1000) if durations_ms else Fraction(1, rate)
    steps = [durations_ms[i % len(durations_ms)] if durations_ms else 1 for i in range(frames)]
    stamps = np.concatenate([[0], np.cumsum(steps)[:-1]]).astype(int)
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, options=_options(codec))
        stream.height, stream.width = picture(0).shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = key_every
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.time_base = unit
        stream.codec_context.colorspace = matrix
        if turned:
            stream.set_display_rotation(turned)
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=None if matrix == 2 else matrix)
            frame.pts, frame.time_base = int(stamp) + round(first_ms / 1000 / unit), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return [float(stamp * unit) for stamp in stamps]


def _options(codec: str) -> dict[str, str]:
    if codec == "libx264":
        return {
            "preset": "ultrafast",
            "crf": "18",
            "threads": "1",
            "sc_threshold": "0",
            "bf": "2",
            "x264-params": "b-adapt=0",
        }
    return {"qmin": "2", "qmax": "6"} if codec == "mpeg4" else {}


def spoil_packet(source: Path, target: Path, number: int) -> None:
    """A copy in which packet `number`, in the order of the file, holds noise; the file around it stays in order."""
    with av.open(str(source)) as container:
        content = [bytes(packet) for packet in container.demux(video=0) if packet.size][number]
    data = source.read_bytes()
    if data.count(content) != 1:
        raise ValueError(f"packet {number} does not stand in {source} once and in one piece")
    target.write_bytes(data.replace(content, np.random.default_rng(number).bytes(len(content))))


def truncate(source: Path, target: Path, fraction: float) -> None:
    """The first `fraction` of the bytes."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * fraction)])


def write_sound(path: Path) -> None:
    """A tenth of a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_film(
    path: Path,
    *,
    frames: int,
    sound: str = "aac",
    sound_rate: int = 44100,
    sound_s: float | None = None,
    first_ms: int = 0,
    offset_s: int = 0,
) -> None:
    """Writes numbered frames at 25 a second with a swelling tone.

    Args:
        path: Its suffix chooses the format.
        frames: How many.
        sound: Encoder of FFmpeg.
        sound_rate: Samples per second.
        sound_s: Length of the tone; None for that of the pictures.
        first_ms: How much later than the tone the pictures begin.
        offset_s: Time stamp of the beginning of the tone.
    """
    length = round((frames / 25 if sound_s is None else sound_s) * sound_rate)
    moments = np.arange(length) / sound_rate
    tone = (0.3 * np.sin(2 * np.pi * 440 * moments) * np.abs(np.sin(9 * moments**2))).astype(np.float32)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25, options=_options("libx264"))
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        pictures.codec_context.time_base = Fraction(1, 1000)
        sounds = container.add_stream(sound, rate=sound_rate, layout="mono")
        done = 0
        for index in range(frames + 1):
            stop = length if index == frames else min(length, (index + 1) * sound_rate // 25)
            while done < stop:
                piece = tone[None, done : min(done + 1024, stop)]
                samples = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                samples.sample_rate, samples.pts = sound_rate, done + offset_s * sound_rate
                samples.time_base = Fraction(1, sound_rate)
                done += piece.shape[1]
                container.mux(sounds.encode(samples))
            if index < frames:
                frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
                frame.pts, frame.time_base = index * 40 + first_ms + 1000 * offset_s, Fraction(1, 1000)
                container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        container.mux(sounds.encode(None))
