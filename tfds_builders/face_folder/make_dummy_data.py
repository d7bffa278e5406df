"""Writes tiny folders of pictures by class: one real face over and over, and patterns.

`python -m tfds_builders.face_folder.make_dummy_data` writes `dummy_data/` anew.
"""

from pathlib import Path

from tfds_builders.base.dummies import encoded, pattern, portrait, write_files

#: Path -> class: any case, any usual word, any kind of picture.
PLAIN = {
    "Happy/anna_1.jpg": "happy",
    "Happy/bert_1.png": "happy",
    "anger/anna_2.jpg": "angry",
    "neutral/bert_2.bmp": "neutral",
}
SPLIT = {
    "training/happy/anna_1.jpg": "happy",
    "training/sad/anna_2.jpg": "sad",
    "val/happy/bert_1.jpg": "happy",
    "test/sad/carl_1.jpg": "sad",
}


def plain() -> dict[str, bytes | str]:
    """Without folders of splits."""
    return {path: encoded(pattern(number, 24 + number), Path(path).suffix) for number, path in enumerate(PLAIN)}


def split() -> dict[str, bytes | str]:
    """With them; faces for the detector."""
    return {path: encoded(portrait(number), Path(path).suffix) for number, path in enumerate(SPLIT)}


def main() -> None:
    root = Path(__file__).parent / "dummy_data"
    write_files(root / "plain", plain())
    write_files(root / "split", split())


if __name__ == "__main__":
    main()
