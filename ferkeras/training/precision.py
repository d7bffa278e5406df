"""Training in float16: a loss scale that follows the gradients, and an end where there is none that fits.

float16 holds no number above 65,504 and few below 6e-8, so gradients vanish or overflow. Micikevicius et al., "Mixed
Precision Training", ICLR 2018 (arXiv 1710.03740), section 3.2: the loss is multiplied before the gradient is taken, and
the gradient divided after. A step whose gradients are not finite is left out and halves the scale; 2000 good ones in a
row double it.
"""

from typing import Any

import keras
from keras import ops

from ferkeras.errors import InputError


class StopOnLostScale(keras.callbacks.Callback):
    """Ends training with an `InputError` when no loss scale keeps the gradients finite; the loss may well be.

    Args:
        optimizer: Of the run.
    """

    def __init__(self, optimizer: keras.optimizers.LossScaleOptimizer) -> None:
        super().__init__()
        self._optimizer = optimizer

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        scale = float(ops.convert_to_numpy(self._optimizer.dynamic_scale))
        if scale < 1.0:  # the gradients themselves overflow
            raise InputError(
                f"The gradients are not finite in float16 at step {batch + 1}",
                received=f"a loss scale of {scale:g}",
                action="Lower optimizer.learning_rate, or set dtype=float32; the last checkpoint is kept.",
            )
