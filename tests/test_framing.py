"""The margins of data sets: what `place` reads off a face, and that those written down are the measured ones."""

import numpy as np
import pytest

from ferkeras.data.sources import DATASETS
from ferkeras.errors import InputError
from ferkeras.faces.align import Alignment, invert, map_points
from ferkeras.faces.framing import MARGINS, margin_of, place
from ferkeras.faces.landmarks68 import five_points
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.synthetic_faces.sampling import EXAMPLES_PER_SUBJECT, sample_still


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.35])
@pytest.mark.parametrize("side", [48, 224])
def test_a_face_that_is_framed_with_a_margin_has_that_margin(margin: float, side: int) -> None:
    seen = place(Alignment(side, margin).template, side)
    assert seen.margin == pytest.approx(margin, abs=1e-4)
    assert (seen.x, seen.y, seen.angle) == pytest.approx((0, 0, 0), abs=1e-3)


def test_a_face_that_is_shifted_and_turned_is_seen_so() -> None:
    plain = Alignment(100).template
    assert place(plain + np.array([10, -5]), 100).x == pytest.approx(0.1, abs=1e-4)
    assert place(plain + np.array([10, -5]), 100).y == pytest.approx(-0.05, abs=1e-4)
    angle = np.deg2rad(20)  # clockwise, as y grows downwards
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert place((plain - 49.5) @ turn.T + 49.5, 100).angle == pytest.approx(20, abs=1e-3)


def test_an_alignment_with_the_margin_shows_the_face_in_its_size() -> None:
    landmarks = np.array([(30.0, 38), (61, 42), (44, 55), (31, 70), (55, 74)])
    matrix = Alignment(96, place(landmarks, 96).margin).matrix(landmarks)
    assert np.hypot(matrix[0, 0], matrix[1, 0]) == pytest.approx(1)
    assert map_points(invert(matrix), np.array([47.5, 47.5])) == pytest.approx(
        47.5 + 96 * np.array([place(landmarks, 96).x, place(landmarks, 96).y]), abs=0.2
    )


def test_landmarks_in_one_place_are_refused() -> None:
    with pytest.raises(InputError, match="not all in one place"):
        place(np.zeros((5, 2)), 48)


def test_the_margin_of_the_generated_faces_is_the_one_that_they_are_drawn_with() -> None:
    stills = [sample_still(0, "train", EXAMPLES_PER_SUBJECT * person, size=48, channels=1) for person in range(40)]
    margins = [place(five_points(still.landmarks), 48).margin for still in stills]
    assert np.median(margins) == pytest.approx(MARGINS["synthetic_faces"], abs=0.02)


def test_margins_are_of_data_sets_that_there_are() -> None:
    assert set(MARGINS) <= set(DATASETS)
    for margin in MARGINS.values():
        Alignment(48, margin)


def test_the_margin_is_that_of_the_builder_where_it_cut_the_faces_out() -> None:
    def config(detector: str) -> FaceConfig:
        return FaceConfig(name="wide", faces=FaceSettings(detector=detector, margin=0.25))

    assert margin_of("afew/wide", config("mtcnn")) == 0.25
    assert margin_of("afew/whole", config("none")) == 0
    assert margin_of("fer2013") == margin_of("fer2013/default", object()) == MARGINS["fer2013"] < 0
