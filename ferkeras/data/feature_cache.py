"""What a frozen encoder makes of the frames of clips, kept on disk: each frame is encoded once for all windows.

A cache is a folder `<data-dir>/.features/<data set>/<key>/`: `key.json`, and of each split TFRecord files of 64 clips
each, every one of which is written whole or not at all, so that encoding goes on after an interruption where it was.
The key is a hash of all that the vectors depend on: fingerprints of the data, preprocessing, and the encoder's layers
and weights. What depends on how clips are cut, labels and folds, is not kept: it comes from the data set.
"""

import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from ferkeras.data.clips import read_ragged
from ferkeras.data.columns import ordered, read_column, split_size
from ferkeras.data.prepared import report
from ferkeras.data.preprocess import Preprocessing
from ferkeras.files import staged, write_atomically

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

#: A change of what the files hold makes all older ones stale.
FORMAT = 1
KEY_FILE = "key.json"
#: Clips in a file: what an interruption costs at most.
SHARD_CLIPS = 64
#: Frames that are encoded together.
BATCH_FRAMES = 64


class FeatureCache:
    """The vectors (T, D) float32 of every frame of every clip of a data set.

    Args:
        made: Builder of the prepared data set.
        preprocessing: From a picture to the encoder's input.
        encoder: Images (B, H, W, C), pixels in [0, 255] -> vectors (B, D).

    Attributes:
        folder: Where the cache lies, or will.
        width: D.
    """

    def __init__(self, made: "tfds.core.DatasetBuilder", preprocessing: Preprocessing, encoder: keras.Model) -> None:
        self._made = made
        self._preprocessing = preprocessing
        self._encoder = encoder
        self.width = int(encoder.output.shape[-1])
        self._key: dict[str, Any] = {
            "format": FORMAT,
            "data": {split: mark.sha256 for split, mark in report(made).fingerprint.items()},
            "encoder": {"architecture": _architecture(encoder), **json.loads(preprocessing.to_json())},
            "weights": _weights(encoder),
        }
        *names, _ = parts = made.info.full_name.split("/")
        self._name = "/".join(names)
        data_dir = Path(made.data_dir).parents[len(parts) - 1]
        self.folder = data_dir / ".features" / self._name / _sha256(json.dumps(self._key, sort_keys=True))[:16]

    def encode(self, split: str) -> list[Path]:
        """Encodes the clips of `split`, a split or TFDS slice, whose files are not there or damaged.

        Progress and the place of the cache are told on standard error.

        Returns:
            The files of the split, in reading order.

        Raises:
            InputError: if the data set has no such split.
        """
        size = split_size(self._made, split)
        count = -(-size // SHARD_CLIPS)
        stem = quote(split, safe="")  # a slice such as train[:90%] is no good name of a file
        shards = [self.folder / f"{stem}.tfrecord-{index:05d}-of-{count:05d}" for index in range(count)]
        missing = [
            index
            for index, path in enumerate(shards)
            if not _is_whole(path, clips=min(SHARD_CLIPS, size - index * SHARD_CLIPS))
        ]
        if missing:
            write_atomically(self.folder / KEY_FILE, json.dumps(self._key, indent=2))
            self._write({index: shards[index] for index in missing}, split, size=size)
        print(f"ferkeras: features of {self._name}, {split}, are in {self.folder}", file=sys.stderr)
        return shards

    def _write(self, shards: dict[int, Path], split: str, *, size: int) -> None:
        ids = read_column(self._made, split, "clip_id")
        names = [name for name in ("face_found", "frame_index") if name in self._made.info.features]
        columns = {name: read_ragged(self._made, split, name) for name in names}
        lengths = [len(found) for found in columns["face_found"]]
        wanted = np.isin(np.arange(size) // SHARD_CLIPS, list(shards))
        frames = sum(itertools.compress(lengths, wanted))
        interval = 0.2 if sys.stderr.isatty() else 30.0
        title = f"encoding {self._name} {split}"
        with tqdm(total=frames, desc=title, unit="frame", file=sys.stderr, mininterval=interval, leave=False) as bar:
            vectors = self._vectors(split, wanted)
            for index, path in shards.items():
                with staged(path) as unfinished, tf.io.TFRecordWriter(str(unfinished)) as writer:
                    for clip in range(index * SHARD_CLIPS, min(size, (index + 1) * SHARD_CLIPS)):
                        own = np.array([*itertools.islice(vectors, lengths[clip])], "<f4")
                        by_frame = {name: values[clip] for name, values in columns.items()}
                        writer.write(_record(ids[clip], own, by_frame))
                        bar.update(lengths[clip])

    def _vectors(self, split: str, wanted: np.ndarray) -> Iterator[np.ndarray]:
        """(D,) of each frame of the clips of `split` that are `wanted` (N,), in reading order."""
        import tensorflow_datasets as tfds

        encoded = {"frames": tfds.decode.SkipDecoding()}
        only = tfds.decode.PartialDecoding({"frames": True}, decoders=encoded)
        clips = self._made.as_dataset(split=split, shuffle_files=False, read_config=ordered(), decoders=only)
        chosen = tf.data.Dataset.zip(clips, tf.data.Dataset.from_tensor_slices(wanted)).filter(lambda _, keep: keep)
        image = self._made.info.features["frames"].feature
        batches = (
            chosen.flat_map(lambda clip, _: tf.data.Dataset.from_tensor_slices(clip["frames"]))
            .map(
                lambda frame: self._preprocessing(image.decode_example(frame)),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .batch(BATCH_FRAMES)
            .prefetch(1)
        )
        for batch in batches.as_numpy_iterator():
            yield from np.asarray(self._encoder.predict_on_batch(batch))

    def remove_stale(self) -> list[str]:
        """Removes caches of this data set that no run can use any more, and tells why on standard error.

        Stale are those of other data, and those of the same layers and preprocessing with other weights. The cache of
        a different encoder stays: another recipe has use for it.

        Returns:
            A reason for each that is gone: `data changed`, `encoder changed` or `format changed`.
        """
        reasons = []
        for file in sorted(self.folder.parent.glob(f"*/{KEY_FILE}")):
            reason = self._stale(json.loads(file.read_text(encoding="utf-8")))
            if reason:
                print(f"ferkeras: stale features of {self._name}: {reason}; {file.parent} is removed", file=sys.stderr)
                shutil.rmtree(file.parent)
                reasons.append(reason)
        return reasons

    def _stale(self, other: dict[str, Any]) -> str | None:
        if other["format"] != FORMAT:
            return "format changed"
        if other["data"] != self._key["data"]:
            return "data changed"
        same_kind = other["encoder"] == self._key["encoder"]
        return "encoder changed" if same_kind and other["weights"] != self._key["weights"] else None


def read_vectors(shards: Sequence[Path], *, width: int) -> Iterator[np.ndarray]:
    """(T, D) float32 of each clip of the files, D being `width`."""
    for record in tf.data.TFRecordDataset([str(path) for path in shards]).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        yield np.frombuffer(feature["vectors"].bytes_list.value[0], "<f4").reshape(-1, width)


def remove_features(data_dir: Path) -> None:
    """Removes every cache of every data set in `data_dir`."""
    shutil.rmtree(data_dir / ".features", ignore_errors=True)


def _record(clip_id: bytes, vectors: np.ndarray, by_frame: dict[str, np.ndarray]) -> bytes:
    """One clip as a `tf.train.Example`: `clip_id`, `vectors` (T, D) as little-endian float32, and values (T,)."""
    as_bytes = {"clip_id": clip_id, "vectors": vectors.tobytes()}
    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for name, v in as_bytes.items()}
    for name, values in by_frame.items():
        feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values.astype(np.int64)))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _is_whole(path: Path, *, clips: int) -> bool:
    """Whether the file is there, and the checksums of its `clips` records are right."""
    try:
        return path.exists() and int(tf.data.TFRecordDataset(str(path)).reduce(0, lambda n, _: n + 1)) == clips
    except tf.errors.DataLossError:
        return False


def _architecture(encoder: keras.Model) -> str:
    """Hash of the layers, their settings and connections.

    Layers count by their order and not by their names: Keras numbers unnamed ones on from model to model.
    """
    order: dict[str, int] = {}

    def anonymous(value: Any) -> Any:
        match value:
            case dict():
                of_layer = value.keys() & {"trainable", "inbound_nodes"}
                return {
                    key: order.setdefault(item, len(order)) if key == "name" and of_layer else anonymous(item)
                    for key, item in value.items()
                }
            case [str(name), int(node), int(index)]:  # whose output goes into a layer
                return [order.setdefault(name, len(order)), node, index]
            case list() | tuple():
                return [anonymous(item) for item in value]
        return value

    return _sha256(json.dumps(anonymous(encoder.get_config()), sort_keys=True, default=str))


def _weights(encoder: keras.Model) -> str:
    """Hash of all weights in order, as float32."""
    sha = hashlib.sha256()
    for weight in encoder.get_weights():
        sha.update(np.asarray(weight, "<f4").tobytes())
    return sha.hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
