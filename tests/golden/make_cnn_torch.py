"""Compute the golden outputs of the convolutional baselines with PyTorch, written from their definitions alone.

    python3.11 -m venv reference
    reference/bin/pip install "torch==2.13.0" numpy
    reference/bin/python tests/golden/make_cnn_torch.py

The SE-CNN family, its residual version and "VGG16-BN" follow the third report on facial expressions and its published
networks; ResNet18 follows He et al., 2016, table 1, whose max-pooling the report leaves out. Dropout is the identity
here. Pixels p enter as p / 255. `NETWORKS` names each file; those with a width below one keep the definition and
divide its channels, for the sake of time.

It runs in float64, so that the stored float32 values carry no rounding of their own. Weights come from
`path_seeds.py`, the images from a stored seed; only seeds and outputs are stored.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from make_vgg_torch import dense, normalisation, weight  # type: ignore[import-not-found, unused-ignore]
from path_seeds import path_seeded, seeded_images  # type: ignore[import-not-found, unused-ignore]
from torch import nn
from torch.nn import functional

INPUT_SEED, CLASSES = 20_12, 6
#: Images (B, 3, H, W) in [0, 1] -> features (B, D) and logits (B, K).
Network = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def convolve(
    x: torch.Tensor, name: str, outputs: int, *, kernel: int = 3, stride: int = 1, bias: bool = True
) -> torch.Tensor:
    """Padded alike on all four sides, so that stride 1 keeps the size."""
    inputs = x.shape[1]
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)
    layer.weight.data = weight(f"{name}/kernel", kernel, kernel, inputs, outputs).permute(3, 2, 0, 1)
    if bias:
        layer.bias.data = weight(f"{name}/bias", outputs)
    return layer(x)


def normalise(x: torch.Tensor, name: str) -> torch.Tensor:
    return normalisation(name, x.shape[1]).eval()(x)


def excite(x: torch.Tensor, name: str) -> torch.Tensor:
    """Squeeze-and-excitation with reduction 16 and without biases."""
    channels = x.shape[1]
    hidden = functional.relu(x.mean(dim=(2, 3)) @ weight(f"{name}/squeeze", channels, channels // 16))
    gates = torch.sigmoid(hidden @ weight(f"{name}/excite", channels // 16, channels))
    return x * gates[:, :, None, None]


def classify(x: torch.Tensor, names: tuple[str, str], widths: tuple[int, int]) -> torch.Tensor:
    """Two dense layers with ReLU and the logits."""
    for name, width in zip(names, widths, strict=True):
        x = functional.relu(dense(name, x.shape[1], width)(x))
    return dense("emotion", x.shape[1], CLASSES)(x)


def se_cnn(
    x: torch.Tensor, *, widths: tuple[int, ...], hidden: tuple[int, int], excited: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Convolution, normalisation, ReLU, excitation, max-pooling; the last map before its pooling is `feature_map`."""
    for index, width in enumerate(widths, start=1):
        x = functional.relu(normalise(convolve(x, f"conv{index}", width), f"bn{index}"))
        if excited:
            x = excite(x, "feature_map" if index == len(widths) else f"se{index}")
        x = functional.max_pool2d(x, 2)
    features = x.mean(dim=(2, 3))
    return features, classify(features, ("dense1", "dense2"), hidden)


