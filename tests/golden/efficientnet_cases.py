"""What the reference EfficientNet in PyTorch and the test that reads its outputs share. Needs numpy alone."""

from collections.abc import Mapping

import numpy as np

try:
    from path_seeds import path_seeded, seeded_images  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from tests.golden.path_seeds import path_seeded, seeded_images

INPUT_SEED = 20_19
#: Rows of the classifier: eight emotions, valence and arousal.
ROWS = 10
#: Architecture in timm -> images (B, H, W, C): the least sides at which paddings are told apart, and at which the
#: symmetric one can be computed by keras.applications.
SHAPES = {"tf_efficientnet_b0": (2, 64, 64, 3), "efficientnet_b0": (2, 65, 65, 3)}


def images(architecture: str) -> np.ndarray:
    """uint8 noise (B, H, W, C), the second image dark, since noise alone is pooled to much the same."""
    noise = seeded_images(INPUT_SEED, SHAPES[architecture])
    noise[1] //= 4
    return noise


def timm_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 tensor of the path `name` in PyTorch's order, seeded by it."""
    layer, _, part = name.rpartition(".")
    if len(shape) == 4:  # (O, I / groups, H, W)
        outputs, inputs, height, width = shape
        depthwise = layer.endswith("conv_dw")
        drawn = path_seeded(f"{layer}/kernel", (height, width, *((outputs, 1) if depthwise else (inputs, outputs))))
        return drawn.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    if len(shape) == 2:
        return path_seeded(f"{layer}/kernel", shape[::-1]).T
    normalises = layer.rpartition(".")[2].startswith("bn")
    kinds = {"weight": "gamma", "running_mean": "moving_mean", "running_var": "moving_variance"}
    return path_seeded(f"{layer}/{'beta' if normalises and part == 'bias' else kinds.get(part, part)}", shape)


def timm_tensors(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {name: timm_tensor(name, shape) for name, shape in shapes.items()}
