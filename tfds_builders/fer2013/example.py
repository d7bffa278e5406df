"""What every reader of FER2013 yields, whichever of the published layouts it reads."""

from typing import NamedTuple

import numpy as np

from ferkeras.errors import InputError

#: Height and width of every image, in pixels.
SIDE = 48

#: The column `Usage` of the csv files, and the prefix of the image file names, to the split.
SPLIT_OF_USAGE: dict[str, str] = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}


class Example(NamedTuple):
    """One labelled face.

    Attributes:
        split: "train", "validation" or "test".
        id: The 0-based data row of the csv file, or the path of the image from `train/` or `test/` on.
            The file name alone is not enough: two names occur in two class folders each.
        emotion: One of `ferkeras.labels.EMOTIONS`.
        image: (H=48, W=48, C=1) uint8, grey.
    """

    split: str
    id: str
    emotion: str
    image: np.ndarray


#: A corrupt row or file is yielded as its error, so that the caller may count it and read on.
Record = Example | InputError
