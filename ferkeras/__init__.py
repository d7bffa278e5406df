"""Facial-expression recognition in Keras 3. Importing this package imports neither Keras nor TensorFlow."""

__version__ = "0.1.0"
