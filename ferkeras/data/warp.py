"""The one way pixels are moved: an affine map about the image's centre, sampled once, mirrored at the edge."""

import tensorflow as tf


def warp(
    images: tf.Tensor,
    *,
    matrix: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor],
    shift: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:
    """Shows at each output pixel p the input at M (p - centre) + centre + shift, bilinear, in pixels (x, y).

    Args:
        images: (B, H, W, C) uint8.
        matrix: M of each image, row by row: x from x, x from y, y from x, y from y; four tensors (B,).
        shift: Along x and y, two tensors (B,) in pixels.

    Returns:
        (B, H, W, C) uint8. What comes into view from outside the image is its mirror image: black corners would tell
        the network how far it was turned.
    """
    height, width = images.shape[1:3]
    x_x, x_y, y_x, y_y = matrix
    centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
    from_x = centre_x - x_x * centre_x - x_y * centre_y + shift[0]
    from_y = centre_y - y_x * centre_x - y_y * centre_y + shift[1]
    zero = tf.zeros_like(x_x)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),  # in uint8 the kernel would cut fractions off instead of rounding
        transforms=tf.stack([x_x, x_y, from_x, y_x, y_y, from_y, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return to_uint8(warped)


def to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    """Float pixels, rounded and clipped to [0, 255]."""
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)
