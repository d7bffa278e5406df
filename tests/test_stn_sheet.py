"""The sheet of a spatial transformer: every pixel where it belongs."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from ferkeras.errors import InputError
from ferkeras.stn_sheet import GAP, PAIR_GAP, stn_sheet, write_stn_sheet


def mirroring(channels: int, *, name: str = "spatial_transformer") -> keras.Model:
    """A model whose transformer turns the image upside down."""
    image = keras.Input((6, 4, channels), name="image")
    x = keras.layers.Rescaling(1 / 255, name="scale")(image)
    x = keras.layers.Lambda(lambda t: t[:, ::-1], output_shape=(6, 4, channels), name=name)(x)
    return keras.Model(image, {"emotion": keras.layers.Flatten(name="emotion")(x)}, name="mirroring")


def pictures(count: int, channels: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 255, (count, 6, 4, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_inputs_stand_above_outputs(count: int, channels: int) -> None:
    images = pictures(count, channels)
    sheet = stn_sheet(mirroring(channels), images)
    columns, lines = min(count, 8), -(-count // 8)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (lines * (12 + GAP) + (lines - 1) * PAIR_GAP, columns * (4 + GAP) - GAP, 3)
    rest = sheet.astype(int)
    for index, image in enumerate(np.repeat(images, 3 // channels, axis=-1)):
        top, left = index // 8 * (12 + GAP + PAIR_GAP), index % 8 * (4 + GAP)
        below = top + 6 + GAP
        np.testing.assert_array_equal(sheet[top : top + 6, left : left + 4], image)
        np.testing.assert_array_equal(sheet[below : below + 6, left : left + 4], image[::-1])
        rest[top : top + 6, left : left + 4] = rest[below : below + 6, left : left + 4] = 255
    assert (rest == 255).all(), "what is not an image is white"


def test_the_same_bytes_and_an_unchanged_model(tmp_path: Path) -> None:
    model, images = mirroring(1), pictures(2, 1)
    layers = [layer.name for layer in model.layers]
    for name in ("a", "b"):
        write_stn_sheet(model, images, tmp_path / "sheets" / f"{name}.png")
    first, second = ((tmp_path / "sheets" / f"{name}.png").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(list((tmp_path / "sheets").iterdir())) == 2
    with Image.open(tmp_path / "sheets" / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), stn_sheet(model, images))
    assert [layer.name for layer in model.layers] == layers


def test_pixels_as_floats_and_outputs_beyond_the_range() -> None:
    image = keras.Input((6, 4, 1), name="image")
    scaled = keras.layers.Rescaling(1 / 255, name="scale")(image)
    wild = keras.layers.Rescaling(4.0, offset=-1.0, dtype="bfloat16", name="spatial_transformer")(scaled)
    sheet = stn_sheet(keras.Model(image, wild), pictures(1, 1).astype("float32"))
    np.testing.assert_array_equal(sheet[:6, :, 0], pictures(1, 1)[0, ..., 0])
    below = sheet[6 + GAP :, :, 0].astype(float)
    expected = np.clip(pictures(1, 1)[0, ..., 0] * 4.0 - 255, 0, 255)
    np.testing.assert_allclose(below, expected, atol=6)  # bfloat16 near 4


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no layer spatial_transformer\. Received: mirroring\. EmoNeXt"):
        write_stn_sheet(mirroring(1, name="other"), pictures(1, 1), tmp_path / "sheet.png")
    with pytest.raises(InputError, match="at least one image"):
        stn_sheet(mirroring(1), pictures(0, 1))
    assert list(tmp_path.iterdir()) == []
