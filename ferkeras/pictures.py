"""Picture files of a user: finding them, and reading one safely."""

import glob
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ferkeras.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
#: What is decoded, whatever the suffix. Pillow knows more formats; for one of them, EPS, it would start a program.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
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

    Grey stays grey (one channel); colours are taken for sRGB, whatever colour profile there is. What is transparent is
    shown on white, as on paper. 16 bits are scaled to 8, and so are floating-point pixels in [0, 1]; those in [0, 255]
    stay. Of several images in one file (animation, pages) the first one is read.

    Raises:
        InputError: if it is no picture of `FORMATS`, cut off, larger than `MAX_BYTES` or `MAX_PIXELS`, or has numbers
            for pixels whose range nobody knows.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            what = "A picture was expected, and this is none" if path.exists() else "There is no such picture file"
            raise InputError(what, received=str(path))
        _check_bytes(path.stat().st_size, name=str(path))
        return decode_picture(path.read_bytes(), name=str(path))
    except OSError as error:
        raise _unreadable(str(path), error.strerror or str(error)) from error


def decode_picture(data: bytes, *, name: str) -> np.ndarray:
    """The same from the bytes of a picture file; `name` is what messages call it."""
    _check_bytes(len(data), name=name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow has lesser limits, and remarks on metadata
            return _decode(data, name=name)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name) from error
    except UnidentifiedImageError as error:
        raise _unreadable(name, _what_else(data)) from error
    except Exception as error:  # damaged bytes lead decoders to nearly every kind of exception
        raise _unreadable(name, str(error).partition("\n")[0] or type(error).__name__) from error


def is_picture(path: Path) -> bool:
    """Whether the file begins like a picture of `FORMATS`."""
    return _format(path)[0] is not None


def is_animated(path: Path) -> bool:
    """Whether the file is a GIF of several frames, which can be read as a video (`ferkeras.video`)."""
    return _format(path) == ("GIF", True)


def _format(path: Path) -> tuple[str | None, bool]:
    """Name of the format, None for no picture, and whether it moves. Decodes nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                return image.format, bool(getattr(image, "is_animated", False))
    except Exception:  # what is wrong with it is told when it is read
        return None, False


def _decode(data: bytes, *, name: str) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_many_pixels(name, f", {image.width}x{image.height}")
        image.load()
        shown = ImageOps.exif_transpose(image)
    if shown.mode.startswith("I;16"):
        # By 65535 / 255, not by dropping eight bits: white stays white and the mean stays.
        return ((np.asarray(shown).astype(np.uint32) + 128) // 257).astype(np.uint8)[..., None]
    if shown.mode in ("I", "F"):
        return _of_numbers(np.asarray(shown), name=name)[..., None]
    grey = shown.mode in ("1", "L", "LA", "La")
    if shown.has_transparency_data:
        layer = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    pixels = np.asarray(shown.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def _of_numbers(values: np.ndarray, *, name: str) -> np.ndarray:
    """uint8 of pixels (H, W) without a defined range: floats in [0, 1], or anything in [0, 255]."""
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # also where one is NaN
        raise InputError(
            "The pixels of the picture are numbers of an unknown range",
            received=f"{name}, {low:g} to {high:g}",
            action="Save it with 8 or 16 bits a channel, or with floats from 0 to 1.",
        )
    scale = 255 if values.dtype.kind == "f" and high <= 1 else 1
    return np.rint(values * scale).astype(np.uint8)


def _what_else(data: bytes) -> str:
    """What a file is that no reader knows."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not data:
        return "The file is empty"
    if start.startswith((b"<!doctype html", b"<html")):
        return "It is a web page; the picture itself was not downloaded"
    if start[4:8] == b"ftyp":
        return "HEIC and AVIF are not read; save it as JPEG"
    return f"It is none of {', '.join(FORMATS)}, or damaged at its beginning"


def _check_bytes(size: int, *, name: str) -> None:
    if size > MAX_BYTES:
        raise InputError(f"A picture may have {MAX_BYTES // 1024**2} MiB", received=name)


def _too_many_pixels(name: str, size: str = "") -> InputError:
    return InputError(f"A picture may have {MAX_PIXELS // 10**6} megapixels", received=name + size)


def _unreadable(name: str, reason: str) -> InputError:
    return InputError("The picture cannot be read", received=name, action=f"{reason.rstrip('.')}.")
