"""Stochastic depth: in training, a residual branch is left out for some of the examples."""

from typing import Any

import keras
from keras import layers, ops, random


@keras.saving.register_keras_serializable(package="ferkeras")
class StochasticDepth(layers.Layer):
    """Sets the branch of each example to zero with probability `rate` in training; the identity otherwise.

    What is kept is divided by 1 - rate, so that the mean is the same in training and after it.

    Source: Huang et al., "Deep networks with stochastic depth", ECCV 2016, in the form of Larsson et al., 2017, and
    of ConvNeXt: one draw per example. Huang et al. draw once per batch and scale at test time; keras-cv's layer of
    this name does so too, and needs TensorFlow's Keras 2.

    Input and output: a residual branch (B, ...), before it is added to its shortcut.

    Args:
        rate: Probability in [0, 1) that an example loses the branch.
        seed: Of the draws; by default from Keras's global seed.

    Raises:
        ValueError: for a rate outside [0, 1).
    """

    def __init__(
        self,
        *,
        rate: float,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must lie in [0, 1). Received: rate={rate}.")
        self.rate, self.seed = rate, seed
        self.seed_generator = random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or not self.rate:
            return x
        shape = (ops.shape(x)[0], *(1,) * (len(x.shape) - 1))
        kept = random.uniform(shape, seed=self.seed_generator) >= self.rate
        return x * (ops.cast(kept, x.dtype) / (1.0 - self.rate))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate, "seed": self.seed}
