"""Compute the golden outputs of `stn_torch.npz` with PyTorch's `affine_grid` and `grid_sample`.

    python3.11 -m venv reference
    reference/bin/pip install "torch==2.13.0" numpy
    reference/bin/python tests/golden/make_stn_torch.py

Aligned corners, zero padding, bilinear, in float64. Images and maps come from `stn_cases.py`. Stored beside the outputs
is the gradient, by theta, of the sum of the outputs times `slopes`; at a sample on a pixel's centre the gradient has
two values, one for each side, and the two implementations may take either.
"""

from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from stn_cases import affine_maps, images  # type: ignore[import-not-found, unused-ignore]
from torch.nn import functional

OUTPUT = Path(__file__).with_name("stn_torch.npz")


def main() -> None:
    maps = affine_maps()
    pixels = torch.from_numpy(images()).double().permute(0, 3, 1, 2)
    theta = torch.from_numpy(np.stack(list(maps.values()))).double().requires_grad_()
    grid = functional.affine_grid(theta, pixels.shape, align_corners=True)
    seen = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    slopes = np.random.default_rng(1).standard_normal(seen.permute(0, 2, 3, 1).shape).astype(np.float32)
    (seen.permute(0, 2, 3, 1) * torch.from_numpy(slopes)).sum().backward()
    np.savez_compressed(
        OUTPUT,
        names=np.array(list(maps)),
        images=images(),
        theta=np.stack(list(maps.values())),
        slopes=slopes,
        outputs=seen.detach().permute(0, 2, 3, 1).numpy().astype(np.float32),
        theta_gradients=theta.grad.numpy().astype(np.float32),
    )
    for name, picture in zip(maps, seen, strict=True):
        print(f"{name:26} mean {picture.mean():.4f}, share of zeros {(picture == 0).double().mean():.3f}")


if __name__ == "__main__":
    main()
