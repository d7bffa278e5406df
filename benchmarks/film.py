"""A film with sound of two people who move, and where they are: made by PyAV while a benchmark runs.

Both are the portrait of Eileen Collins (NASA, public domain, from scikit-image), the second one mirrored and
darker, on a textured background that does not move. Their paths do not cross.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage.data

from ferkeras.faces.align import map_box

WIDTH, HEIGHT, RATE = 1280, 720, 25
SAMPLES = 48_000
PEOPLE = 2
#: The portrait (512 x 512 pixels), and the face in it: x, y, width, height.
PORTRAIT = skimage.data.astronaut()
DARKER = (PORTRAIT * (0.75, 0.65, 0.6)).astype(np.uint8)
FACE = np.array([175.0, 55.0, 95.0, 120.0])
#: Centre and half axes of the head and shoulders that are shown, whose edge fades out.
CENTRE, AXES = np.array([222.0, 118.0]), np.array([95.0, 103.0])


def pose(person: int, second: float) -> np.ndarray:
    """(2, 3) from the portrait to the frame: turned by up to 15 degrees, a face of 85 to 150 pixels, moving about."""
    phase = 2 * np.pi * second
    scale = 1.2 + 0.3 * np.sin(phase / 13 + person)
    x = WIDTH * (0.28 + 0.44 * person) + 150 * np.sin(phase / 7 + person)
    y = HEIGHT * 0.5 + 110 * np.sin(phase / 5 + person)
    a = scale * np.exp(1j * np.deg2rad(15) * np.sin(phase / 6))
    turn = np.array([[a.real, -a.imag], [a.imag, a.real]])
    if person == 1:
        turn[:, 0] *= -1  # mirrored
    return np.column_stack([turn, (x, y) - turn @ CENTRE])


def true_boxes(second: float) -> np.ndarray:
    """(2, 4) the boxes of the faces, x, y, width, height, the left person first."""
    return np.array([map_box(pose(person, second), FACE) for person in range(PEOPLE)])


def background() -> np.ndarray:
    """(H, W, 3) uint8: coloured clouds with grain."""
    noise = np.random.default_rng(0)
    clouds = cv2.resize(noise.integers(40, 170, (9, 16, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(clouds + noise.normal(0, 5, clouds.shape), 0, 255).astype(np.uint8)


def draw(second: float, behind: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: both people over `behind`."""
    picture = behind.copy()
    rows, columns = np.mgrid[:512, :512]
    head = np.exp(-((((columns - CENTRE[0]) / AXES[0]) ** 2 + ((rows - CENTRE[1]) / AXES[1]) ** 2) ** 4))
    for person in range(PEOPLE):
        matrix = pose(person, second)
        reach = np.concatenate([CENTRE - 1.3 * AXES, 2.6 * AXES])
        x, y, width, height = map_box(matrix, reach)
        left, top = max(int(x), 0), max(int(y), 0)
        right, bottom = min(int(x + width), WIDTH), min(int(y + height), HEIGHT)
        moved, size = matrix - [[0, 0, left], [0, 0, top]], (right - left, bottom - top)
        mask = cv2.warpAffine(head.astype(np.float32), moved, size)[..., None]
        portrait = PORTRAIT if person == 0 else DARKER
        part = picture[top:bottom, left:right]
        part[...] = np.rint(mask * cv2.warpAffine(portrait, moved, size) + (1 - mask) * part)
    return picture


def write_film(path: Path, seconds: float) -> None:
    """H.264 with AAC sound, a tone that rises and falls."""
    import av

    behind = background()
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLES, layout="mono")
        per_frame = SAMPLES // RATE
        for index in range(round(seconds * RATE)):
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(draw(index / RATE, behind), format="rgb24")))
            times = (np.arange(per_frame) + index * per_frame) / SAMPLES
            tone = 0.2 * np.sin(2 * np.pi * (330 * times + 40 * np.sin(2 * np.pi * times / 3)))
            heard = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
            heard.sample_rate, heard.pts = SAMPLES, index * per_frame
            container.mux(sound.encode(heard))
        container.mux(pictures.encode(None))
        container.mux(sound.encode(None))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    return shared / float(a[2] * a[3] + b[2] * b[3] - shared)
