"""The stages of ConvNeXt, with squeeze-and-excitation where a network wants it.

Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022, section 2 and figure 4; tables 9 and 10 for the sizes.
"""

from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras import layers

from ferkeras.layers import LayerScale, SqueezeExcitation, StochasticDepth

Size = Literal["tiny", "small", "base", "large", "xlarge"]

#: Channels of the four stages, by size.
WIDTHS: dict[Size, tuple[int, int, int, int]] = {
    "tiny": (96, 192, 384, 768),
    "small": (96, 192, 384, 768),
    "base": (128, 256, 512, 1024),
    "large": (192, 384, 768, 1536),
    "xlarge": (256, 512, 1024, 2048),
}
#: Blocks of the four stages, by size.
BLOCKS: dict[Size, tuple[int, int, int, int]] = {
    "tiny": (3, 3, 9, 3),
    "small": (3, 3, 27, 3),
    "base": (3, 3, 27, 3),
    "large": (3, 3, 27, 3),
    "xlarge": (3, 3, 27, 3),
}
EPSILON = 1e-6


def convnext_stages(
    x: keras.KerasTensor,
    *,
    widths: Sequence[int],
    blocks: Sequence[int],
    excitation: bool,
    layer_scale: float,
    stochastic_depth: float,
) -> keras.KerasTensor:
    """Stem and four stages: pixels (B, H, W, 3) -> `feature_map` (B, H/32, W/32, widths[3]).

    Args:
        widths: Channels of each stage.
        blocks: Residual blocks of each stage.
        excitation: Squeeze-and-excitation after each of the three down-samplings.
        layer_scale: First value of the layer scale at the end of every branch.
        stochastic_depth: Rate of the last block; it rises linearly from zero at the first.
    """
    rates = iter(np.linspace(0.0, stochastic_depth, sum(blocks)).tolist())
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        if stage == 1:
            x = layers.Conv2D(width, 4, strides=4, kernel_initializer=normal(), name="stem_conv")(x)
            x = layers.LayerNormalization(epsilon=EPSILON, name="stem_norm")(x)
        else:
            name = f"downsample{stage}"
            x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm")(x)
            x = layers.Conv2D(width, 2, strides=2, kernel_initializer=normal(), name=f"{name}_conv")(x)
            if excitation:
                x = SqueezeExcitation(reduction=16, name=f"{name}_se")(x)
        for block in range(1, count + 1):
            last = stage == len(widths) and block == count
            name = f"stage{stage}_block{block}"
            branch = _branch(x, width=width, layer_scale=layer_scale, rate=next(rates), name=name)
            x = layers.Add(name="feature_map" if last else f"{name}_add")([x, branch])
    return x


def _branch(x: keras.KerasTensor, *, width: int, layer_scale: float, rate: float, name: str) -> keras.KerasTensor:
    """The residual branch of a block, (B, H, W, C) -> (B, H, W, C)."""
    x = layers.DepthwiseConv2D(7, padding="same", depthwise_initializer=normal(), name=f"{name}_depthwise")(x)
    x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm")(x)
    x = layers.Dense(4 * width, kernel_initializer=normal(), name=f"{name}_expand")(x)
    x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = layers.Dense(width, kernel_initializer=normal(), name=f"{name}_project")(x)
    x = LayerScale(initial=layer_scale, name=f"{name}_scale")(x)
    return StochasticDepth(rate=rate, name=f"{name}_depth")(x) if rate else x


def normal() -> keras.initializers.Initializer:
    """ConvNeXt's initialiser of every kernel; a new one each time, since one object draws the same values again."""
    return keras.initializers.TruncatedNormal(stddev=0.02)
