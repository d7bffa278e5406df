"""Batch normalisation's statistics for averaged weights.

Moving statistics follow the weights that are trained. Weights averaged over many steps make other activations, of
smaller variance, so with them those statistics do not fit: a network is measured worse than it is as long as the
learning rate is high, and the best epoch is chosen by that. So they are measured anew, with the averaged weights.

Source: Izmailov et al., UAI 2018 (arXiv 1803.05407), section 3.2. Measured on `fer_vgg_fer2013` in its 17th epoch of
50: PublicTest accuracy 0.613 with the moving statistics, 0.640 with those of 5,120 training images
(docs/experiments.md).
"""

import math
from typing import Any

import keras

#: Training images that the statistics are taken from.
IMAGES = 2048


def measure_statistics(model: keras.Model, batches: Any, *, batch_size: int) -> None:
    """Puts the means and variances of the first of `batches` into every batch normalisation that is trained.

    All batches weigh the same. Dropout and its kind are at work as in training; their seeds are set first, so that a
    resumed run draws what an uninterrupted one does.

    Args:
        model: With the weights that are to be measured, all others of which stay.
        batches: Training batches, whose first entry is what `model` takes.
        batch_size: Examples in each.
    """
    normalisations = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not normalisations:
        return
    for index, variable in enumerate(v for v in model.variables if v.name == "seed_generator_state"):
        variable.assign((index, 0))
    momenta = [layer.momentum for layer in normalisations]
    for done, (inputs, *_) in enumerate(batches.take(math.ceil(IMAGES / batch_size))):
        for layer in normalisations:
            layer.momentum = done / (done + 1)  # makes the moving mean the mean so far
        model(inputs, training=True)
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum
