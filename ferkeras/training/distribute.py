"""Which devices train together, and what their processes have to tell each other.

Every recipe names a strategy (`ferkeras.recipe.Distribute`). A strategy must be opened before TensorFlow has computed
anything in the process, since it changes which devices there are.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ferkeras.errors import InputError
from ferkeras.recipe import Distribute
from ferkeras.training.cluster import task

#: Seconds after which a collective operation that another worker does not join counts as failed. A process that is gone
#: or stopped is found after about ten seconds, by the heartbeats of TensorFlow's coordination service, which come from
#: a thread of their own. This is for one that lives and does not come, and must be longer than workers may differ:
#: one still builds its graph, the chief still writes a checkpoint.
TIMEOUT_SECONDS = 600.0
_LOST = (
    *(tf.errors.UnavailableError, tf.errors.DeadlineExceededError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.InternalError, tf.errors.FailedPreconditionError),
)


class WorkerLostError(RuntimeError):
    """Another process of the cluster does not answer any more."""


class Distribution:
    """A `tf.distribute` strategy with one or several replicas of the network, in one or several processes.

    Attributes:
        strategy: Of TensorFlow.
        replicas: Their number over all processes.
        workers: Number of processes.
        chief: Whether this process is the one that writes.
    """

    def __init__(self, strategy: tf.distribute.Strategy, *, workers: int = 1, index: int = 0) -> None:
        self.strategy = strategy
        self.replicas = int(strategy.num_replicas_in_sync)
        self.workers = workers
        self.chief = index == 0

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Variables that are made within exist once for each replica and are kept equal."""
        return self.strategy.scope()

    def from_chief(self, value: Any) -> Any:
        """The JSON-serialisable `value` that the chief has; all processes must call this. Floats come exactly."""
        if self.workers == 1:
            return value
        mine = np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
        length = int(self._from_first(np.array([len(mine)], dtype=np.float64))[0])
        padded = np.zeros(length)
        padded[: len(mine)] = mine[:length]
        return json.loads(self._from_first(padded).astype(np.uint8).tobytes())

    def copy_from_chief(self, variables: Sequence[keras.Variable]) -> None:
        """Gives `variables` the values that the chief has, in all processes, which must all call this."""
        if self.workers == 1:
            return
        values = [ops.convert_to_numpy(v.value) for v in variables]
        # One vector of all: float64 holds every float32 and every counter exactly.
        joined = self._from_first(np.concatenate([v.astype(np.float64).ravel() for v in values]))
        parts = np.split(joined, np.cumsum([v.size for v in values])[:-1])
        with self.scope():
            for variable, old, part in zip(variables, values, parts, strict=True):
                variable.assign(part.reshape(old.shape).astype(old.dtype))

    def _from_first(self, values: np.ndarray) -> np.ndarray:
        """(N,) float64 that the first replica has, as the sum in which all others count zero."""

        def replica(mine: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group, 0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, mine, tf.zeros_like(mine)))

        @tf.function
        def exchange(mine: tf.Tensor) -> tf.Tensor:
            return self.strategy.experimental_local_results(self.strategy.run(replica, args=(mine,)))[0]

        with lost_worker():
            return exchange(tf.constant(values, dtype=tf.float64)).numpy()


def open_distribution(settings: Distribute) -> Distribution | None:
    """The devices that `settings` means, or None for one device, which needs no strategy.

    Raises:
        InputError: for devices that are not there, and for another Keras backend than TensorFlow.
    """
    index, workers = task()
    kind = settings.strategy
    gpus = tf.config.list_physical_devices("GPU")
    if kind == "auto":
        kind = "multi_worker" if workers > 1 else "mirrored" if max(len(gpus), settings.replicas) > 1 else "one_device"
        if keras.backend.backend() != "tensorflow":
            kind = "one_device"
    if kind == "one_device":
        return None
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"distribute.strategy={kind} needs the TensorFlow backend of Keras",
            received=keras.backend.backend(),
            action="Set KERAS_BACKEND=tensorflow, or distribute.strategy=one_device.",
        )
    if kind == "tpu":
        return Distribution(_tpu())
    if kind == "mirrored":
        return Distribution(tf.distribute.MirroredStrategy(_devices(settings.replicas, gpus)))
    if workers == 1:
        raise InputError(
            "distribute.strategy=multi_worker needs a cluster",
            action="Give --workers host:port,... or --local-workers N, or set TF_CONFIG.",
        )
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=TIMEOUT_SECONDS)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    return Distribution(strategy, workers=workers, index=index)


@contextlib.contextmanager
def lost_worker() -> Iterator[None]:
    """Turns what TensorFlow raises when another process is gone into `WorkerLostError`."""
    try:
        yield
    except _LOST as error:
        lost = sorted(set(re.findall(r"^/job:worker/replica:0/task:(\d+)", str(error.message), flags=re.MULTILINE)))
        who = f"Worker {', '.join(lost)}" if lost else "Another worker"
        raise WorkerLostError(f"{who} does not answer any more ({type(error).__name__})") from error


def _devices(wanted: int, gpus: Sequence[Any]) -> list[str]:
    """Names of the first `wanted` GPUs (0: all), or of as many parts of the CPU where there is no GPU."""
    if gpus:
        if wanted > len(gpus):
            raise InputError(f"There are {len(gpus)} GPUs", received=f"distribute.replicas={wanted}")
        return [f"GPU:{index}" for index in range(wanted or len(gpus))]
    count = max(wanted, 1)
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:  # TensorFlow has computed already; what there is may be enough
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise InputError(
                "The CPU can be divided only before TensorFlow is first used in a process",
                received=f"distribute.replicas={count}",
                action="Train in a process of its own.",
            ) from error
    return [f"CPU:{index}" for index in range(count)]


def _tpu() -> tf.distribute.Strategy:
    """The TPU that the environment names. Nobody has trained on one with this code yet."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise InputError("There is no TPU", action="Choose another distribute.strategy.") from error
