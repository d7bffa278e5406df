"""Finding and reading a user's picture files."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ferkeras import pictures
from ferkeras.errors import InputError
from ferkeras.pictures import find_pictures, read_picture


def gradient(height: int, width: int) -> np.ndarray:
    return np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)


#: EXIF orientation -> how the upright picture (H, W) is stored (table of tag 0x0112 in the EXIF standard).
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.T,
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].T,
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_photo_is_turned_upright(suffix: str, orientation: int, tmp_path: Path) -> None:
    pixels = gradient(4, 6)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](pixels))).save(path, exif=exif)
    np.testing.assert_array_equal(read_picture(path)[..., 0], pixels)


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("1", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3), ("P", 3), ("CMYK", 3)]
)
def test_every_colour_mode(mode: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    pixels = np.where(gradient(5, 7) > 127, 255, 0).astype(np.uint8)  # black and white survive every conversion
    Image.fromarray(pixels).convert("RGB").convert(mode).save(path)
    picture = read_picture(path)
    assert (picture.shape, picture.dtype) == ((5, 7, channels), np.uint8)
    np.testing.assert_array_equal(picture, np.repeat(pixels[..., None], channels, -1))


def test_what_is_transparent_is_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    alpha = np.array([[0, 51, 255]], np.uint8)
    Image.merge(
        "RGBA", [Image.fromarray(np.full((1, 3), v, np.uint8)) for v in (200, 0, 0)] + [Image.fromarray(alpha)]
    ).save(path)
    assert read_picture(path)[0].tolist() == [[255, 255, 255], [244, 204, 204], [200, 0, 0]]
    Image.merge("LA", [Image.fromarray(np.full((1, 3), 100, np.uint8)), Image.fromarray(alpha)]).save(path)
    assert read_picture(path)[0].tolist() == [[255], [224], [100]]
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    for transparency in (0, bytes([0, 255, 255])):  # one colour, or an opacity for each
        palette.save(path, transparency=transparency)
        assert read_picture(path)[0].tolist() == [[255, 255, 255], [200, 0, 0], [0, 200, 0]]
    Image.fromarray(np.array([[7, 8]], np.uint8)).save(path, transparency=7)
    assert read_picture(path)[0].tolist() == [[255], [8]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_to_8(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    grey = np.array([[0, 128, 129, 257 * 100, 65535]], np.uint16)
    Image.fromarray(grey).save(path)
    assert read_picture(path)[0, :, 0].tolist() == [0, 0, 1, 100, 255]
    colours = np.stack([grey, grey[:, ::-1], grey], -1)
    cv2.imwrite(str(path), colours[..., ::-1])
    np.testing.assert_allclose(read_picture(path), colours / 257, atol=1)


def test_pixels_that_are_floats_or_wide_integers(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for values, expected in (
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 100.4, 255]], np.float32), [0, 100, 255]),
        (np.array([[0, 1, 255]], np.int32), [0, 1, 255]),
    ):
        Image.fromarray(values).save(path)
        assert read_picture(path)[0, :, 0].tolist() == expected
    for values in (
        np.array([[0, 1e6]], np.float32),
        np.array([[-1, 1]], np.float32),
        np.array([[np.nan, 1]], np.float32),
    ):
        Image.fromarray(values).save(path)
        with pytest.raises(InputError, match=r"unknown range\. Received: .*a\.tif"):
            read_picture(path)


def test_a_cmyk_jpeg_for_printing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, 8:] = (0, 255, 255, 0)  # no ink is white; magenta and yellow are red
    Image.fromarray(inks, "CMYK").save(path, quality=95)
    assert b"Adobe" in path.read_bytes()[:200]  # which means that the inks are stored inverted
    picture = read_picture(path).astype(int)
    assert np.abs(picture[:, :6] - 255).max() < 6
    assert np.abs(picture[:, 10:] - (255, 0, 0)).max() < 6


def test_unusual_sizes(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tolist() == [[[1, 2, 3]]]
    Image.fromarray(gradient(30, 10_000)).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "wide.png")[..., 0], gradient(30, 10_000))


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_picture(tmp_path / "a.gif") == (250, 0, 0)).all()
    assert pictures.is_animated(tmp_path / "a.gif")
    frames[0].save(tmp_path / "a.gif")
    assert pictures.is_picture(tmp_path / "a.gif")
    assert not pictures.is_animated(tmp_path / "a.gif")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty"),
        (b"\n<!DOCTYPE html><html>not found</html>", "It is a web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "save it as JPEG"),
        (b"no picture", "It is none of JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "It is none of"),  # which would start a program
    ],
)
def test_a_file_that_is_no_picture(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"cannot be read\. Received: .*a\.jpg\. .*{message}") as raised:
        read_picture(path)
    assert "\n" not in str(raised.value)
    assert not pictures.is_picture(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError, match="A picture was expected"):
            read_picture(path)
    with pytest.raises(InputError, match="no such picture file"):
        read_picture(tmp_path / "a.png")


def test_a_jpeg_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"cannot be read\. Received: .*a\.jpg"):
        read_picture(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"])
def test_damage_gives_pixels_or_one_clear_line(kind: str) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient(16, 24)).convert("RGB").save(
        file, kind, **({} if kind in ("GIF", "BMP") else {"exif": exif})
    )
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = np.frombuffer(file.getvalue(), np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 4)] = rng.integers(0, 256, 4)
        try:
            picture = pictures.decode_picture(damaged[: rng.integers(1, 2 * len(damaged))].tobytes(), name="a")
        except InputError as error:
            line, picture = str(error), None
        if picture is None:
            assert line.startswith(("The picture cannot be read. Received: a. ", "A picture may have")), line
            assert "\n" not in line
        else:
            assert (picture.dtype, picture.ndim) == (np.uint8, 3)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient(100, 100)).save(path)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 5000)
    with pytest.raises(InputError, match=r"megapixels\. Received: .*a\.png, 100x100"):
        read_picture(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses by itself what is larger still
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
