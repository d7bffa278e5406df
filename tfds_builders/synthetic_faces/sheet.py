"""Writes a sheet of samples as PNG: `python -m tfds_builders.synthetic_faces.sheet out.png`.

Stills: one column per emotion in the order of `EMOTIONS`, one row per subject. Clips (`--what clips`): one
row per subject and emotion, one column per frame.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tfds_builders.synthetic_faces.sampling import EXAMPLES_PER_SUBJECT, sample_clip, sample_still

Sheet = npt.NDArray[np.uint8]


def still_sheet(*, seed: int, size: int, channels: int, rows: int) -> Sheet:
    """Faces of the training split, (rows * size, 7 * size, channels)."""
    return np.concatenate(
        [
            np.concatenate(
                [
                    sample_still(seed, "train", row * EXAMPLES_PER_SUBJECT + column, size=size, channels=channels).image
                    for column in range(len(EMOTIONS))
                ],
                axis=1,
            )
            for row in range(rows)
        ]
    )


def clip_sheet(*, seed: int, size: int, channels: int, rows: int) -> Sheet:
    """Clips of the training split, (rows * size, 16 * size, channels)."""
    step = EXAMPLES_PER_SUBJECT + 1  # the next subject, and the next emotion
    clips = [
        sample_clip(seed, "train", row * step, size=size, channels=channels, frames=16, fps=8.0) for row in range(rows)
    ]
    return np.concatenate([np.concatenate(list(clip.frames), axis=1) for clip in clips])


def main() -> None:
    """Parses the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the PNG file to write")
    parser.add_argument("--what", choices=("still", "clips"), default="still")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=112, help="pixels of one face")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3)
    parser.add_argument("--rows", type=int, default=7)
    arguments = parser.parse_args()
    if not arguments.output.parent.is_dir():
        raise InputError("The sheet needs an existing folder", received=str(arguments.output), action="Make it first.")
    draw = still_sheet if arguments.what == "still" else clip_sheet
    sheet = draw(seed=arguments.seed, size=arguments.size, channels=arguments.channels, rows=arguments.rows)
    _, data = cv2.imencode(".png", sheet[..., ::-1])  # OpenCV writes BGR
    temporary = arguments.output.with_name(f".{arguments.output.name}.partial")
    temporary.write_bytes(data.tobytes())
    temporary.replace(arguments.output)


if __name__ == "__main__":
    main()
