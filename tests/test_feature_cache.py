"""Vectors of a frozen encoder on disk: what they are, when they are made anew, and what is learned from them."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ferkeras.data import feature_cache
from ferkeras.data.cached_clips import CachedClips
from ferkeras.data.columns import read_column
from ferkeras.data.feature_cache import FeatureCache, read_vectors, remove_features
from ferkeras.data.opening import open_clips
from ferkeras.data.prepared import report
from ferkeras.errors import InputError
from ferkeras.models import create_model
from ferkeras.recipe import Augment, Model, Optimizer, Recipe, resolve
from ferkeras.recipe_data import Target
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from tests.tiny_clips import LENGTHS, SIDE, SPLITS, clip, clips_recipe, moving_clips

FRAMES = sum(LENGTHS[index % len(LENGTHS)] for index in range(SPLITS["train"]))
Runs = dict[bool, RunFolder]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from moving_clips(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs of one recipe through the frozen encoder, and from the cache."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        cached: loop.run(learned_recipe(cache_features=cached), folder / str(cached), data_dir=data_dir)
        for cached in (False, True)
    }


@pytest.fixture
def fresh_dir(data_dir: Path) -> Path:
    """The same without any cache."""
    remove_features(data_dir)
    return data_dir


def cached_recipe(target: Target = "label", **changes: Any) -> Recipe:
    recipe = clips_recipe(target, augment=Augment(flip=False), cache_features=True)
    overlap = dataclasses.replace(recipe.data.clips, overlap={"default": 0.5})  # type: ignore[type-var]
    options = {**recipe.model.options, "freeze_encoder": True, "depth": 1, "dropout": 0.0}
    return dataclasses.replace(
        recipe,
        model=Model(recipe.model.name, options),
        data=dataclasses.replace(recipe.data, clips=overlap),
        **changes,
    )


def learned_recipe(**changes: Any) -> Recipe:
    optimizer = Optimizer("adamw", 1e-3, weight_decay=1e-2, clip_norm=1.0, ema=0.8)
    return dataclasses.replace(cached_recipe("valence_arousal_frames", optimizer=optimizer), **changes)


def train_clips(cache: FeatureCache) -> list[dict[str, Any]]:
    """The clips of the training split, in reading order."""
    ids = read_column(cache._made, "train", "clip_id")
    return [clip("train", int(name.decode().removeprefix("train_"))) for name in ids]


def encoder_of(recipe: Recipe, *, seed: int = 0, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = create_model(
        recipe.model.name, {**recipe.model.options, **options}, input_shape=(6, SIDE, SIDE, 1), classes=2
    )
    return model.get_layer("encoder")


def cache_of(recipe: Recipe, folder: Path, encoder: keras.Model) -> FeatureCache:
    data = open_clips(recipe, data_dir=folder)
    return FeatureCache(data.builders[0], data.preprocessing, encoder)


def count_frames(encoder: keras.Model, *, most: int = 10**9) -> list[int]:
    """A list that grows by the size of every batch that `encoder` sees; beyond `most` frames it fails."""
    seen: list[int] = []
    encode = encoder.predict_on_batch

    def counted(images: np.ndarray) -> Any:
        seen.append(len(images))
        if sum(seen) > most:
            raise KeyboardInterrupt
        return encode(images)

    encoder.predict_on_batch = counted
    return seen


def test_every_frame_is_encoded_once(fresh_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = cached_recipe()
    encoder = encoder_of(recipe)
    seen = count_frames(encoder)
    cache = cache_of(recipe, fresh_dir, encoder)
    shards = cache.encode("train")
    assert sum(seen) == FRAMES
    assert cache.folder.parent == fresh_dir / ".features" / "tiny_moving_clips" / "default"
    found = list(read_vectors(shards, width=cache.width))
    assert len(found) == SPLITS["train"]
    for vectors, example in zip(found, train_clips(cache), strict=True):
        expected = np.asarray(encoder(example["frames"].astype("float32")))
        np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)
    cache.encode("train")
    assert sum(seen) == FRAMES, "they are there already"
    assert f"features of tiny_moving_clips/default, train, are in {cache.folder}" in capsys.readouterr().err
    names = sorted(path.name for path in cache.folder.iterdir())
    assert names == ["key.json", "train.tfrecord-00000-of-00001"]
    cache.encode("train[:50%]")
    assert sum(seen) < 2 * FRAMES


def test_batches_are_those_of_the_clips(fresh_dir: Path) -> None:
    recipe = cached_recipe()
    encoder = encoder_of(recipe)
    clips = open_clips(recipe, data_dir=fresh_dir)
    cached = CachedClips(clips.builders, recipe, encoder=encoder)
    assert cached.epoch_size > SPLITS["train"], "windows overlap"
    assert cached.class_counts("train") == clips.class_counts("train")
    pairs = [(clips.training(1), cached.training(1)), (clips.evaluation("test"), cached.evaluation("test"))]
    for plain, vectors in pairs:
        assert not plain.options().autotune.enabled
        assert not vectors.options().autotune.enabled
        examples = 0
        for (images, said), (inputs, labels) in zip(plain, vectors, strict=True):
            mask = inputs["frame_mask"].numpy()
            np.testing.assert_array_equal(mask, images["frame_mask"])
            keras.tree.map_structure(np.testing.assert_array_equal, said, labels)
            expected = encoder.predict_on_batch(images["frames"].numpy()[mask])
            np.testing.assert_allclose(inputs["features"].numpy()[mask], expected, rtol=1e-5, atol=1e-5)
            examples += len(mask)
        assert examples in (clips.epoch_size, clips.size("test"))


def test_what_is_learned_is_the_same(runs: Runs) -> None:
    models = [runs[cached].load_model() for cached in (False, True)]
    first = encoder_of(learned_recipe()).get_weights()
    for weights in zip(first, *(model.get_layer("encoder").get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(weights[0], weights[1])
        np.testing.assert_array_equal(weights[0], weights[2])
    for left, right in zip(*(model.get_layer("temporal").get_weights() for model in models), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)
    losses = [[float(row["val_loss"]) for row in runs[cached].history()] for cached in (False, True)]
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-4)
    assert losses[1][0] != losses[1][1]


class InterruptedRunError(Exception):
    """Stands for a kill."""


def test_a_resumed_run_has_the_same_bits(
    runs: Runs, fresh_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder's first weights are drawn, so that a resumed run must take them from where they were kept."""
    recipe, validate, epochs = learned_recipe(), loop.validate, []

    def dies(*args: Any, **options: Any) -> Any:
        epochs.append(1)
        if len(epochs) == 2:
            raise InterruptedRunError
        return validate(*args, **options)

    monkeypatch.setattr(loop, "validate", dies)
    with pytest.raises(InterruptedRunError):
        loop.run(recipe, tmp_path / "killed", data_dir=fresh_dir)
    monkeypatch.setattr(loop, "validate", validate)
    # Without it other weights are drawn, as they would be for an encoder that took its first ones from a file.
    monkeypatch.setattr(keras.utils, "set_random_seed", lambda seed: None)
    resumed = loop.run(recipe, tmp_path / "killed", data_dir=fresh_dir, resume=True)
    assert len(resumed.history()) == 2
    for left, right in zip(*(run.load_model().get_weights() for run in (runs[True], resumed)), strict=True):
        np.testing.assert_array_equal(left, right)
    assert len(list((fresh_dir / ".features").rglob("key.json"))) == 1


