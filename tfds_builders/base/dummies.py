"""Small pictures for the dummy data of builders: patterns, and one real face. Only fixtures and tests need it."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

#: x, y of eye, eye, nose tip and mouth corners of `portrait(0)`, as fractions of its side.
PORTRAIT_LANDMARKS = np.array([(0.415, 0.393), (0.588, 0.403), (0.503, 0.495), (0.418, 0.555), (0.578, 0.555)])

#: Grey levels of eye, eye, nose and mouth corners in `marked`.
MARKS = (255, 255, 225, 195, 195)


def pattern(seed: int, size: int = 100, *, channels: int = 3) -> np.ndarray:
    """(H, W, C) uint8: 4 x 4 blocks of random colours, another one for each seed."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, channels), np.uint8)
    picture = cv2.resize(colours, (size, size), interpolation=cv2.INTER_NEAREST)
    return picture.reshape(size, size, channels)


def portrait(seed: int, size: int = 160) -> np.ndarray:
    """(H, W, C=3) uint8 RGB: the head of the astronaut in scikit-image, a work of NASA in the public domain.

    With the seed it gets darker and moves right, by 1 % of the side each, so that no two are equal.
    """
    from skimage import data

    head = cv2.resize(data.astronaut()[0:256, 96:352], (size, size), interpolation=cv2.INTER_AREA)
    moved = np.roll(head, round(seed * size / 100), axis=1)
    return (moved * (1 - seed / 100)).astype(np.uint8)


def landmarks68(five: np.ndarray) -> np.ndarray:
    """(68, 2): points of which `five_points` makes `five` (5, 2), the others on a circle around them."""
    centre, radius = five.mean(0), 2 * np.ptp(five[:, 0])
    angles = np.linspace(0, np.pi, 68)
    points = centre + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    points[36:42], points[42:48] = five[0], five[1]
    points[[30, 48, 54]] = five[2:]
    return points


def marked(five: np.ndarray, *, level: int, shape: tuple[int, ...]) -> np.ndarray:
    """A picture of `shape` (H, W) or (H, W, 3) uint8 of one grey level, with discs at the landmarks `five` (5, 2).

    The grey levels of the discs are `MARKS`, in the order of the landmarks: tests look for them in aligned faces.
    """
    image = np.full(shape, level, np.uint8)
    radius = max(1, round(np.ptp(five[:, 0]) / 8))
    for (x, y), grey in zip(five, MARKS, strict=True):
        cv2.circle(image, (round(x), round(y)), radius, (grey,) * 3, cv2.FILLED)
    return image


def encoded(picture: np.ndarray, suffix: str = ".jpg") -> bytes:
    """The bytes of a picture file, the same in every run."""
    data = io.BytesIO()
    options = {"quality": 80} if suffix.lower() in (".jpg", ".jpeg") else {}
    image = Image.fromarray(picture.squeeze())
    image.save(data, format=Image.registered_extensions()[suffix.lower()], **options)
    return data.getvalue()


def encoded_video(frames: Sequence[np.ndarray], suffix: str = ".avi", *, fps: int = 25) -> bytes:
    """The bytes of a video file with these frames (H, W, 3) uint8 RGB of even sides, the same in every run."""
    import av

    data = io.BytesIO()
    with av.open(data, "w", format=av.ContainerFormat(suffix[1:]).name) as container:
        container.flags |= av.container.Flags.bitexact.value
        stream = container.add_stream("mjpeg", rate=fps, options={"qmin": "2", "qmax": "3"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return data.getvalue()


def write_files(root: Path, files: Mapping[str, bytes | str]) -> None:
    """Writes files below `root`, by their path."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data.encode() if isinstance(data, str) else data)
