"""A learned factor per channel at the end of a residual branch."""

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="ferkeras")
class LayerScale(layers.Layer):
    """Multiplies each channel by a learned factor that begins small.

    Source: Touvron et al., "Going deeper with image transformers", ICCV 2021, equation 4; 1e-6 as in ConvNeXt.

    Input and output: (B, ..., C).

    Args:
        initial: First value of all factors.
    """

    def __init__(
        self, *, initial: float = 1e-6, name: str | None = None, dtype: Any = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.initial = initial

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        initializer = keras.initializers.Constant(self.initial)
        self.gamma = self.add_weight(name="gamma", shape=(input_shape[-1],), initializer=initializer)

    def call(self, x: Any) -> Any:
        return x * self.gamma

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"initial": self.initial}
