"""TensorBoard event files, through TensorBoard's own writer, which needs no TensorFlow."""

from collections.abc import Mapping
from pathlib import Path

from ferkeras.errors import MissingExtraError


def write_events(directory: Path, row: Mapping[str, float]) -> None:
    """Adds the numbers of one epoch's history row as scalars, training and validation in one chart each."""
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise MissingExtraError("tensorboard", extra="tensorboard") from error
    for name, value in row.items():
        if name == "epoch":
            continue
        part, tag = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
        writer = Writer(str(directory / part))
        writer.add_scalar(tag, float(value), step=int(row["epoch"]))
        writer.close()
