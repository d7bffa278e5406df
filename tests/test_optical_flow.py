"""The optical flow of Horn & Schunck: known translations, one iteration by hand, masks, and the layer's contract."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.layers import OpticalFlow
from tests.contracts import assert_close

SIDE = 32


def moving(dx: float, dy: float, *, frames: int = 2, wavelength: float = 16.0, side: int = SIDE) -> np.ndarray:
    """A clip (1, T, H, W, 1) of crossed waves that moves by (dx, dy) pixels a frame, to the right and downwards."""
    y, x = np.mgrid[:side, :side].astype("float64")
    turn = 2 * np.pi / wavelength
    pictures = [
        127.5 + 60 * np.sin(turn * (x - t * dx)) + 60 * np.sin(turn * (y - t * dy) + 0.4 * np.sin(turn * (x - t * dx)))
        for t in range(frames)
    ]
    return np.stack(pictures)[None, ..., None].astype("float32")


def shown(frames: np.ndarray) -> np.ndarray:
    return np.ones(frames.shape[:2], bool)


@pytest.mark.parametrize(("dx", "dy"), [(1.0, 0.0), (0.0, -1.0), (0.5, 0.75), (-1.25, 0.25)])
def test_known_translations(dx: float, dy: float) -> None:
    frames = moving(dx, dy)
    flow = np.asarray(OpticalFlow(iterations=64, smoothness=2.0)(frames, shown(frames)))
    assert flow.shape == (1, 2, SIDE, SIDE, 2)
    np.testing.assert_array_equal(flow[:, 0], 0.0)
    inner = flow[0, 1, 4:-4, 4:-4]  # at the border part of the picture is new
    assert np.abs(np.median(inner, axis=(0, 1)) - (dx, dy)).max() < 0.1
    assert np.sqrt(np.square(inner - (dx, dy)).sum(axis=-1)).mean() < 0.15 * max(1.0, np.hypot(dx, dy))


def test_more_iterations_come_nearer() -> None:
    frames = moving(0.5, -0.5)
    errors = [
        np.abs(np.asarray(OpticalFlow(iterations=n)(frames, shown(frames)))[0, 1] - (0.5, -0.5)).mean()
        for n in (1, 4, 16, 64)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_two_iterations_by_hand() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 2, 5, 6, 1)).astype("float32")
    first, second = (np.pad(frames[0, t, ..., 0].astype("float64"), 1, mode="edge") for t in (0, 1))

    def shifted(picture: np.ndarray, down: int, right: int) -> np.ndarray:
        return picture[1 + down : 6 + down, 1 + right : 7 + right]

    smooth = {-1: 0.25, 0: 0.5, 1: 0.25}
    mean, change = (first + second) / 2, second - first
    ex = sum(w * (shifted(mean, k, 1) - shifted(mean, k, -1)) / 2 for k, w in smooth.items())
    ey = sum(w * (shifted(mean, 1, k) - shifted(mean, -1, k)) / 2 for k, w in smooth.items())
    et = sum(a * b * shifted(change, i, j) for i, a in smooth.items() for j, b in smooth.items())
    u, v = np.zeros((5, 6)), np.zeros((5, 6))
    for _ in range(2):
        around = []
        for part in (u, v):
            wide = np.pad(part, 1, mode="edge")
            sides = sum(shifted(wide, i, j) for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0)))
            corners = sum(shifted(wide, i, j) for i in (-1, 1) for j in (-1, 1))
            around.append(sides / 6 + corners / 12)
        common = (ex * around[0] + ey * around[1] + et) / (10.0**2 + ex**2 + ey**2)
        u, v = around[0] - ex * common, around[1] - ey * common
    flow = OpticalFlow(iterations=2, smoothness=10.0)(frames, shown(frames))
    np.testing.assert_allclose(np.asarray(flow)[0, 1], np.stack([u, v], axis=-1), rtol=1e-4, atol=1e-4)


def test_still_and_flat_pictures_have_no_flow() -> None:
    frames = np.concatenate([moving(0, 0), np.full((1, 2, SIDE, SIDE, 1), 90, "float32")])
    frames[1, 1] += 40  # light that changes everywhere has no direction
    np.testing.assert_array_equal(OpticalFlow()(frames, shown(frames)), 0.0)


def test_masks() -> None:
    layer, frames = OpticalFlow(iterations=4), moving(0.5, 0.5, frames=5, side=16)
    whole = np.asarray(layer(frames, shown(frames)))
    assert (np.abs(whole[0, 1:]).max(axis=(1, 2, 3)) > 0.1).all()
    mask = np.array([[True, True, False, True, True]])
    frames[0, 2] = np.inf
    flow = np.asarray(layer(frames, mask))
    np.testing.assert_array_equal(flow[0, 2:4], 0.0)
    np.testing.assert_array_equal(flow[0, [1, 4]], whole[0, [1, 4]])


def test_colour_is_read_as_grey() -> None:
    layer, grey = OpticalFlow(iterations=4), moving(0.5, 0.0, side=16)
    colour = np.repeat(grey, 3, axis=-1)
    assert_close(layer(colour, shown(grey)), layer(grey, shown(grey)), atol=1e-5)
    green = colour * np.array([0, 1, 0], "float32")
    assert_close(layer(green, shown(grey)), layer(0.587 * grey, shown(grey)), atol=1e-5)


def test_contract(tmp_path: Path) -> None:
    layer = OpticalFlow(iterations=3, smoothness=5.0, name="flow")
    frames = np.random.default_rng(1).integers(0, 256, (3, 4, 8, 9, 1)).astype("float32")
    mask = shown(frames)
    mask[1, 2:] = False
    flow = np.asarray(layer(frames, mask))
    assert layer.compute_output_shape(frames.shape, mask.shape) == flow.shape
    again = OpticalFlow.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    others = frames[::-1].copy()
    others[1] = frames[1]
    np.testing.assert_array_equal(np.asarray(layer(others, mask))[1], flow[1])
    assert_close(layer(frames[1:2], mask[1:2]), flow[1:2])

    inputs = [keras.Input((None, 8, 9, 1)), keras.Input((None,), dtype="bool")]
    model = keras.Model(inputs, again(*inputs))
    assert model.output.shape == (None, None, 8, 9, 2)
    model.save(tmp_path / "flow.keras")
    assert_close(keras.models.load_model(tmp_path / "flow.keras")([frames, mask]), flow)

    half = OpticalFlow(iterations=3, smoothness=5.0, dtype="mixed_bfloat16")(frames + 0.3, mask)
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
    exact = np.asarray(layer(frames + 0.3, mask))  # only the result is rounded
    np.testing.assert_allclose(np.asarray(keras.ops.cast(half, "float32")), exact, rtol=2**-8, atol=1e-6)


def test_wrong_arguments_and_shapes() -> None:
    with pytest.raises(ValueError, match="at least 1 iteration"):
        OpticalFlow(iterations=0)
    with pytest.raises(ValueError, match="positive smoothness"):
        OpticalFlow(smoothness=0.0)
    for shape in ((3, 8, 8, 2), (3, 1, 8, 1), (8, 8, 1)):
        with pytest.raises(ValueError, match="OpticalFlow takes frames"):
            OpticalFlow()(keras.Input(shape), keras.Input((3,), dtype="bool"))
