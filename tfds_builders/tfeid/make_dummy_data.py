"""Writes tiny stand-ins for TFEID in its two known layouts: patterns, and one real face for the detector.

`python -m tfds_builders.tfeid.make_dummy_data` writes `dummy_data/` anew.
"""

from pathlib import Path

from tfds_builders.base.dummies import encoded, pattern, portrait, write_files

#: Path in the grey layout -> class. Surprise has the letter p and the suffix .JPG, as in the official copy.
GRAY = {
    "dfh_gray/dfh_anger_g/f01_dfh_ag.jpg": "angry",
    "dfh_gray/dfh_disgust_g/f01_dfh_dg.jpg": "disgust",
    "dfh_gray/dfh_fear_g/f02_dfh_fg.jpg": "fear",
    "dfh_gray/dfh_happiness_g/f02_dfh_hg.JPG": "happy",
    "dfh_gray/dfh_neutral_g/m01_dfh_ng.jpg": "neutral",
    "dfh_gray/dfh_sadness_g/m01_dfh_sg.jpg": "sad",
    "dfh_gray/dfh_surprise_g/m20_dfh_pg.JPG": "surprise",
}
#: The other layout spells disgust in another way, and has contempt, whose letter is not known.
COLOUR = {
    "dfh_all/dfh_un-rimmed/dfh_contempt_x/f01_dfh_cx.jpg": "contempt",
    "dfh_all/dfh_un-rimmed/dfh_disguest_x/f01_dfh_dx.jpg": "disgust",
}


def gray() -> dict[str, bytes | str]:
    """Path -> bytes of the grey layout."""
    return {path: encoded(pattern(number, 64, channels=1)) for number, path in enumerate(GRAY)}


def colour() -> dict[str, bytes | str]:
    """Path -> bytes of the other layout, with faces."""
    return {path: encoded(portrait(number)) for number, path in enumerate(COLOUR)}


def main() -> None:
    root = Path(__file__).parent / "dummy_data"
    write_files(root / "gray", gray())
    write_files(root / "colour", colour())


if __name__ == "__main__":
    main()