def se_cnn_residual(
    x: torch.Tensor, *, widths: tuple[int, ...], hidden: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first width is that of the convolution with excitation, the others those of the residual blocks."""
    x = excite(functional.relu(normalise(convolve(x, "conv1", widths[0]), "bn1")), "se1")
    for index, width in enumerate(widths[1:], start=1):
        name = f"block{index}"
        branch = functional.relu(normalise(convolve(x, f"{name}_conv1", width, stride=2), f"{name}_bn1"))
        branch = normalise(convolve(branch, f"{name}_conv2", width), f"{name}_bn2")
        around = convolve(x, f"{name}_shortcut_conv", width, kernel=1, stride=2)
        x = functional.relu(branch + normalise(around, f"{name}_shortcut_bn"))
    features = x.mean(dim=(2, 3))
    return features, classify(features, ("dense1", "dense2"), hidden)


def resnet18(x: torch.Tensor, *, stem_pool: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Basic blocks, two in each of four stages; a projection where a stage halves the map."""
    x = functional.relu(normalise(convolve(x, "stem_conv", 64, kernel=7, stride=2, bias=False), "stem_bn"))
    if stem_pool:
        x = nn.MaxPool2d(3, 2, 1)(x)
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (1, 2):
            name = f"stage{stage}_block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            branch = convolve(x, f"{name}_1_conv", width, stride=stride, bias=False)
            branch = functional.relu(normalise(branch, f"{name}_1_bn"))
            branch = normalise(convolve(branch, f"{name}_2_conv", width, bias=False), f"{name}_2_bn")
            if stride == 2:
                x = convolve(x, f"{name}_shortcut_conv", width, kernel=1, stride=2, bias=False)
                x = normalise(x, f"{name}_shortcut_bn")
            x = functional.relu(branch + x)
    features = x.mean(dim=(2, 3))
    return features, dense("emotion", 512, CLASSES)(features)


def vgg_shared(
    x: torch.Tensor, *, widths: tuple[int, ...], hidden: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two convolutions a stage, both followed by the same normalisation."""
    for stage, width in enumerate(widths, start=1):
        for index in (1, 2):
            x = functional.relu(normalise(convolve(x, f"stage{stage}_conv{index}", width), f"stage{stage}_bn"))
        x = functional.max_pool2d(x, 2)
    # PyTorch flattens a map by channel, Keras by pixel: which of the two orders the weights are stored in is free.
    features = x.permute(0, 2, 3, 1).flatten(start_dim=1)
    return features, classify(features, ("head_dense1", "head_dense2"), hidden)


#: By name of the file: the network and the shape (B, H, W, C) of its images.
NETWORKS: dict[str, tuple[Network, tuple[int, int, int, int]]] = {
    "gimefive4": (
        partial(se_cnn, widths=(64, 128, 256, 512), hidden=(1024, 512), excited=False),
        (4, 64, 64, 3),
    ),
    "gimefive5_se": (
        partial(se_cnn, widths=(64, 128, 256, 512, 1024), hidden=(2048, 1024), excited=True),
        (4, 64, 64, 3),
    ),
    "gimefive_res_half": (
        partial(se_cnn_residual, widths=(32, 64, 128, 256, 512, 1024), hidden=(2048, 1024)),
        (4, 64, 64, 3),
    ),
    "resnet18": (partial(resnet18, stem_pool=False), (4, 64, 64, 3)),
    "resnet18_stem_pool": (partial(resnet18, stem_pool=True), (4, 48, 56, 3)),
    "vgg16_bn_quarter": (partial(vgg_shared, widths=(16, 32, 64), hidden=(1024, 256)), (4, 32, 40, 3)),
}


@torch.no_grad()
def main() -> None:
    for name, (network, shape) in NETWORKS.items():
        images = torch.from_numpy(seeded_images(INPUT_SEED, shape)).double().permute(0, 3, 1, 2)
        features, logits = network(images / 255)
        np.savez_compressed(
            Path(__file__).with_name(f"{name}.npz"),
            input_seed=np.array(INPUT_SEED),
            input_shape=np.array(shape),
            # Tells a change of numpy's generator from a change of the model.
            first_weights=path_seeded("block1_conv1/kernel", (3, 3, 1, 64)).ravel()[:4],
            features=features.numpy().astype(np.float32),
            emotion=logits.numpy().astype(np.float32),
        )
        apart = logits.std(dim=0).min()
        print(f"{name:20} {tuple(features.shape)!s:10} logits {logits.std():.4f}, between images {apart:.4f}")


if __name__ == "__main__":
    main()
