"""Optical flow between the frames of clips, by small convolutions alone."""

from typing import Any

import keras
import numpy as np
from keras import ops

#: Weights of red, green and blue in the grey level (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_SMOOTH, _DERIVE = np.array([1, 2, 1], np.float32) / 4, np.array([-1, 0, 1], np.float32) / 2


def _derivative_kernel() -> np.ndarray:
    """(3, 3, 2, 3): from the mean of two frames and their difference to the derivatives along x, y and time."""
    kernel = np.zeros((3, 3, 2, 3), np.float32)
    kernel[:, :, 0, 0] = np.outer(_SMOOTH, _DERIVE)
    kernel[:, :, 0, 1] = np.outer(_DERIVE, _SMOOTH)
    kernel[:, :, 1, 2] = np.outer(_SMOOTH, _SMOOTH)
    return kernel


def _neighbour_kernel() -> np.ndarray:
    """(3, 3, 2, 1): for each of two channels the mean of the neighbours, a sixth for sides, a twelfth for corners."""
    kernel = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]], np.float32) / 12
    return np.repeat(kernel[:, :, None, None], 2, axis=2)


@keras.saving.register_keras_serializable(package="ferkeras")
class OpticalFlow(keras.layers.Layer):
    """Where each pixel came from since the frame before, after Horn & Schunck.

    With the derivatives Ex, Ey, Et of the grey level and the mean (u', v') of the neighbours' flow, each iteration is

        (u, v) = (u', v') - (Ex, Ey) (Ex u' + Ey v' + Et) / (alpha^2 + Ex^2 + Ey^2),  from a flow of zero.

    Source: Horn & Schunck, "Determining optical flow", Artificial Intelligence 1981, with the paper's weights of the
    neighbours and its repeated values beyond the border. Deviations: the derivatives come from 3x3 stencils on the mean
    and the difference of both frames, which are centred on the pixel, where the paper's 2x2x2 cubes are centred half
    a pixel beside it; the number of iterations is fixed. There is one scale, so motion of more than about
    two pixels a frame is underestimated.

    Input: frames (B, T, H, W, C) with pixels in [0, 255], C of 1 or 3, and their mask (B, T), bool. H and W at least 2.
    Output: flow (B, T, H, W, 2) in pixels per frame, to the right and downwards, from frame t-1 to t. It is zero at the
    first frame, at a masked one, and at one that follows a masked one. Computed in float32 under any policy.

    Args:
        iterations: How often the flow is improved; it spreads by one pixel each time.
        smoothness: alpha, in grey levels per pixel: below such a slope the neighbours decide, above it the pixel.

    Raises:
        ValueError: for no iteration, a smoothness that is not positive, or frames of another shape.
    """

    def __init__(
        self,
        *,
        iterations: int = 16,
        smoothness: float = 8.0,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable, autocast=False)
        if iterations < 1 or smoothness <= 0:
            raise ValueError(
                f"OpticalFlow takes at least 1 iteration and a positive smoothness. Received: {iterations=}, "
                f"{smoothness=}."
            )
        self.iterations = iterations
        self.smoothness = smoothness

    def call(self, frames: Any, frame_mask: Any) -> Any:
        kept = ops.cast(frame_mask, "bool")[:, :, None, None, None]
        frames = ops.where(kept, ops.cast(frames, "float32"), 0.0)
        grey = frames if frames.shape[-1] == 1 else ops.sum(frames * _LUMA, axis=-1, keepdims=True)
        before = _previous(grey)
        pairs = ops.concatenate([(before + grey) / 2, grey - before], axis=-1)
        height, width = pairs.shape[2:4]
        flow = self._relax(ops.reshape(pairs, (-1, height, width, 2)))
        flow = ops.reshape(flow, (-1, ops.shape(frame_mask)[1], height, width, 2))
        flow = ops.where(ops.logical_and(kept, _previous(kept)), flow, 0.0)
        return ops.cast(flow, self.compute_dtype)

    def _relax(self, pairs: Any) -> Any:
        """Means and differences (N, H, W, 2) of two frames each -> flow (N, H, W, 2)."""
        derivatives = ops.conv(_bordered(pairs), _derivative_kernel(), padding="valid", data_format="channels_last")
        slope, change = derivatives[..., :2], derivatives[..., 2:]
        step = slope / (self.smoothness**2 + ops.sum(ops.square(slope), axis=-1, keepdims=True))
        flow = -step * change  # the first iteration, in which the neighbours' flow is zero
        for _ in range(self.iterations - 1):
            mean = ops.depthwise_conv(
                _bordered(flow), _neighbour_kernel(), padding="valid", data_format="channels_last"
            )
            flow = mean - step * (ops.sum(slope * mean, axis=-1, keepdims=True) + change)
        return flow

    def compute_output_shape(
        self, frames_shape: tuple[int | None, ...], frame_mask_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        fits = len(frames_shape) == 5 and frames_shape[-1] in (1, 3)
        if not fits or any(side is None or side < 2 for side in frames_shape[2:4]):
            raise ValueError(
                "OpticalFlow takes frames (B, T, H, W, C) with sides of at least 2 and C of 1 or 3. "
                f"Received: {frames_shape}."
            )
        return (*frames_shape[:-1], 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "iterations": self.iterations, "smoothness": self.smoothness}


def _previous(frames: Any) -> Any:
    """(B, T, ...) -> the frame before each; the first one is its own."""
    return ops.concatenate([frames[:, :1], frames[:, :-1]], axis=1)


def _bordered(maps: Any) -> Any:
    """(N, H, W, C) -> (N, H+2, W+2, C) with the values at the border repeated."""
    return ops.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
