"""The base of the builders of stills."""

import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from tfds_builders.base import work
from tfds_builders.base.builder import OfficialBuilder
from tfds_builders.base.faces import FaceSettings, align_still, colour
from tfds_builders.base.pictures import load_picture
from tfds_builders.base.source import Skip, StillSource


class StillBuilder(OfficialBuilder, skip_registration=True):  # type: ignore[call-arg]
    """`image` (H, W, C) uint8, `label`, `id`, with `SUBJECTS` also `subject`, and what `more_features` adds.

    A configuration without face settings stores the pictures as the owners give them, in RGB; one with settings stores
    aligned faces of one size, and leaves out pictures in which none is found.
    """

    UNIT: ClassVar[str] = "picture"

    def image_feature(self) -> tfds.features.Image:
        """Stored without loss: faces by their size, official pictures by whatever size they have."""
        faces = self.builder_config.faces
        shape = (None, None, 3) if faces is None else (faces.size, faces.size, faces.channels)
        return tfds.features.Image(shape=shape, dtype=np.uint8, encoding_format="png")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": self.image_feature(),
            "label": tfds.features.ClassLabel(names=list(self.classes)),
            "id": tfds.features.Text(),
            **({"subject": tfds.features.Text()} if self.names_subjects else {}),
            **self.more_features(),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label"), homepage=self.HOMEPAGE
        )

    def make(self) -> work.Make:
        channels = self.image_feature().shape[-1]
        return functools.partial(still_results, settings=self.builder_config.faces, channels=channels)

    def stored(self, source: StillSource, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """`result` holds `image`, and `matrix` (2, 3) from the official picture to it."""
        example = {"image": result["image"], "label": source.label, "id": source.id, **source.more}
        if self.names_subjects:
            example["subject"] = source.subject
        return source.id, example


def still_results(
    source: StillSource, *, settings: FaceSettings | None, channels: int = 3
) -> Iterator[dict[str, Any] | Skip]:
    """The one result of a source, or why it has none; `channels` is for pictures that are stored as they are."""
    try:
        image = load_picture(source.picture)
        if settings is None:
            yield {"image": colour(image, channels), "matrix": np.eye(2, 3)}
            return
        aligned = align_still(image, settings, name=source.id, box=source.box, landmarks=source.landmarks)
    except InputError as error:
        yield Skip(source.split, source.id, f"cannot be read: {error}")
        return
    if aligned is None:
        yield Skip(source.split, source.id, "no face")
    else:
        yield {"image": aligned[0], "matrix": aligned[1]}