def test_encoding_goes_on_where_it_was(
    fresh_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(feature_cache, "SHARD_CLIPS", 8)
    monkeypatch.setattr(feature_cache, "BATCH_FRAMES", 16)
    recipe = cached_recipe()
    killed = encoder_of(recipe)
    cache = cache_of(recipe, fresh_dir, killed)
    frames = [example["frames"] for example in train_clips(cache)]
    first, second = (sum(map(len, frames[start : start + 8])) for start in (0, 8))
    count_frames(killed, most=first + 16)
    with pytest.raises(KeyboardInterrupt):
        cache.encode("train")
    assert sorted(path.name for path in cache.folder.iterdir()) == ["key.json", "train.tfrecord-00000-of-00003"]
    encoder = encoder_of(recipe)
    seen = count_frames(encoder)
    shards = cache_of(recipe, fresh_dir, encoder).encode("train")
    assert sum(seen) == FRAMES - first
    before = [path.read_bytes() for path in shards]
    middle = bytearray(before[1])
    middle[len(middle) // 2] ^= 1
    for damage in (bytes(middle), before[1][:-20], b""):
        shards[1].write_bytes(damage)
        seen.clear()
        cache_of(recipe, fresh_dir, encoder).encode("train")
        assert sum(seen) == second, "the clips of one file, and no others"
    np.testing.assert_allclose(
        np.concatenate(list(read_vectors(shards, width=cache.width))),
        encoder.predict_on_batch(np.concatenate(frames)),
        rtol=1e-5,
        atol=1e-5,
    )
    assert "encoding tiny_moving_clips/default train" in capsys.readouterr().err


def test_the_key_follows_what_the_vectors_depend_on(fresh_dir: Path) -> None:
    recipe = cached_recipe()
    cache = cache_of(recipe, fresh_dir, encoder_of(recipe))
    again = cache_of(recipe, fresh_dir, encoder_of(recipe, hidden=4))
    assert again.folder == cache.folder, "what comes after the encoder, and the names of layers, are of no account"
    encoder = encoder_of(recipe)
    weights = encoder.get_weights()
    weights[-1] = weights[-1] + 1e-6
    encoder.set_weights(weights)
    larger = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, image_size=(18, 18)))
    others = [
        cache_of(recipe, fresh_dir, encoder),
        cache_of(recipe, fresh_dir, encoder_of(recipe, width=0.25)),
        cache_of(larger, fresh_dir, encoder_of(recipe)),
    ]
    assert len({other.folder for other in [cache, *others]}) == 4


