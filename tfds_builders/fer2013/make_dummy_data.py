"""Writes tiny stand-ins for FER2013 in every published layout: patterned noise, no faces.

`python -m tfds_builders.fer2013.make_dummy_data` writes `dummy_data/` anew.
The tests use the writers below for their damaged copies.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from ferkeras.labels import EMOTIONS, FER2013_CODES
from tfds_builders.fer2013.example import SIDE, SPLIT_OF_USAGE, Example

_CODE_OF_EMOTION = {emotion: code for code, emotion in FER2013_CODES.items()}
_USAGE_OF_SPLIT = {split: usage for usage, split in SPLIT_OF_USAGE.items()}
_FOLDER_OF_SPLIT = {"train": "train", "validation": "test", "test": "test"}
FER2013_HEADER = "emotion,pixels,Usage"
ICML_HEADER = "emotion, Usage, pixels"


def dummy_examples() -> list[Example]:
    """Seven training images, one per emotion, two of validation and two of test, all different."""
    splits = ["train"] * len(EMOTIONS) + ["validation"] * 2 + ["test"] * 2
    return [Example(split, str(row), EMOTIONS[row % len(EMOTIONS)], noise(row)) for row, split in enumerate(splits)]


def noise(seed: int) -> np.ndarray:
    """(H=48, W=48, C=1) uint8: blocks of 12 pixels with one-digit values, so that fixtures stay small."""
    blocks = np.random.default_rng(seed).integers(0, 10, size=(4, 4, 1), dtype=np.uint8)
    return blocks.repeat(SIDE // 4, axis=0).repeat(SIDE // 4, axis=1)


def csv_row(example: Example, *, header: str = FER2013_HEADER) -> str:
    """One line in the column order of the header."""
    fields = {
        "emotion": str(_CODE_OF_EMOTION[example.emotion]),
        "pixels": " ".join(map(str, example.image.ravel())),
        "Usage": _USAGE_OF_SPLIT[example.split],
    }
    return ",".join(fields[column.strip()] for column in header.split(","))


def csv_text(rows: Iterable[str], *, header: str = FER2013_HEADER) -> str:
    return "\n".join([header, *rows, ""])


def image_files(examples: Sequence[Example]) -> dict[str, bytes]:
    """Path to JPEG bytes, as in the image folders."""
    return {
        f"{_FOLDER_OF_SPLIT[e.split]}/{e.emotion}/{_USAGE_OF_SPLIT[e.split]}_{1000 + int(e.id)}.jpg": jpeg(e.image)
        for e in examples
    }


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def write_folder(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            # A fixed date keeps the archive the same from run to run.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def write_tar_gz(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.GzipFile(path, "wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def main() -> None:
    root = Path(__file__).parent / "dummy_data"
    examples = dummy_examples()
    fer2013 = csv_text(map(csv_row, examples)).encode()
    icml = csv_text((csv_row(e, header=ICML_HEADER) for e in examples), header=ICML_HEADER).encode()
    images = image_files(examples)
    write_folder(root / "csv", {"fer2013.csv": fer2013})
    write_folder(root / "icml_csv", {"icml_face_data.csv": icml})
    tar_files = {"fer2013/README": b"Dummy.\n", "fer2013/fer2013.bib": b"", "fer2013/fer2013.csv": fer2013}
    write_tar_gz(root / "tar_gz" / "fer2013.tar.gz", tar_files)
    write_folder(root / "image_folders", images)
    write_folder(root / "nested_image_folders" / "fer2013", images)
    write_zip(root / "image_zip" / "archive.zip", images)
    write_zip(root / "csv_zip" / "competition.zip", {"icml_face_data.csv": icml, "train.csv": b"emotion,pixels\n"})


if __name__ == "__main__":
    main()
