"""What tests share: quiet TensorFlow, real data where there is some, a tiny data set."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferkeras.recipe import Augment, Data, Model, Optimizer, Recipe

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported, which no line above does

_DATASETS = Path(__file__).resolve().parents[2] / "shared" / "datasets"
FER2013_DIR = Path(os.environ.get("FERKERAS_DATASETS", _DATASETS)) / "fer2013"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `data` run where the real data is, tests marked `gpu` where a GPU is, and nowhere else."""
    if not FER2013_DIR.is_dir():
        _skip(items, "data", f"there is no copy of FER2013 in {FER2013_DIR}; FERKERAS_DATASETS names its parent")
    if any(item.get_closest_marker("gpu") for item in items):
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            _skip(items, "gpu", "TensorFlow sees no GPU")


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(marker):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def fer2013_dir() -> Path:
    """The folder of a real copy of FER2013; only for tests marked `data`."""
    return FER2013_DIR


@pytest.fixture(scope="session")
def tiny_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory with both configurations of `tiny_faces`, which is a known data set from here on."""
    from ferkeras.data import preparation, sources

    data_dir = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources.DATASETS, "tiny_faces", "tests.tiny_faces")
        for config in ("subjects", "anonymous"):
            preparation.prepare(f"tiny_faces/{config}", data_dir=data_dir)
        yield data_dir


@pytest.fixture(scope="session")
def tiny_dataset(tiny_data_dir: Path) -> "tfds.core.DatasetBuilder":
    """The prepared `tiny_faces/subjects`: 50, 13 and 20 grey images of 32 x 32 pixels in 3 classes."""
    from ferkeras.data.preparation import prepare

    return prepare("tiny_faces", data_dir=tiny_data_dir)


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """Two short epochs of a thin network on `tiny_faces`, images unchanged; the last batch holds two."""
    return Recipe(
        name="tiny",
        model=Model("vgg11", {"width": 0.0625}),
        data=Data("tiny_faces", image_size=(32, 32)),
        augment=Augment(flip=False),
        optimizer=Optimizer(learning_rate=1e-3),
        duration="2ep",
        batch_size=16,
    )
