"""Keras layers of this package, one idea per file. Importing this module registers them for loading."""

from ferkeras.layers.additive_attention import AdditiveAttention
from ferkeras.layers.affine_sampler import AffineSampler
from ferkeras.layers.attention_variance import AttentionVariance
from ferkeras.layers.fold_frames import FoldFrames, UnfoldFrames
from ferkeras.layers.layer_scale import LayerScale
from ferkeras.layers.squeeze_excitation import SqueezeExcitation
from ferkeras.layers.stochastic_depth import StochasticDepth

__all__ = [
    "AdditiveAttention",
    "AffineSampler",
    "AttentionVariance",
    "FoldFrames",
    "LayerScale",
    "SqueezeExcitation",
    "StochasticDepth",
    "UnfoldFrames",
]
