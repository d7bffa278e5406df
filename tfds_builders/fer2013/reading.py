"""Reads a whole copy of FER2013 and checks it, before anything is written."""

import warnings
from collections import Counter
from pathlib import Path

from ferkeras.errors import InputError
from tfds_builders.fer2013.example import SPLIT_OF_USAGE, Example
from tfds_builders.fer2013.layout import find_source
from tfds_builders.fer2013.official import check_counts

#: The official set has 35,887 images, 83 MB of pixels. The limit bounds the memory a wrong file can take.
MAX_EXAMPLES = 100_000


def read_examples(manual_dir: Path, *, skip_corrupt: bool = False) -> dict[str, list[Example]]:
    """Reads every image of the copy that the folder holds.

    Args:
        manual_dir: The folder that holds the files, as they were fetched.
        skip_corrupt: Leave out rows and files that cannot be read, and tell how many in a warning.

    Returns:
        The examples of each split that has any, in the order of the source. The keys are in the order
        "train", "validation", "test".

    Raises:
        InputError: If there is no known layout, an archive is damaged, the splits are mixed up, an id
            occurs twice, or, unless `skip_corrupt`, a row or file is corrupt.
    """
    splits: dict[str, list[Example]] = {split: [] for split in SPLIT_OF_USAGE.values()}
    seen: set[str] = set()
    corrupt: list[InputError] = []
    try:
        source = find_source(manual_dir)
        for record in source.read():
            if isinstance(record, Example) and record.id in seen:
                record = InputError(f"{source.path.name} should hold every image once", received=repr(record.id))
            if isinstance(record, Example):
                seen.add(record.id)
                splits[record.split].append(record)
            elif skip_corrupt:
                corrupt.append(record)
            else:
                raise record
            if len(seen) + len(corrupt) > MAX_EXAMPLES:
                raise InputError(f"{source.path.name} has more than {MAX_EXAMPLES} images, so it is not FER2013")
    except OSError as error:
        raise InputError("The FER2013 files cannot be read", received=str(error)) from error
    if not seen:
        raise InputError(f"{source.path.name} holds no readable image of FER2013", received=str(source.path))
    if corrupt:
        warnings.warn(f"{source.path.name}: {len(corrupt)} corrupt images skipped. First: {corrupt[0]}", stacklevel=2)
    counts = {split: Counter(example.emotion for example in examples) for split, examples in splits.items()}
    check_counts(counts, name=source.path.name)
    return {split: examples for split, examples in splits.items() if examples}
