"""Drop-in layers that compute the same as Keras's own, faster, with TensorFlow on a CPU.

Keras 3 writes batch normalisation, smooth activations and Adam as many small operations where one kernel would do, and
runs an LSTM as a loop; this costs most once the convolutions run in bfloat16. The classes of this package keep the
weights, the config and the meaning of the Keras layers, so weights move between the two by `set_weights`. Models never
name them: `ferkeras.training.twin` puts them in the place of the plain layers for the time of training.

`ferkeras benchmark RUN --part training` measures what they bring to a run, `benchmarks/cpu_training.py` to
every network: `docs/cpu.md`.
"""

from ferkeras.training.cpu.activation import FusedActivation
from ferkeras.training.cpu.adam import FusedAdam
from ferkeras.training.cpu.choice import LARGEST_SMALL_MAP, MOST_STEPS, fused_layer, only_cpu
from ferkeras.training.cpu.convolution import SmallMapConv2D
from ferkeras.training.cpu.depthwise import TiledDepthwiseConv2D
from ferkeras.training.cpu.normalization import FusedBatchNormalization
from ferkeras.training.cpu.recurrent import FusedLSTM

__all__ = [
    "LARGEST_SMALL_MAP",
    "MOST_STEPS",
    "FusedActivation",
    "FusedAdam",
    "FusedBatchNormalization",
    "FusedLSTM",
    "SmallMapConv2D",
    "TiledDepthwiseConv2D",
    "fused_layer",
    "only_cpu",
]
