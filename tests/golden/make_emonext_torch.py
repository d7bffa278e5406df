"""Compute the golden outputs of `emonext_tiny_*.npz` with PyTorch, written from the network's definition alone.

    python3.11 -m venv reference
    reference/bin/pip install "torch==2.13.0" numpy
    reference/bin/python tests/golden/make_emonext_torch.py

EmoNeXt (El Boudouri & Bohi, 2023): a spatial transformer (Jaderberg et al., 2015), ConvNeXt tiny (Liu et al., 2022,
figure 4) with squeeze-and-excitation after each of its three down-samplings, global average pooling, layer
normalisation and seven logits; beside it the self-attention over the tokens of the last map, whose variance is the
regularisation. Pixels p enter as p / 255. Dropout and stochastic depth are the identity here.

It runs in float64, so that the stored float32 values carry no rounding of their own. Weights come from
`path_seeds.py`, layer scales around one among them, and those of the last layer of the localization from
`stn_cases.py`, so that each image has a map of its own that still shows most of it. Images come from a stored seed;
only seeds and outputs are stored.
"""

import math
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from make_vgg_torch import dense, normalisation, weight  # type: ignore[import-not-found, unused-ignore]
from path_seeds import path_seeded, seeded_images  # type: ignore[import-not-found, unused-ignore]
from stn_cases import theta_weights  # type: ignore[import-not-found, unused-ignore]
from torch.nn import functional

INPUT_SEED = 20_23
#: (B, H, W, C) by name of the file: the least batch for the size of the paper, and one that is quick to run.
SHAPES = {"emonext_tiny_64": (4, 64, 64, 3), "emonext_tiny_224": (2, 224, 224, 3)}
WIDTHS, BLOCKS, CLASSES, EPSILON = (96, 192, 384, 768), (3, 3, 9, 3), 7, 1e-6


def convolution(x: torch.Tensor, name: str, outputs: int, *, kernel: int, stride: int = 1) -> torch.Tensor:
    """Without padding."""
    kernels = weight(f"{name}/kernel", kernel, kernel, x.shape[1], outputs).permute(3, 2, 0, 1)
    return functional.conv2d(x, kernels, weight(f"{name}/bias", outputs), stride=stride)


def layer_norm(x: torch.Tensor, name: str) -> torch.Tensor:
    """Over the last axis."""
    channels = x.shape[-1]
    return functional.layer_norm(
        x, (channels,), weight(f"{name}/gamma", channels), weight(f"{name}/beta", channels), EPSILON
    )


def map_norm(x: torch.Tensor, name: str) -> torch.Tensor:
    """Over the channels of maps (B, C, H, W), pixel by pixel."""
    return layer_norm(x.permute(0, 2, 3, 1), name).permute(0, 3, 1, 2)


def excite(x: torch.Tensor, name: str) -> torch.Tensor:
    """Squeeze-and-excitation with reduction 16 and without biases."""
    channels = x.shape[1]
    hidden = functional.relu(x.mean(dim=(2, 3)) @ weight(f"{name}/squeeze", channels, channels // 16))
    gates = torch.sigmoid(hidden @ weight(f"{name}/excite", channels // 16, channels))
    return x * gates[:, :, None, None]


def localize(x: torch.Tensor) -> torch.Tensor:
    """Images (B, 3, H, W) -> affine maps (B, 6)."""
    for index, (filters, kernel) in enumerate(((8, 7), (10, 5)), start=1):
        x = convolution(x, f"stn_conv{index}", filters, kernel=kernel)
        x = normalisation(f"stn_bn{index}", filters).eval()(x)
        x = functional.relu(functional.max_pool2d(x, 2))
    # PyTorch flattens a map by channel, Keras by pixel: which of the two orders the weights are stored in is free.
    x = x.permute(0, 2, 3, 1).flatten(start_dim=1)
    x = functional.relu(dense("stn_dense", x.shape[1], 32)(x))
    kernel, bias = (torch.from_numpy(array).double() for array in theta_weights())
    return x @ kernel + bias


def block(x: torch.Tensor, name: str) -> torch.Tensor:
    """A block of ConvNeXt: depthwise 7x7, layer norm, to four times the width and back, layer scale, shortcut."""
    width = x.shape[1]
    kernels = weight(f"{name}_depthwise/kernel", 7, 7, width, 1).permute(2, 3, 0, 1)
    branch = functional.conv2d(x, kernels, weight(f"{name}_depthwise/bias", width), padding=3, groups=width)
    branch = layer_norm(branch.permute(0, 2, 3, 1), f"{name}_norm")
    branch = functional.gelu(dense(f"{name}_expand", width, 4 * width)(branch))
    branch = dense(f"{name}_project", 4 * width, width)(branch) * weight(f"{name}_scale/gamma", width)
    return x + branch.permute(0, 3, 1, 2)


def stages(x: torch.Tensor) -> torch.Tensor:
    """Images (B, 3, H, W) -> the last map (B, 768, H/32, W/32)."""
    for stage, (width, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True), start=1):
        if stage == 1:
            x = map_norm(convolution(x, "stem_conv", width, kernel=4, stride=4), "stem_norm")
        else:
            x = convolution(
                map_norm(x, f"downsample{stage}_norm"), f"downsample{stage}_conv", width, kernel=2, stride=2
            )
            x = excite(x, f"downsample{stage}_se")
        for index in range(1, count + 1):
            x = block(x, f"stage{stage}_block{index}")
    return x


def attention_variance(maps: torch.Tensor) -> torch.Tensor:
    """The regularisation of maps (B, C, H, W) at strength one."""
    channels = maps.shape[1]
    tokens = layer_norm(maps.flatten(start_dim=2).transpose(1, 2), "self_attention/norm")
    query = dense("self_attention/query", channels, channels)(tokens)
    key = tokens @ weight("self_attention/key/kernel", channels, channels)
    attention = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(channels), dim=-1)
    return ((attention - attention.mean()) ** 2).mean()


@torch.no_grad()
def main() -> None:
    for name, shape in SHAPES.items():
        images = torch.from_numpy(seeded_images(INPUT_SEED, shape)).double().permute(0, 3, 1, 2) / 255
        theta = localize(images)
        grid = functional.affine_grid(theta.view(-1, 2, 3), images.shape, align_corners=True)
        seen = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        feature_map = stages(seen)
        features = layer_norm(feature_map.mean(dim=(2, 3)), "features")
        outputs = {
            "theta": theta,
            "transformed_mean": seen.mean(dim=(2, 3)),
            "transformed_pixels": seen[:, :, ::16, ::16].permute(0, 2, 3, 1),
            "feature_map": feature_map.mean(dim=(2, 3)),
            "attention_variance": attention_variance(feature_map),
            "features": features,
            "emotion": dense("emotion", WIDTHS[-1], CLASSES)(features),
        }
        np.savez_compressed(
            Path(__file__).with_name(f"{name}.npz"),
            input_seed=np.array(INPUT_SEED),
            input_shape=np.array(shape),
            # Tells a change of numpy's generator from a change of the model.
            first_weights=path_seeded("emotion/bias", (CLASSES,)),
            **{key: value.numpy().astype(np.float32) for key, value in outputs.items()},
        )
        print(name, "\n", theta.numpy().round(3))
        for key, value in outputs.items():
            between = value.std(dim=0).mean() if value.ndim else value
            print(f"  {key:20} {tuple(value.shape)!s:18} mean {value.mean():+.4f} between images {between:.4f}")


if __name__ == "__main__":
    main()
