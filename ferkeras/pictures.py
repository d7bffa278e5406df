"""Picture files of a user: finding them, and reading one safely."""

import glob
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ferkeras.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
#: Limits on one file: 64 MiB, and 100 megapixels once decoded, well above any camera.
MAX_BYTES = 64 * 1024**2
MAX_PIXELS = 100_000_000


def find_pictures(inputs: Sequence[str]) -> list[Path]:
    """Files named in `inputs`: themselves, those with a picture's suffix in folders and below, matches of patterns.

    In the order given, each folder and pattern sorted.

    Raises:
        InputError: if one of the inputs leads to no file.
    """
    found: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        elif path.exists():
            files = [path]
        else:
            files = sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.is_file())
        if not files:
            what = "The folder holds no picture" if path.is_dir() else "There is no such file"
            raise InputError(what, received=text, action=f"Pictures end in {', '.join(SUFFIXES)}.")
        found += files
    return found


def read_picture(path: Path) -> np.ndarray:
    """One picture as (H, W, 1 or 3) uint8, turned upright by its EXIF orientation.

    Raises:
        InputError: if it is no picture, cut off, or larger than `MAX_BYTES` or `MAX_PIXELS`.
    """
    try:
        size = path.stat().st_size
        _check_bytes(size, name=str(path))
        return decode_picture(path.read_bytes(), name=str(path))
    except OSError as error:
        raise _unreadable(str(path), error) from error


def decode_picture(data: bytes, *, name: str) -> np.ndarray:
    """The same from the bytes of a picture file; `name` is what messages call it."""
    _check_bytes(len(data), name=name)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"A picture may have {MAX_PIXELS // 10**6} megapixels",
                    received=f"{name}, {image.width}x{image.height}",
                )
            upright = ImageOps.exif_transpose(image)
            grey = upright.mode in ("1", "L")
            pixels = np.asarray(upright.convert("L" if grey else "RGB"))
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(name, error) from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _check_bytes(size: int, *, name: str) -> None:
    if size > MAX_BYTES:
        raise InputError(f"A picture may have {MAX_BYTES // 1024**2} MiB", received=name)


def _unreadable(name: str, error: Exception) -> InputError:
    reason = str(error).partition("\n")[0]
    return InputError("The picture cannot be read", received=name, action=f"{reason}.")
