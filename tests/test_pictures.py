"""Finding and reading a user's picture files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras import pictures
from ferkeras.errors import InputError
from ferkeras.pictures import find_pictures, read_picture


def gradient(height: int, width: int) -> np.ndarray:
    return np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    pixels = gradient(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show it
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png")[..., 0], np.rot90(pixels, -1))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("RGB", 3), ("RGBA", 3), ("P", 3), ("CMYK", 3)])
def test_every_colour_mode(mode: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(gradient(5, 7)).convert("RGB").convert(mode).save(path)
    picture = read_picture(path)
    assert (picture.shape, picture.dtype) == ((5, 7, channels), np.uint8)


def test_a_file_that_is_cut_off_or_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"cannot be read\. Received: .*a\.jpg"):
        read_picture(path)
    path.write_text("no picture")
    with pytest.raises(InputError, match="cannot be read"):
        read_picture(path)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient(100, 100)).save(path)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 5000)
    with pytest.raises(InputError, match="megapixels"):
        read_picture(path)
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="MiB"):
        read_picture(path)


def test_files_folders_and_patterns_in_the_order_given(tmp_path: Path) -> None:
    for name in ("z.png", "sub/b.JPG", "sub/deep/a.webp", "sub/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_pictures([str(tmp_path / "z.png"), str(tmp_path / "sub"), str(tmp_path / "*.png")])
    assert [p.name for p in found] == ["z.png", "b.JPG", "a.webp", "z.png"]
    with pytest.raises(InputError, match="no such file"):
        find_pictures([str(tmp_path / "*.gif")])
