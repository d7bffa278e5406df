"""Runs with a LiteRT file of a tiny network, made without training: for the web page and the mobile guide."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from ferkeras.runs import RunFolder

HEIGHT, WIDTH, FRAMES, HIDDEN = 20, 24, 4, 5
LABELS = ("angry", "happy", "neutral")
HEADS = {"emotion": list(LABELS), "valence": ["number"], "arousal": ["number"]}


def weights(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng([rows, columns]).normal(0, 1 / np.sqrt(rows), (rows, columns)).astype(np.float32)


def expected(vector: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs, (K,) and numbers, of the network of stills for its pixels (HEIGHT, WIDTH, 1)."""
    return outputs_of(np.ravel(vector).astype(np.float32) / 255)


def outputs_of(vector: np.ndarray) -> dict[str, np.ndarray]:
    logits = 8 * vector @ weights(len(vector), len(LABELS))
    numbers = np.tanh(4 * vector @ weights(len(vector), 2))
    probabilities = np.exp(logits - logits.max())
    return {"probabilities": probabilities / probabilities.sum(), "valence": numbers[0], "arousal": numbers[1]}


def expected_stream(faces: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of the network of clips after the given faces."""
    state = np.zeros(HIDDEN, np.float32)
    for face in faces:
        pixels = np.ravel(face).astype(np.float32) / 255
        state = np.tanh(pixels @ weights(len(pixels), HIDDEN) + 0.5 * state)
    return outputs_of(state)


def still_run(path: Path) -> RunFolder:
    """A run whose network takes `image` (1, 20, 24, 1)."""

    @tf.function(input_signature=[tf.TensorSpec((1, HEIGHT, WIDTH, 1), tf.float32, name="image")])
    def network(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return _heads(tf.reshape(image, (1, -1)) / 255)

    return _write(path, {"serving_default": network}, clip=False)


def clip_run(path: Path, *, streaming: bool) -> RunFolder:
    """A run whose network takes `frames` (1, 4, 20, 24, 1) and a boolean `frame_mask`; `streaming` adds `step`."""

    def step(image: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        pixels = tf.reshape(image, (1, -1)) / 255
        return tf.tanh(pixels @ weights(HEIGHT * WIDTH, HIDDEN) + 0.5 * state)

    @tf.function(
        input_signature=[
            tf.TensorSpec((1, FRAMES, HEIGHT, WIDTH, 1), tf.float32, name="frames"),
            tf.TensorSpec((1, FRAMES), tf.bool, name="frame_mask"),
        ]
    )
    def whole(frames: tf.Tensor, frame_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        state = tf.zeros((1, HIDDEN))
        for index in range(FRAMES):
            valid = tf.cast(frame_mask[:, index, None], tf.float32)
            state = valid * step(frames[:, index], state) + (1 - valid) * state
        return _heads(state)

    @tf.function(
        input_signature=[
            tf.TensorSpec((1, HEIGHT, WIDTH, 1), tf.float32, name="image"),
            tf.TensorSpec((1, HIDDEN), tf.float32, name="lstm1_h"),
        ]
    )
    def one(image: tf.Tensor, lstm1_h: tf.Tensor) -> dict[str, tf.Tensor]:
        state = step(image, lstm1_h)
        return _heads(state) | {"lstm1_h": state}

    return _write(path, {"serving_default": whole} | ({"step": one} if streaming else {}), clip=True)


def _heads(vector: tf.Tensor) -> dict[str, tf.Tensor]:
    width = vector.shape[1]
    numbers = tf.tanh(4 * vector @ weights(width, 2))
    return {"emotion": 8 * vector @ weights(width, len(LABELS)), "valence": numbers[:, 0], "arousal": numbers[:, 1]}


def _write(path: Path, signatures: dict[str, object], *, clip: bool) -> RunFolder:
    (path / "litert").mkdir(parents=True)
    preprocessing = {"height": HEIGHT, "width": WIDTH, "channels": 1, "range": [0, 255], "crop": "none"}
    preprocessing |= {"frames": FRAMES, "stride": 1} if clip else {}
    (path / "preprocessing.json").write_text(json.dumps(preprocessing))
    (path / "labels.json").write_text(json.dumps(HEADS))
    module = tf.Module()
    for name, function in signatures.items():
        setattr(module, name, function)
    saved = path / "saved"
    tf.saved_model.save(module, str(saved), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=list(signatures))
    (path / "litert" / "float32.tflite").write_bytes(converter.convert())
    return RunFolder(path)
