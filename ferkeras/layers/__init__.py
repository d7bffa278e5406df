"""Keras layers of this package, one idea per file. Importing this module registers them for loading."""

from ferkeras.layers.additive_attention import AdditiveAttention
from ferkeras.layers.affine_sampler import AffineSampler
from ferkeras.layers.attention_variance import AttentionVariance
from ferkeras.layers.fold_frames import FoldFrames, UnfoldFrames
from ferkeras.layers.layer_scale import LayerScale
from ferkeras.layers.optical_flow import OpticalFlow
from ferkeras.layers.squeeze_excitation import SqueezeExcitation
from ferkeras.layers.stochastic_depth import StochasticDepth
from ferkeras.layers.unfold_maps import UnfoldMaps

__all__ = [
    "AdditiveAttention",
    "AffineSampler",
    "AttentionVariance",
    "FoldFrames",
    "LayerScale",
    "OpticalFlow",
    "SqueezeExcitation",
    "StochasticDepth",
    "UnfoldFrames",
    "UnfoldMaps",
]
