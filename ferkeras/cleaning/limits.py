"""From where on a picture is rejected, and the reasons that there are."""

from dataclasses import dataclass
from typing import Literal

from ferkeras.data.phash import DISTANCE
from ferkeras.errors import InputError

Reason = Literal[
    "unreadable",
    "no_face",
    "several_faces",
    "small",
    "blurred",
    "clipped_dark",
    "clipped_bright",
    "dark",
    "bright",
    "duplicate",
    "near_duplicate",
    "contradictory",
    "mislabelled",
]

#: Reason -> what it means, in the order in which they are reported.
REASONS: dict[Reason, str] = {
    "unreadable": "the file is no picture, cut off or too large",
    "no_face": "the detector finds none",
    "several_faces": "number of faces of comparable size; only pictures of one face have one label",
    "small": "longer side of the face, in pixels of the picture",
    "blurred": "variance of the Laplacian of the face",
    "clipped_dark": "fraction of the face at grey levels 0 to 5",
    "clipped_bright": "fraction of the face at grey levels 250 to 255",
    "dark": "mean grey level of the face",
    "bright": "mean grey level of the face",
    "duplicate": "the pixels are those of the partner, which is kept",
    "near_duplicate": "bits in which the perceptual hash differs from that of the partner, which is kept",
    "contradictory": "the same, but the partner stands in another class; none of them is kept",
    "mislabelled": "out-of-fold probability of the class; another one is probable",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Thresholds. The defaults reject little: less than one in a hundred pictures of FER2013 for what is seen in it.

    Attributes:
        min_size: Least longer side of the face in pixels: FER2013's, the smallest in use.
        min_sharpness: Least variance of the Laplacian, in squared grey levels, of the face scaled to 64 pixels. Of
            34,094 faces of FER2013 51 lie below 40; of 100 that are blurred by a Gaussian with a standard deviation of
            1 of 48 pixels 45 do, and with 1.5 of 48 pixels 98.
        max_dark: Highest fraction of the face that is clipped to black.
        max_bright: Highest fraction of the face that is clipped to white.
        min_mean: Least mean grey level of the face.
        max_mean: Highest mean grey level of the face.
        second_face: Faces count from this fraction of the largest one's side on: those in the background do not.
        distance: Bits in which near duplicates differ at most, see `ferkeras.data.phash`.
        doubt: A label is doubted where the model gives it less than this fraction of the probability that is usual for
            its class. With the features of a network that was trained on FER2013, and 250 labels of 5,385 other
            pictures of it made wrong, 0.25 listed 9 in 100 pictures and 62 in 100 of the wrong ones; 1.0 listed 21 and
            75, 0.1 listed 4 and 50. What else was listed may be FER2013's own doubtful labels.
    """

    min_size: int = 48
    min_sharpness: float = 40.0
    max_dark: float = 0.6
    max_bright: float = 0.5
    min_mean: float = 25.0
    max_mean: float = 225.0
    second_face: float = 0.5
    distance: int = DISTANCE
    doubt: float = 0.25

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            **dict.fromkeys(("max_dark", "max_bright", "second_face", "doubt"), (0, 1)),
            **dict.fromkeys(("min_mean", "max_mean"), (0, 255)),
            **dict.fromkeys(("min_size", "min_sharpness"), (0, float("inf"))),
            "distance": (0, 16),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} must be in [{low}, {high}]", received=getattr(self, name))
