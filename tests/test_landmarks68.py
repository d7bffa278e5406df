"""From 68 landmarks to five."""

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.faces.align import TEMPLATE
from ferkeras.faces.landmarks68 import five_points


def drawn_face() -> np.ndarray:
    """(68, 2) with eyes, nose tip and mouth corners where the template has them; everything else far away."""
    points = np.full((68, 2), -1000.0)
    lids = np.array([(-6, 0), (-2, -3), (2, -3), (6, 0), (2, 3), (-2, 3)])
    points[36:42], points[42:48] = TEMPLATE[0] + lids, TEMPLATE[1] + lids
    points[30], points[48], points[54] = TEMPLATE[2:]
    return points


def test_five_of_a_drawn_face() -> None:
    np.testing.assert_allclose(five_points(drawn_face()), TEMPLATE, rtol=1e-6)
    assert five_points(drawn_face()).dtype == np.float32


def test_frames_before_it_stay_and_gaps_stay_gaps() -> None:
    frames = np.stack([drawn_face(), drawn_face() + 10])
    frames[0, 37] = np.nan
    five = five_points(frames)
    assert np.isnan(five[0, 0]).all()
    np.testing.assert_allclose(five[0, 1:], TEMPLATE[1:], rtol=1e-6)
    np.testing.assert_allclose(five[1], TEMPLATE + 10, rtol=1e-6)


def test_another_number_of_points() -> None:
    with pytest.raises(InputError, match=r"shape \(49, 2\)"):
        five_points(np.zeros((49, 2)))
