"""The gradient of a score, on whichever backend Keras runs: the one thing that `keras.ops` does not have."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ferkeras.errors import InputError


def gradient(score: Callable[[Any], Any], at: np.ndarray) -> np.ndarray:
    """d score_b / d at_b of every example b of a batch.

    It is the gradient of the sum of the scores, so an example's score must not depend on its neighbours.

    Args:
        score: A tensor like `at` to scores (B,), in differentiable operations of Keras.
        at: (B, ...) float32.

    Returns:
        Like `at`; zero where the score does not depend on it.

    Raises:
        InputError: for a backend other than TensorFlow, JAX and PyTorch.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.convert_to_tensor(at)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            total = tf.reduce_sum(score(x))
        return tape.gradient(total, x, unconnected_gradients="zero").numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: score(x).sum())(jax.numpy.asarray(at)))
    if backend == "torch":
        import torch

        x = keras.ops.convert_to_tensor(at).detach().requires_grad_()
        (found,) = torch.autograd.grad(score(x).sum(), x, allow_unused=True)
        return np.zeros_like(at) if found is None else found.detach().cpu().numpy()
    raise InputError("Gradients are taken with tensorflow, jax or torch", received=f"the Keras backend {backend}")
