"""Keras layers of this package, one idea per file. Importing this module registers them for loading."""

from ferkeras.layers.additive_attention import AdditiveAttention

__all__ = ["AdditiveAttention"]
