"""The drawn face: what action units do to landmarks and pixels, and that nothing breaks the renderer."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ferkeras.errors import InputError
from tfds_builders.synthetic_faces.action_units import ACTION_UNITS, FloatArray, vector
from tfds_builders.synthetic_faces.face_shape import LANDMARKS, Pose, face_curves, landmarks
from tfds_builders.synthetic_faces.identity import Identity, sample_identity
from tfds_builders.synthetic_faces.render import render_face
from tfds_builders.synthetic_faces.scene import (
    MAX_PITCH,
    MAX_ROLL,
    MAX_YAW,
    SCALE,
    Scene,
    largest_shift,
    sample_motion,
    sample_pose,
    sample_scene,
)

IDENTITY = sample_identity(np.random.default_rng(1))
# Landmark numbers of the iBUG scheme.
INNER_BROWS, OUTER_BROWS, UPPER_LIDS, LOWER_LIDS = [21, 22], [18, 25], [37, 38, 43, 44], [40, 41, 46, 47]
CORNERS, UPPER_LIP, INNER_UPPER, INNER_LOWER, CHIN, NOSE_WINGS = [48, 54], [51], [62], [66], [8], [31, 35]


def symmetric(largest: float) -> st.SearchStrategy[float]:
    return st.floats(-largest, largest)


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    scale = draw(st.floats(*SCALE))
    across, along = largest_shift(scale)
    return Pose(
        yaw=draw(symmetric(np.radians(MAX_YAW))),
        pitch=draw(symmetric(np.radians(MAX_PITCH))),
        roll=draw(symmetric(np.radians(MAX_ROLL))),
        scale=scale,
        shift_x=draw(symmetric(across)),
        shift_y=draw(symmetric(along)),
        gaze_x=draw(symmetric(1.0)),
        gaze_y=draw(symmetric(1.0)),
        blink=draw(st.floats(0.0, 1.0)),
    )


def draw(
    units: FloatArray,
    *,
    identity: Identity = IDENTITY,
    pose: Pose | None = None,
    size: int = 112,
    channels: int = 1,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    return render_face(
        identity,
        units,
        pose=pose or Pose(),
        scene=Scene(),
        size=size,
        channels=channels,
        noise_rng=np.random.default_rng(0),
    )


def height(units: dict[int, float], points: list[int]) -> float:
    """Mean y of landmarks in face units; down is positive."""
    return float(landmarks(face_curves(IDENTITY, vector(units), Pose()))[points, 1].mean())


def width(units: dict[int, float], points: list[int]) -> float:
    return float(np.ptp(landmarks(face_curves(IDENTITY, vector(units), Pose()))[points, 0]))


@pytest.mark.parametrize(
    ("unit", "points", "direction"),
    [
        (1, INNER_BROWS, -1),
        (2, OUTER_BROWS, -1),
        (4, INNER_BROWS, 1),
        (5, UPPER_LIDS, -1),
        (6, LOWER_LIDS, -1),
        (7, LOWER_LIDS, -1),
        (9, NOSE_WINGS, -1),
        (10, UPPER_LIP, -1),
        (12, CORNERS, -1),
        (15, CORNERS, 1),
        (17, INNER_LOWER, -1),
        (25, INNER_LOWER, 1),
        (26, INNER_LOWER, 1),
        (26, CHIN, 1),
        (27, CHIN, 1),
    ],
)
def test_unit_moves_its_landmarks_up_or_down(unit: int, points: list[int], direction: int) -> None:
    heights = [height({unit: intensity}, points) for intensity in (0.0, 0.5, 1.0)]
    assert np.all(direction * np.diff(heights) > 0.004)


@pytest.mark.parametrize(("unit", "direction"), [(12, 1), (20, 1), (23, -1), (27, -1)])
def test_unit_widens_or_narrows_the_mouth(unit: int, direction: int) -> None:
    widths = [width({unit: intensity}, CORNERS) for intensity in (0.0, 0.5, 1.0)]
    assert np.all(direction * np.diff(widths) > 0.01)


def test_brow_lowerer_draws_the_brows_together() -> None:
    assert width({4: 1.0}, INNER_BROWS) < width({}, INNER_BROWS) - 0.05


def test_one_side_moves_alone() -> None:
    units = np.stack([vector({1: 1.0, 12: 1.0}), vector({})])
    moved = landmarks(face_curves(IDENTITY, units, Pose())) - landmarks(face_curves(IDENTITY, vector({}), Pose()))
    assert moved[21, 1] < -0.1
    assert moved[48, 1] < -0.1
    np.testing.assert_allclose(moved[[22, 54]], 0.0, atol=1e-9)


def mouth_darkness(units: dict[int, float]) -> int:
    image, points = draw(vector(units))
    left, right = points[48, 0], points[54, 0]
    rows = slice(int(points[62, 1]), int(points[8, 1]))
    return int((image[rows, int(left) : int(right)] < 60).sum())


def test_jaw_drop_shows_the_dark_inside_of_the_mouth() -> None:
    assert mouth_darkness({25: 0.8, 26: 1.0}) > mouth_darkness({}) + 50
    assert mouth_darkness({25: 0.8, 27: 1.0}) > mouth_darkness({25: 0.8, 26: 1.0})


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_every_unit_changes_pixels_at_48(unit: int) -> None:
    rest, moved = (draw(vector(units), size=48)[0].astype(int) for units in ({}, {unit: 1.0}))
    assert np.abs(moved - rest).sum() > 150


@pytest.mark.parametrize(("size", "channels"), [(48, 1), (112, 3), (224, 3), (64, 1)])
def test_sizes_show_the_same_face(size: int, channels: int) -> None:
    image, points = draw(vector({12: 1.0}), size=size, channels=channels)
    assert image.shape == (size, size, channels)
    assert image.dtype == np.uint8
    assert points.shape == (LANDMARKS, 2)
    np.testing.assert_allclose(points / size, draw(vector({12: 1.0}))[1] / 112, atol=1e-5)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (225, 1), (48, 2)])
def test_other_sizes_are_refused(size: int, channels: int) -> None:
    with pytest.raises(InputError, match=f"Received: size={size}, channels={channels}"):
        draw(vector({}), size=size, channels=channels)


@settings(max_examples=150, deadline=None)
@given(
    units=arrays(np.float64, (2, len(ACTION_UNITS)), elements=st.floats(0.0, 1.0)),
    pose=poses(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_face_in_range_is_drawn_inside_the_image(units: FloatArray, pose: Pose, seed: int) -> None:
    rng = np.random.default_rng(seed)
    identity = sample_identity(rng)
    image, points = render_face(identity, units, pose=pose, scene=sample_scene(rng), size=48, channels=1, noise_rng=rng)
    assert image.shape == (48, 48, 1)
    assert np.all(np.isfinite(points))
    assert points.min() >= 0.0
    assert points.max() < 48.0
    assert points[8, 1] > points[57, 1] - 0.5  # the mouth stays above the chin
    assert image.std() > 3.0


def test_sampled_poses_are_in_range() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(16) / 8.0
    poses = [pose for _ in range(50) for pose in (sample_pose(rng), *sample_motion(rng, times))]
    for name, largest in (("yaw", MAX_YAW), ("pitch", MAX_PITCH), ("roll", MAX_ROLL)):
        assert max(abs(getattr(pose, name)) for pose in poses) <= np.radians(largest) + 1e-9
    assert all(0.0 <= pose.blink <= 1.0 for pose in poses)
