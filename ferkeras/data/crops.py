"""The ten crops of an image: four corners and the centre, each scaled back to full size, and their mirror images.

Krizhevsky et al., NIPS 2012, section 4.1, where they average a prediction. Used so at test time
(`ferkeras.views.ten_crop_views`), and in training, where each crop is an example of its own. Deviation: the crops
are scaled back, so that networks of a fixed input size take part.
"""

import tensorflow as tf

from ferkeras.data.warp import to_uint8


def crop_boxes(height: int, width: int, *, fraction: float) -> list[tuple[slice, slice]]:
    """Rows and columns of five boxes whose sides are `fraction` of the image's, at least one pixel.

    In order: top left, top right, bottom left, bottom right, centre.
    """
    h, w = max(1, round(height * fraction)), max(1, round(width * fraction))
    corners = [(top, left) for top in (0, height - h) for left in (0, width - w)]
    centre = ((height - h) // 2, (width - w) // 2)
    return [(slice(top, top + h), slice(left, left + w)) for top, left in (*corners, centre)]


def ten_crops(images: tf.Tensor, *, fraction: float) -> tf.Tensor:
    """(B, H, W, C) uint8 -> (10 B, H, W, C) uint8, bilinear.

    The views of an image are neighbours; each of the five boxes of `crop_boxes` is followed by its mirror image.
    """
    height, width, channels = images.shape[1:]
    views = []
    for rows, columns in crop_boxes(height, width, fraction=fraction):
        view = to_uint8(tf.image.resize(images[:, rows, columns], (height, width)))
        views += [view, view[:, :, ::-1]]
    return tf.reshape(tf.stack(views, axis=1), [-1, height, width, channels])
