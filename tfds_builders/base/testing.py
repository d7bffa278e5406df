"""What the tests of builders share: building into a folder, and reading what was stored."""

from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds


def build(kind: type, config: Any, manual_dir: Path, data_dir: Path) -> Any:
    """The builder of this class and configuration, built from `manual_dir` into `data_dir`."""
    builder = kind(data_dir=str(data_dir), config=config)
    builder.download_and_prepare(
        download_dir=str(data_dir / "downloads"),
        download_config=tfds.download.DownloadConfig(manual_dir=str(manual_dir)),
    )
    return builder


def stored(builder: Any) -> dict[str, dict[str, Any]]:
    """Id -> still or clip with its split; labels by their name, texts as str."""
    examples: dict[str, dict[str, Any]] = {}
    for split in builder.info.splits:
        for example in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)):
            plain = {name: value.decode() if isinstance(value, bytes) else value for name, value in example.items()}
            if "label" in plain:
                plain["label"] = builder.info.features["label"].names[plain["label"]]
            name = plain["clip_id" if "clip_id" in plain else "id"]
            if name in examples:
                raise ValueError(f"{name} is there twice")
            examples[name] = {**plain, "split": split}
    return examples


def record_bytes(builder: Any) -> dict[str, bytes]:
    """File name -> content of the records, to compare two builds."""
    return {path.name: path.read_bytes() for path in sorted(Path(builder.data_dir).glob("*.tfrecord*"))}
