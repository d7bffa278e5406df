"""Compute the golden outputs of `stn_addons.npz` with TensorFlow Addons' `image.resampler`.

TensorFlow Addons ended in 2024 and cannot be imported beside Keras 3, so this runs in an environment of its own:

    python3.11 -m venv addons
    addons/bin/pip install "tensorflow==2.15.1" "tensorflow-addons==0.23.0" "numpy<2"
    addons/bin/python tests/golden/make_stn_addons.py

The resampler takes coordinates in pixels and knows no maps: `stn_cases.py` computes them from theta in float64, and
gives the images. A sample more than a pixel outside is zero; one that is less is mixed with zeros, as in zero padding.
Its `interpolate_bilinear` and `dense_image_warp` repeat the border's pixels instead and are no reference here.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa  # type: ignore[import-not-found, unused-ignore]
from stn_cases import (  # type: ignore[import-not-found, unused-ignore]
    IMAGE_SHAPE,
    affine_maps,
    images,
    pixel_coordinates,
)

OUTPUT = Path(__file__).with_name("stn_addons.npz")


def main() -> None:
    maps = affine_maps()
    theta = np.stack(list(maps.values()))
    coordinates = pixel_coordinates(theta, *IMAGE_SHAPE[:2])
    outputs = tfa.image.resampler(tf.constant(images(), tf.float64), tf.constant(coordinates)).numpy()
    np.savez_compressed(
        OUTPUT,
        names=np.array(list(maps)),
        images=images(),
        theta=theta,
        outputs=outputs.astype(np.float32),
    )
    for name, picture in zip(maps, outputs, strict=True):
        print(f"{name:26} mean {picture.mean():.4f}, share of zeros {(picture == 0).mean():.3f}")


if __name__ == "__main__":
    main()