def test_names_that_keras_counts_up_do_not_change_the_key() -> None:
    def xception_like(units: int) -> keras.Model:
        image = keras.Input((8, 8, 1), name="image")
        x = keras.layers.Conv2D(2, 3, padding="same")(image)
        x = keras.layers.add([x, keras.layers.Conv2D(units, 1)(image)])
        return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="features")(x), name="encoder")

    first, second = xception_like(2), xception_like(2)
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    hashes = {feature_cache._architecture(model) for model in (first, second)}
    assert len(hashes) == 1
    assert feature_cache._architecture(xception_like(1)) not in hashes


def test_stale_caches_are_told_and_removed(fresh_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = cached_recipe()
    old, other = encoder_of(recipe), encoder_of(recipe, width=0.25)
    caches = [cache_of(recipe, fresh_dir, encoder) for encoder in (old, other)]
    for cache in caches:
        cache.encode("validation")
    data = open_clips(recipe, data_dir=fresh_dir)
    CachedClips(data.builders, recipe, encoder=encoder_of(recipe, seed=1))
    told = capsys.readouterr().err
    assert f"stale features of tiny_moving_clips/default: encoder changed; {caches[0].folder} is removed" in told
    assert not caches[0].folder.exists()
    assert caches[1].folder.exists(), "that of a different encoder is of use to another recipe"
    assert caches[0].remove_stale() == ["encoder changed"]
    assert caches[0].remove_stale() == []


def test_a_cache_of_other_data_is_stale(data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(data_dir / "tiny_moving_clips", tmp_path / "tiny_moving_clips")
    recipe = cached_recipe()
    before = cache_of(recipe, tmp_path, encoder_of(recipe))
    before.encode("validation")
    made = open_clips(recipe, data_dir=tmp_path).builders[0]
    file = Path(made.data_dir) / "ferkeras_report.json"
    text = report(made).to_json()
    file.write_text(text.replace(report(made).fingerprint["test"].sha256, "0" * 64))
    after = cache_of(recipe, tmp_path, encoder_of(recipe, width=0.25))
    assert after.remove_stale() == ["data changed"]
    assert not before.folder.exists()
    after.encode("validation")
    key = json.loads((after.folder / "key.json").read_text())
    (after.folder / "key.json").write_text(json.dumps(key | {"format": 0}))
    assert after.remove_stale() == ["format changed"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": Model("xception_lstm")}, r"model\.options\.freeze_encoder must be true with cache_features"),
        ({"augment": Augment()}, r"augment\.flip must be off with cache_features"),
        ({"augment": Augment(flip=False, erasing=0.5)}, r"augment\.erasing must be off with cache_features"),
        ({"augment": Augment(flip=False, noise=0.1)}, r"augment\.noise must be off with cache_features"),
        ({"augment": Augment(flip=False, crop=0.9)}, r"augment\.crop must be 1 with cache_features"),
    ],
)
def test_what_cannot_be_cached_is_refused(changes: dict[str, Any], told: str) -> None:
    resolve(cached_recipe())
    with pytest.raises(InputError, match=told):
        resolve(dataclasses.replace(cached_recipe(), **changes))


def test_stills_have_no_cache(tiny_recipe: Recipe) -> None:
    with pytest.raises(InputError, match=r"cache_features must be false without data\.clips"):
        resolve(dataclasses.replace(tiny_recipe, cache_features=True))
