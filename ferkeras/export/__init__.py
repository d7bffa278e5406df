"""Trained models as files that run without this package: SavedModel for servers, LiteRT for devices.

`saved_model` and `litert` each write one kind of file and read it back as a `Runner`, a function from
images to logits; `parity` proves that such a file computes what the trained model computes.
"""
