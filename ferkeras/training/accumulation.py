"""Gradient accumulation: the step of a large batch from micro-batches that fit into memory.

The input pipeline gives the batch of a whole step, as it would without accumulation; the step cuts it into consecutive
micro-batches and adds up their gradients before the one update. So whatever is counted in steps (learning rate,
warm-up, weight average, weight decay, clipping, checkpoints) means updates, nothing is left over at the end of an epoch
but a smaller last batch, and no sum of gradients outlives a step.

`gradient_accumulation_steps` of Keras's optimisers (3.15) is not used: it hands micro-batches to the schedule as steps,
averages weights after each of them, carries what an epoch leaves over into the next, weighs an uneven micro-batch like
the others, and cannot branch under several replicas.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ferkeras.labels import UNLABELLED


@dataclass(frozen=True)
class MicroBatch:
    """Rows of a batch, and how much they count in its loss.

    Attributes:
        inputs: (n, ...), or several by name.
        labels: Head -> (n, ...).
        weights: Head -> (n, ...), or empty.
        rows: n, as a share of the rows of the batch.
        shares: Head -> share of what the mean of the head's loss is divided by; over a batch they sum to 1.
    """

    inputs: Any
    labels: Mapping[str, Any]
    weights: Mapping[str, Any]
    rows: float
    shares: Mapping[str, float]


def micro_batches(
    inputs: Any,
    labels: Mapping[str, Any],
    weights: Mapping[str, Any],
    *,
    size: int,
    losses: Mapping[str, keras.losses.Loss],
) -> Iterator[MicroBatch]:
    """The batch in parts of `size` rows, the last perhaps smaller; the arguments are as the attributes."""
    batch = len(next(iter(labels.values())))
    if batch <= size:
        yield MicroBatch(inputs, labels, weights, 1.0, dict.fromkeys(labels, 1.0))
        return
    whole = {head: _amount(losses[head], labels[head], weights.get(head)) for head in labels}
    for start in range(0, batch, size):
        part = slice(start, start + size)
        mine, counted = ({head: values[part] for head, values in all_.items()} for all_ in (labels, weights))
        amounts = {head: _amount(losses[head], mine[head], counted.get(head)) for head in mine}
        yield MicroBatch(
            keras.tree.map_structure(lambda values, part=part: values[part], inputs),
            mine,
            counted,
            len(next(iter(mine.values()))) / batch,
            {head: amounts[head] / whole[head] if whole[head] else 0.0 for head in mine},
        )


def _amount(loss: keras.losses.Loss, labels: Any, weights: Any) -> float:
    """What `loss` divides the sum over `labels` (n,) or (n, T) by, up to a factor that all micro-batches share.

    Raises:
        ValueError: for a loss that is no mean.
    """
    if loss.reduction == "sum_over_batch_size":
        return float(len(labels))
    if loss.reduction != "mean_with_sample_weight":
        raise ValueError(f"A loss with the reduction {loss.reduction} cannot be accumulated.")
    labelled = np.asarray(labels) != UNLABELLED
    return float(labelled.sum() if weights is None else (labelled * np.asarray(weights)).sum())
