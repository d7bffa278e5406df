"""Ten crops: the boxes, and that training and test-time augmentation see the same views."""

import numpy as np
import pytest
import tensorflow as tf

from ferkeras.data.crops import crop_boxes, ten_crops
from ferkeras.views import ten_crop_views


def test_boxes_by_hand() -> None:
    boxes = crop_boxes(48, 60, fraction=40 / 48)
    corners = [(0, 40, 0, 50), (0, 40, 10, 60), (8, 48, 0, 50), (8, 48, 10, 60), (4, 44, 5, 55)]
    assert [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in boxes] == corners


@pytest.mark.parametrize("fraction", [1e-3, 0.5, 0.9, 1.0])
def test_boxes_lie_inside_and_are_never_empty(fraction: float) -> None:
    for height, width in ((1, 1), (5, 8), (48, 48)):
        for rows, columns in crop_boxes(height, width, fraction=fraction):
            assert 0 <= rows.start < rows.stop <= height
            assert 0 <= columns.start < columns.stop <= width


@pytest.mark.parametrize("shape", [(3, 48, 48, 1), (2, 24, 60, 3)])
@pytest.mark.parametrize("fraction", [40 / 48, 0.6, 1.0])
def test_training_sees_the_views_of_test_time_augmentation(fraction: float, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    crops = ten_crops(tf.constant(images), fraction=fraction).numpy()
    assert crops.dtype == np.uint8
    assert crops.shape == (10 * shape[0], *shape[1:])
    views = np.stack(ten_crop_views(images, fraction=fraction), axis=1)  # (B, 10, H, W, C) float
    assert len(np.unique(views.reshape(shape[0] * 10, -1), axis=0)) == (10 if fraction < 1 else 2) * shape[0]
    np.testing.assert_array_equal(crops, np.round(views).reshape(crops.shape))
