"""How hard the set is: accuracies of simple classifiers. Prints the table of the README.

`python -m tfds_builders.synthetic_faces.difficulty still` draws the stills in memory, then fits a logistic
regression to the pixels and a small convolutional network. `... clips` fits a recurrent network to the
landmarks of all frames, in order, in a random order, and repeating the middle frame. Needs no prepared data
set and takes a few minutes.
"""

import argparse
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from ferkeras.labels import EMOTIONS
from tfds_builders.synthetic_faces.sampling import SPLITS, sample_clip, sample_still

Float32 = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Part = tuple[Float32, Labels]


def still_parts(counts: tuple[int, int, int], *, seed: int, size: int, channels: int) -> dict[str, Part]:
    """Images (n, H, W, C) in [0, 255] and labels (n,) per split."""
    parts = {}
    for split, count in zip(SPLITS, counts, strict=True):
        stills = [sample_still(seed, split, index, size=size, channels=channels) for index in range(count)]
        images = np.stack([still.image for still in stills]).astype(np.float32)
        parts[split] = images, np.array([EMOTIONS.index(still.emotion) for still in stills])
    return parts


def clip_parts(counts: tuple[int, int, int], *, seed: int) -> dict[str, Part]:
    """Normalised landmarks (n, T, 136) and labels (n,) per split."""
    parts = {}
    for split, count in zip(SPLITS, counts, strict=True):
        clips = [sample_clip(seed, split, i, size=64, channels=1, frames=16, fps=8.0) for i in range(count)]
        points = np.stack([normalise(clip.landmarks) for clip in clips])
        parts[split] = points, np.array([EMOTIONS.index(clip.emotion) for clip in clips])
    return parts


def normalise(landmarks: Float32) -> Float32:
    """Landmarks (T, 68, 2) as (T, 136), turned and scaled until the eyes lie at (-0.5, 0) and (0.5, 0).

    A frame without a face (all points 0) repeats the one before it; the first frames, the first with a face.
    """
    points = landmarks.copy()
    for t in range(len(points)):
        if not points[t].any():
            points[t] = points[t - 1] if t else points[np.argmax(points.any(axis=(1, 2)))]
    left, right = points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)
    along = right - left
    span = np.linalg.norm(along, axis=1)[:, None, None]
    cos, sin = along[:, 0] / span[:, 0, 0], along[:, 1] / span[:, 0, 0]
    upright = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)  # (T, 2, 2)
    points = (points - ((left + right) / 2)[:, None]) @ upright / span
    flat: Float32 = points.reshape(len(points), -1).astype(np.float32)
    return flat


def linear_accuracy(parts: dict[str, Part]) -> float:
    """Test accuracy of logistic regression on standardised pixels."""
    (x, y), (test_x, test_y) = parts["train"], parts["test"]
    mean, deviation = x.mean(), x.std()
    model = LogisticRegression(C=1e-4, max_iter=200)
    model.fit(((x - mean) / deviation).reshape(len(x), -1), y)
    return float(model.score(((test_x - mean) / deviation).reshape(len(test_x), -1), test_y))


def convolutional_network(shape: tuple[int, ...]) -> keras.Model:
    """Four convolutions and a dense layer: what a tutorial would build."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Rescaling(1 / 64.0, offset=-2.0)])
    model.add(keras.layers.RandomFlip("horizontal"))
    for filters in (24, 48, 96):
        model.add(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(keras.layers.BatchNormalization(momentum=0.9))
        model.add(keras.layers.ReLU())
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dropout(0.4))
    model.add(keras.layers.Dense(96, activation="relu"))
    model.add(keras.layers.Dense(len(EMOTIONS)))
    return model


def recurrent_network(shape: tuple[int, ...]) -> keras.Model:
    """One gated recurrent layer over the frames."""
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Dense(32, activation="tanh"),
            keras.layers.Bidirectional(keras.layers.GRU(32)),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(len(EMOTIONS)),
        ]
    )


def network_accuracy(
    parts: dict[str, Part],
    build: Callable[[tuple[int, ...]], keras.Model],
    *,
    seconds: float,
    learning_rate: float = 1e-3,
    epochs: int,
) -> tuple[float, int]:
    """Test accuracy of the epoch that is best in validation, and the number of epochs that were run.

    No epoch begins after `seconds`.
    """
    keras.utils.set_random_seed(0)
    (x, y), validation, (test_x, test_y) = parts["train"], parts["validation"], parts["test"]
    model = build(x.shape[1:])
    steps = epochs * (len(x) // 32 + 1)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    best, weights, started, done = -1.0, model.get_weights(), time.monotonic(), 0
    while done < epochs and time.monotonic() - started < seconds:
        model.fit(x, y, batch_size=32, verbose=0)
        score = model.evaluate(*validation, batch_size=256, verbose=0)[1]
        done += 1
        print(
            f"epoch {done}: validation accuracy {score:.3f}, {time.monotonic() - started:.0f} s",
            file=sys.stderr,
        )
        if score > best:
            best, weights = score, model.get_weights()
    model.set_weights(weights)
    return float(model.evaluate(test_x, test_y, batch_size=256, verbose=0)[1]), done


def measure_stills(*, seed: int, counts: tuple[int, int, int], seconds: float, size: int, channels: int) -> None:
    """Prints one row per classifier of stills."""
    started = time.process_time()
    parts = still_parts(counts, seed=seed, size=size, channels=channels)
    spent = 1000.0 * (time.process_time() - started) / sum(counts)
    print(f"| time to draw one image, {size} x {size} x {channels} | {spent:.1f} ms |")
    print(f"| logistic regression on pixels, test accuracy | {linear_accuracy(parts):.3f} |")
    accuracy, epochs = network_accuracy(parts, convolutional_network, seconds=seconds, epochs=10)
    print(f"| small convolutional network, {epochs} epochs, test accuracy | {accuracy:.3f} |")


def measure_clips(*, seed: int, counts: tuple[int, int, int], seconds: float) -> None:
    """Prints one row per reading of the clips."""
    started = time.process_time()
    parts = clip_parts(counts, seed=seed)
    spent = 1000.0 * (time.process_time() - started) / sum(counts)
    print(f"| time to draw one clip, 16 x 64 x 64 x 1 | {spent:.0f} ms |")
    rng = np.random.default_rng(seed)

    def shuffled(x: Float32) -> Float32:
        return np.take_along_axis(x, rng.permuted(np.tile(np.arange(x.shape[1]), (len(x), 1)), axis=1)[..., None], 1)

    def middle(x: Float32) -> Float32:
        return np.repeat(x[:, x.shape[1] // 2][:, None], x.shape[1], axis=1)

    readings: dict[str, Callable[[Float32], Float32]] = {
        "all frames in order": lambda x: x,
        "all frames shuffled": shuffled,
        "middle frame only": middle,
    }
    for name, reading in readings.items():
        seen = {split: (reading(x), y) for split, (x, y) in parts.items()}
        accuracy, epochs = network_accuracy(seen, recurrent_network, seconds=seconds, learning_rate=5e-3, epochs=40)
        print(f"| landmarks, {name}, {epochs} epochs, test accuracy | {accuracy:.3f} |")


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("still", "clips"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=180.0, help="longest time for one network")
    arguments = parser.parse_args()
    print("| measured | value |\n|---|---|")
    if arguments.what == "still":
        measure_stills(seed=arguments.seed, counts=(6000, 1000, 1500), seconds=arguments.seconds, size=48, channels=1)
    else:
        measure_clips(seed=arguments.seed, counts=(980, 210, 350), seconds=arguments.seconds)


if __name__ == "__main__":
    main()
