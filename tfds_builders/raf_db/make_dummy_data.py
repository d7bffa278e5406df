"""Writes tiny stand-ins for RAF-DB in its layouts: patterns, and one real face where a detector has to find it.

`python -m tfds_builders.raf_db.make_dummy_data` writes `dummy_data/` anew.
"""

from pathlib import Path

from ferkeras.labels import RAF_DB_CODES
from tfds_builders.base.dummies import encoded, pattern, portrait, write_files

#: Name -> code, as in the official list: train has five digits, test has four.
LABELS = {f"train_{code:05d}": code for code in RAF_DB_CODES} | {"test_0001": 4, "test_0002": 7}
ORIGINALS = {"train_00001": 4, "test_0001": 7}


def list_text(labels: dict[str, int]) -> str:
    """`list_patition_label.txt`: the last line has no end."""
    return "\n".join(f"{name}.jpg {code}" for name, code in labels.items())


def aligned_pictures(labels: dict[str, int]) -> dict[str, bytes]:
    """Name in `Image/aligned` -> bytes."""
    return {f"{name}_aligned.jpg": encoded(pattern(number)) for number, name in enumerate(labels)}


def official(labels: dict[str, int] = LABELS) -> dict[str, bytes | str]:
    """The official layout with the aligned pictures."""
    pictures = {f"Image/aligned/{name}": data for name, data in aligned_pictures(labels).items()}
    return {"EmoLabel/list_patition_label.txt": list_text(labels), **pictures}


def original() -> dict[str, bytes | str]:
    """The official layout with the original pictures and their boxes."""
    return {
        "basic/EmoLabel/list_patition_label.txt": list_text(ORIGINALS),
        **{f"basic/Image/original/{name}.jpg": encoded(portrait(number)) for number, name in enumerate(ORIGINALS)},
        **{
            f"basic/Annotation/boundingbox/{name}_boundingbox.txt": f"{52 + 2 * number}.5 37.0 108.5 107.0\n"
            for number, name in enumerate(ORIGINALS)
        },
    }


def kaggle(labels: dict[str, int] = LABELS) -> dict[str, bytes | str]:
    """The copy on Kaggle."""
    files: dict[str, bytes | str] = {"train_labels.csv": "image,label\n", "test_labels.csv": "image,label\n"}
    for (file, data), (name, code) in zip(aligned_pictures(labels).items(), labels.items(), strict=True):
        split = name.partition("_")[0]
        files[f"DATASET/{split}/{code}/{file}"] = data
        files[f"{split}_labels.csv"] = f"{files[f'{split}_labels.csv']!s}{file},{code}\n"
    return files


def main() -> None:
    root = Path(__file__).parent / "dummy_data"
    for name, files in {"official": official(), "original": original(), "kaggle": kaggle()}.items():
        write_files(root / name, files)


if __name__ == "__main__":
    main()
