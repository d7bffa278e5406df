"""Compute the golden outputs of `*efficientnet_b0.npz` with PyTorch, written from the network's definition alone.

    python3.11 -m venv reference
    reference/bin/pip install "torch==2.13.0" numpy
    reference/bin/python tests/golden/make_efficientnet_torch.py

EfficientNet-B0 (Tan & Le, 2019, table 1): a stem, seven stages of inverted residual blocks (Sandler et al., 2018) with
squeeze-and-excitation to a quarter of the block's input (Hu et al., 2018) and SiLU, a 1x1 convolution to 1280, global
average pooling, and one linear layer. Its tensors have the names of timm. Dropout and stochastic depth are the identity
here. Pixels p enter as (p / 255 - mean) / deviation of ImageNet.

`tf_efficientnet_b0` pads as TensorFlow's SAME, ceil(n / stride) outputs, the odd zero at the bottom and right, with
epsilon 1e-3; `efficientnet_b0` pads by half the kernel on all sides, with epsilon 1e-5.

It runs in float64, so that the stored float32 values carry no rounding of their own. Weights come from
`path_seeds.py`, the images from a stored seed; names and shapes of the tensors, seeds and outputs are stored.
It also writes `state_dict.pt`, a few odd tensors as `torch.save` stores them, for the test of that reader.
"""

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from efficientnet_cases import ROWS, SHAPES, images, timm_tensors  # type: ignore[import-not-found, unused-ignore]
from torch import nn
from torch.nn import functional

FOLDER = Path(__file__).parent
#: Expansion, kernel, stride, channels and blocks of each stage.
STAGES = (
    *((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)),
    *((6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)),
)
STEM, HEAD = 32, 1280
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]).double(), torch.tensor([0.229, 0.224, 0.225]).double()


class Convolution(nn.Conv2d):
    """Without bias; padded by half the kernel, or as TensorFlow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, same: bool, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)
        self.same = same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        zeros = []
        for size in (x.shape[3], x.shape[2]):  # PyTorch names the last axis first
            total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            zeros += [total // 2, total - total // 2] if self.same else [kernel // 2, kernel // 2]
        return super().forward(functional.pad(x, zeros))


class Excitation(nn.Module):
    """Squeeze-and-excitation to `hidden`."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv_reduce, self.conv_expand = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squeezed = functional.silu(self.conv_reduce(x.mean(dim=(2, 3), keepdim=True)))
        return x * torch.sigmoid(self.conv_expand(squeezed))


class Block(nn.Module):
    """Inverted residual; without expansion, `conv_pw` is the projection, else the expansion."""

    def __init__(
        self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int, same: bool, epsilon: float
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expands, self.shortcut = expansion > 1, stride == 1 and inputs == outputs
        norms = [nn.BatchNorm2d(channels, eps=epsilon) for channels in ([wide] * (1 + self.expands) + [outputs])]
        if self.expands:
            self.conv_pw = Convolution(inputs, wide, 1, same=same)
        self.conv_dw = Convolution(wide, wide, kernel, stride=stride, groups=wide, same=same)
        self.se = Excitation(wide, inputs // 4)
        setattr(self, "conv_pwl" if self.expands else "conv_pw", Convolution(wide, outputs, 1, same=same))
        for index, norm in enumerate(norms, start=1):
            setattr(self, f"bn{index}", norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.expands:
            branch = functional.silu(self.bn1(self.conv_pw(x)))
            branch = self.se(functional.silu(self.bn2(self.conv_dw(branch))))
            branch = self.bn3(self.conv_pwl(branch))
        else:
            branch = self.se(functional.silu(self.bn1(self.conv_dw(x))))
            branch = self.bn2(self.conv_pw(branch))
        return x + branch if self.shortcut else branch


class EfficientNet(nn.Module):
    """Images (B, 3, H, W) to features (B, 1280) and logits (B, K)."""

    def __init__(self, *, same: bool, epsilon: float, rows: int = ROWS) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = Convolution(3, STEM, 3, stride=2, same=same), nn.BatchNorm2d(STEM, eps=epsilon)
        stages, channels = [], STEM
        for expansion, kernel, stride, outputs, count in STAGES:
            blocks = []
            for index in range(count):
                step = stride if index == 0 else 1
                blocks.append(
                    Block(
                        channels, outputs, expansion=expansion, kernel=kernel, stride=step, same=same, epsilon=epsilon
                    )
                )
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = Convolution(channels, HEAD, 1, same=same), nn.BatchNorm2d(HEAD, eps=epsilon)
        self.classifier = nn.Linear(HEAD, rows)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.blocks(functional.silu(self.bn1(self.conv_stem(x))))
        features = functional.silu(self.bn2(self.conv_head(x))).mean(dim=(2, 3))
        return features, self.classifier(features)


@torch.no_grad()
def make(name: str) -> None:
    tf = name.startswith("tf_")
    network = EfficientNet(same=tf, epsilon=1e-3 if tf else 1e-5).double().eval()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items() if value.is_floating_point()}
    weights = {key: torch.from_numpy(value.copy()).double() for key, value in timm_tensors(shapes).items()}
    missing = network.load_state_dict(weights, strict=False).missing_keys
    if any(not key.endswith("num_batches_tracked") for key in missing):
        raise SystemExit(f"no weights for {missing}")
    pixels = torch.from_numpy(images(name)).double() / 255
    features, logits = network(((pixels - MEAN) / DEVIATION).permute(0, 3, 1, 2))
    outputs = {"features": features, "logits": logits}
    np.savez_compressed(
        FOLDER / f"{name}.npz",
        shapes=np.array(json.dumps(shapes)),
        # Tells a change of numpy's generator from a change of the model.
        first_weights=weights["conv_stem.weight"].numpy().astype(np.float32).ravel()[:4],
        **{key: value.numpy().astype(np.float32) for key, value in outputs.items()},
    )
    for key, value in outputs.items():
        between = (value[0] - value[1]).std()
        print(f"{name:20} {key:8} {tuple(value.shape)!s:10} deviation {value.std():.4f}, of a difference {between:.4f}")


def make_state_dict() -> None:
    """Kinds, a view that is neither contiguous nor at the start, a shared storage, a parameter and a scalar."""
    numbers = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 8
    tensors = {
        "whole": numbers,
        "turned": numbers.T,
        "part": numbers[1:, 1::2],
        "half": numbers.half(),
        "brain": numbers.bfloat16(),
        "double": numbers.double(),
        "count": torch.tensor(7),
        "parameter": nn.Parameter(numbers[0].clone()),
        "nothing": torch.zeros(0, 3),
    }
    torch.save({"state_dict": OrderedDict(tensors), "epoch": 3}, FOLDER / "state_dict.pt")


if __name__ == "__main__":
    for architecture in SHAPES:
        make(architecture)
    make_state_dict()
