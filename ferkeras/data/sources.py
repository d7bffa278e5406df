"""The data sets that there are: their builders, and whether one is prepared here."""

import dataclasses
import difflib
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.errors import InputError
from ferkeras.fields import assign

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

#: Name -> module of its TFDS builder.
DATASETS: dict[str, str] = {
    name: f"tfds_builders.{name}.{name}_dataset_builder"
    for name in (
        "synthetic_faces",
        "fer2013",
        "fer_plus",
        "raf_db",
        "affectnet",
        "tfeid",
        "face_folder",
        "ck_plus",
        "disfa",
        "mmi",
        "afew",
        "afew_va",
        "aff_wild2",
        "annotated_segments",
    )
}


def default_data_dir() -> Path:
    """Where prepared data lies unless told otherwise: `TFDS_DATA_DIR`, else `~/tensorflow_datasets`."""
    return Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()


def builder(dataset: str, *, data_dir: Path | None = None, settings: Sequence[str] = ()) -> "tfds.core.DatasetBuilder":
    """The TFDS builder of a data set.

    Args:
        dataset: `name` or `name/config`. A configuration that the builder does not have is one that was prepared
            with settings of its own, or is to be made by `settings`.
        data_dir: Where prepared data lies; see `default_data_dir`.
        settings: `key=value` for values of a configuration, such as `faces.size=96`, that make a new one out of the
            default configuration.

    Raises:
        InputError: for an unknown name, configuration or setting.
    """
    import tensorflow_datasets as tfds

    name, _, config = dataset.partition("/")
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(DATASETS)}."
        raise InputError("Unknown data set", received=dataset, action=hint)
    kind = importlib.import_module(DATASETS[name]).Builder
    root = data_dir or default_data_dir()
    known = {c.name: c for c in kind.BUILDER_CONFIGS}
    if settings:
        return kind(data_dir=str(root), config=_customised(name, config, known, settings, kind))
    if config and config not in known:
        made = sorted((root / name / config).glob("*/dataset_info.json"))
        if made:
            return tfds.builder_from_directory(str(made[-1].parent))
        raise InputError(
            f"Unknown configuration of {name}",
            received=config,
            action=f"Known: {', '.join(known)}. `ferkeras prepare {dataset} --set key=value` makes others.",
        )
    return kind(data_dir=str(root), config=config or None)


def _customised(
    name: str, config: str, known: dict[str, "tfds.core.BuilderConfig"], settings: Sequence[str], kind: type
) -> "tfds.core.BuilderConfig":
    if not config or config in known:
        raise InputError(
            "A configuration with other settings needs a name of its own",
            received=f"{name}/{config}" if config else name,
            action=f"Write {name}/NAME with a new NAME, not one of {', '.join(known)}.",
        )
    default = getattr(kind, "DEFAULT_BUILDER_CONFIG_NAME", None) or next(iter(known))
    made = dataclasses.replace(known[default], name=config, description=f"{default} with {' '.join(settings)}")
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError("--set takes key=value", received=setting, action="Try --set faces.size=96.")
        made = assign(made, key.strip().split("."), text.strip(), key.strip())
    return made


def is_prepared(dataset: str, *, data_dir: Path | None = None) -> bool:
    """Whether the data set can be opened without building it."""
    return (Path(builder(dataset, data_dir=data_dir).data_dir) / "dataset_info.json").exists()
