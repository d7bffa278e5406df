"""A small convolutional network for faces of about 64x64 pixels, to train from scratch on a CPU.

Not after a paper: five 3x3 convolutions with batch normalisation and ReLU, a 2x2 max-pooling between each two, channels
doubling from 16 to 256. At 64x64x1 and full width that is 20 million multiply-adds, a twentieth of EfficientNet-B0's at
224x224.
"""

import keras
from keras import layers

WIDTHS: tuple[int, ...] = (16, 32, 64, 128, 256)
LEAST_SIDE = 2 ** (len(WIDTHS) - 1)


def small_cnn_map(image: keras.KerasTensor, *, width: float = 1.0) -> keras.KerasTensor:
    """Pixels (B, H, W, C) in [0, 255] to the last map, layer `feature_map` (B, H/16, W/16, 256*width).

    Args:
        width: Factor on the channels of every convolution.

    Raises:
        ValueError: for an image that the poolings leave nothing of.
    """
    if min(image.shape[1:3]) < LEAST_SIDE:
        raise ValueError(f"small_cnn takes sides of at least {LEAST_SIDE}. Received: {image.shape[1:]}.")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    for index, channels in enumerate(WIDTHS, start=1):
        last = index == len(WIDTHS)
        x = layers.Conv2D(
            max(1, round(channels * width)), 3, padding="same", kernel_initializer="he_normal", name=f"conv{index}"
        )(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"bn{index}")(x)
        x = layers.ReLU(name="feature_map" if last else f"relu{index}")(x)
        if not last:
            x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
    return x
