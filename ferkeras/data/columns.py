"""Single features of a prepared data set, read without decoding its pictures."""

from typing import TYPE_CHECKING

import numpy as np

from ferkeras.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds


def split_size(made: "tfds.core.DatasetBuilder", split: str) -> int:
    """Number of examples in a split or a TFDS slice of one, such as `train[:90%]`; raises `InputError` for no such."""
    try:
        return int(made.info.splits[split].num_examples)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{made.info.full_name} has no split of this name",
            received=split,
            action=f"Known: {', '.join(made.info.splits)}.",
        ) from error


def read_column(made: "tfds.core.DatasetBuilder", split: str, name: str) -> np.ndarray:
    """(N, ...) values of one feature of all examples of `split`, in reading order.

    Raises:
        InputError: for a split or feature that the data set does not have.
    """
    import tensorflow_datasets as tfds

    size = split_size(made, split)
    if name not in made.info.features:
        raise InputError(
            f"{made.info.full_name} has no feature {name}", received=f"features {', '.join(made.info.features)}"
        )
    if not size:
        return np.zeros(0)
    only = tfds.decode.PartialDecoding({name: True})
    dataset = made.as_dataset(split=split, decoders=only, read_config=ordered())
    return np.concatenate([batch[name] for batch in dataset.batch(8192).as_numpy_iterator()])


def ordered() -> "tfds.ReadConfig":
    """How everything is read: our own cache and prefetch follow, and the order does not depend on threads."""
    import tensorflow_datasets as tfds

    return tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1, skip_prefetch=True, options=without_tuning())


def without_tuning() -> "tf.data.Options":
    """Options, which hold for all that follows too, by which a data set does not tune itself.

    The thread that tunes sleeps for up to a minute at a time, and the end of a data set often waits until it wakes:
    measured, 45 s after 100 s of training. Without it `AUTOTUNE` stands for as many calls at once as there are threads.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return options
