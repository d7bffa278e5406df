"""Alignment: least squares against an independent solver, geometry of crops, no aliasing, borders, a real portrait."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform

from ferkeras.errors import InputError
from ferkeras.faces.align import TEMPLATE, WEIGHTS, Alignment, invert, map_box, map_points
from ferkeras.faces.detection import Detector, create_detector

angles = st.floats(-180, 180)
scales = st.floats(0.05, 5)
shifts = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


def similarity(degrees: float, scale: float, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    a = scale * np.exp(1j * np.deg2rad(degrees))
    return np.array([[a.real, -a.imag, shift[0]], [a.imag, a.real, shift[1]]])


def waves(shape: tuple[int, int], frequency: float, degrees: float) -> np.ndarray:
    """(H, W, 1) uint8 with a sine of this many cycles per pixel, amplitude 100."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    along = np.cos(np.deg2rad(degrees)) * columns + np.sin(np.deg2rad(degrees)) * rows
    return np.rint(127.5 + 100 * np.sin(2 * np.pi * frequency * along)).astype(np.uint8)[..., None]


def blob(shape: tuple[int, int], centre: np.ndarray, radius: float) -> np.ndarray:
    """(H, W, 1) uint8, a smooth bright spot around `centre` x, y."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2
    return np.rint(250 * np.exp(-distance / (2 * radius**2))).astype(np.uint8)[..., None]


def centroid(image: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    weights = image[..., 0].astype(float)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


# --- the transform ---


@given(angles, scales, shifts)
def test_a_transformed_template_comes_back_exactly(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    there = similarity(degrees, scale, shift)
    matrix = Alignment().matrix(map_points(there, TEMPLATE))
    np.testing.assert_allclose(matrix, invert(there), atol=1e-4 / scale)


def test_equals_scikit_image_where_landmarks_count_by_their_weight() -> None:
    landmarks = TEMPLATE * 1.7 + np.random.default_rng(0).normal(0, 6, (5, 2))
    counts = np.rint(WEIGHTS / WEIGHTS.min()).astype(int)
    np.testing.assert_allclose(counts / counts.sum(), WEIGHTS)
    reference = SimilarityTransform.from_estimate(np.repeat(landmarks, counts, 0), np.repeat(TEMPLATE, counts, 0))
    np.testing.assert_allclose(Alignment().matrix(landmarks), reference.params[:2], rtol=1e-5, atol=1e-4)


def test_mirrored_landmarks_are_not_reflected() -> None:
    mirrored = TEMPLATE * (-1, 1)
    assert np.linalg.det(Alignment().matrix(mirrored)[:, :2]) > 0


@pytest.mark.parametrize("size", [48, 112, 224])
@pytest.mark.parametrize("margin", [-0.1, 0.0, 0.2, 1.0])
def test_margin_is_what_is_seen_on_each_side(size: int, margin: float) -> None:
    """The plain crop, seen through the one with a margin, is a centred square with `margin` of its side around it."""
    landmarks = map_points(similarity(20, 2, (300, 200)), TEMPLATE)
    plain, wide = Alignment(size).matrix(landmarks), Alignment(size, margin).matrix(landmarks)
    back = invert(plain)
    plain_to_wide = np.column_stack([wide[:, :2] @ back[:, :2], map_points(wide, back[:, 2])])
    x, y, width, height = map_box(plain_to_wide, np.array([0, 0, size, size]))
    assert width == pytest.approx(size / (1 + 2 * margin), abs=1e-3)
    assert (x, y, height) == pytest.approx((margin * width, margin * width, width), abs=1e-3)


def test_the_published_template_at_112_and_its_scaled_forms() -> None:
    np.testing.assert_allclose(Alignment(112).template, TEMPLATE, atol=1e-5)
    assert Alignment().template.dtype == np.float32
    np.testing.assert_allclose(Alignment(224).template + 0.5, (TEMPLATE + 0.5) * 2, atol=1e-4)
    mirrored = ((111, 0) - TEMPLATE * (1, -1))[[1, 0, 2, 4, 3]]
    assert 1 < np.abs(mirrored - TEMPLATE).max() < 1.3  # as its comment says


@pytest.mark.parametrize(
    "landmarks",
    [np.full((5, 2), 7.0), np.full((5, 2), np.nan), TEMPLATE * [[1], [1], [np.nan], [1], [1]], TEMPLATE * np.inf],
    ids=["one place", "none", "one missing", "infinite"],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_unusable_landmarks(landmarks: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"Received: .*box_matrix"):
        Alignment().matrix(landmarks)


def test_wrong_shapes_and_values() -> None:
    with pytest.raises(InputError, match=r"shape \(68, 2\)"):
        Alignment().matrix(np.zeros((68, 2)))
    with pytest.raises(InputError, match="size"):
        Alignment(size=0)
    with pytest.raises(InputError, match="margin"):
        Alignment(margin=-0.5)
    for box in ([0, 0, 0, 5], [0, np.nan, 5, 5], [0, 0, -3, 5]):
        with pytest.raises(InputError, match="box"):
            Alignment().box_matrix(np.array(box))


@given(angles, scales, shifts)
def test_landmarks_and_boxes_map_back(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    matrix = similarity(degrees, scale, shift)
    points = np.array([[0.0, 0.0], [1279.0, 719.0], [-30.0, 400.5], [np.nan, 1.0]])
    np.testing.assert_allclose(map_points(invert(matrix), map_points(matrix, points))[:3], points[:3], atol=1e-6)
    assert np.isnan(map_points(matrix, points)[3]).all()


def test_a_box_maps_to_the_box_around_it() -> None:
    quarter_turn = similarity(90, 2)
    np.testing.assert_allclose(map_box(quarter_turn, np.array([10, 20, 30, 40])), [-118.5, 19.5, 80, 60])
    doubled = np.array([[2, 0, 0.5], [0, 2, 0.5]])  # each pixel becomes 2 x 2
    np.testing.assert_allclose(map_box(doubled, np.array([10, 20, 30, 40])), [20, 40, 60, 80])


# --- crops ---


@pytest.mark.parametrize("scale", [0.08, 0.3, 0.49, 0.51, 0.9, 1.0, 2.3])
@pytest.mark.parametrize("degrees", [0, 33])
def test_geometry_of_crops(scale: float, degrees: float) -> None:
    """A spot lands where `map_points` says, within 0.1 pixels of the crop, for odd sizes that no factor divides."""
    centre = np.array([631.3, 347.8])
    matrix = similarity(degrees, scale)
    matrix[:, 2] = (52.4, 58.1) - matrix[:, :2] @ centre
    seen = Alignment(112).crop(blob((719, 1277), centre, 6 / scale), matrix)
    np.testing.assert_allclose(centroid(seen), map_points(matrix, centre), atol=0.1)


def test_the_whole_picture_as_a_box_is_a_resized_picture() -> None:
    picture = skimage.data.astronaut()[100:148, 200:248]
    alignment = Alignment(48)
    np.testing.assert_array_equal(alignment.crop(picture, alignment.box_matrix(np.array([0, 0, 48, 48]))), picture)


@pytest.mark.parametrize("scale", [0.1, 0.2, 0.35, 0.5])
def test_what_is_too_fine_for_the_crop_vanishes(scale: float) -> None:
    """Plain bilinear or cubic sampling shows such waves at full strength, as waves that are not there."""
    matrix = similarity(17, scale)
    matrix[:, 2] = (56, 56) - matrix[:, :2] @ (640, 360)

    def strength(cycles_per_crop_pixel: float) -> float:
        seen = Alignment(112).crop(waves((720, 1280), cycles_per_crop_pixel * scale, 31), matrix)
        return float(seen[5:-5, 5:-5].std() / (100 / np.sqrt(2)))

    assert strength(0.9) < 0.2
    assert strength(0.1) > 0.95


@pytest.mark.parametrize("shape", [(60, 80, 1), (60, 80, 3), (1, 1, 3)])
def test_channels_and_type_stay(shape: tuple[int, int, int]) -> None:
    crop = Alignment(32).crop(np.full(shape, 77, np.uint8), Alignment(32).box_matrix(np.array([0, 0, *shape[1::-1]])))
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop, np.full((32, 32, shape[-1]), 77))


def test_borders_repeat_the_outermost_pixels() -> None:
    picture = np.zeros((100, 100, 1), np.uint8)
    picture[:, :50] = 200
    alignment = Alignment(40)
    leaning_out = alignment.crop(picture, alignment.box_matrix(np.array([-20, 30, 40, 40])))
    np.testing.assert_array_equal(leaning_out, np.full((40, 40, 1), 200))
    outside = alignment.crop(picture, alignment.box_matrix(np.array([500, 500, 40, 40])))
    np.testing.assert_array_equal(outside, np.zeros((40, 40, 1)))
    small = alignment.crop(picture, alignment.box_matrix(np.array([-700, -400, 1600, 1600])))
    assert small[0, 0] == 200
    assert small[0, -1] == 0


# --- a real face ---


def test_of_a_face_turned_away_the_scale_stays_bounded() -> None:
    """Aligned by its eyes alone it would be shown 1.67 times as large."""
    matrix = Alignment().matrix(TEMPLATE * (0.6, 1))
    assert np.hypot(*matrix[:, 0]) == pytest.approx(1.28, abs=0.01)


#: Pupils of the portrait in scikit-image, read off by eye.
PUPILS = np.array([(204.0, 101.2), (246.2, 103.3)])


@pytest.fixture(scope="module")
def mtcnn() -> Detector:
    return create_detector("mtcnn")


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("degrees", [-40, -20, 0, 20, 40])
def test_eyes_of_the_turned_portrait_land_on_the_template(mtcnn: Detector, degrees: float, scale: float) -> None:
    side = round(512 * max(scale, 1))
    there = similarity(degrees, scale)
    there[:, 2] = (side / 2 + 11, side / 2 - 7) - there[:, :2] @ PUPILS.mean(0)
    turned = Alignment(side).crop(skimage.data.astronaut(), there)
    matrix = Alignment(112).matrix(mtcnn([turned])[0].landmarks[0])
    landed = map_points(matrix, map_points(there, PUPILS))
    assert np.linalg.norm(landed - TEMPLATE[:2], axis=-1).max() < 2
    np.testing.assert_allclose(map_points(invert(there), map_points(invert(matrix), landed)), PUPILS, atol=1e-3)
