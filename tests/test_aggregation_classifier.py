"""Classifiers on aggregated vectors: how they are chosen, their probabilities, and the file that keeps one."""

import dataclasses
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from ferkeras.aggregation.aggregator import Settings, fit, load
from ferkeras.aggregation.classifier import (
    CLASSIFIERS,
    ClassifierName,
    fit_classifier,
    fit_temperature,
    log_probabilities,
    scores,
)
from ferkeras.aggregation.run import VARIANTS
from ferkeras.errors import InputError, MissingExtraError
from tests.tiny_encoded import encoded


def test_the_choice_is_by_subjects() -> None:
    """With labels that go with the subject alone, nothing is learnt for people who are not there."""
    x, people = make_blobs(n_samples=60, centers=6, n_features=3, random_state=0)
    labels = people % 2
    chosen, apart = (fit_classifier(x, labels, subjects, kind="svm", seed=0) for subjects in (people, None))
    assert chosen.balanced_accuracy < 0.8 < apart.balanced_accuracy


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_classifier_is_the_same_each_time(kind: ClassifierName) -> None:
    x, labels = make_blobs(n_samples=18, centers=3, n_features=3, random_state=1)
    first, again = (fit_classifier(x, labels, None, kind=kind, seed=0).pipeline for _ in range(2))
    np.testing.assert_array_equal(scores(again, x), scores(first, x))
    np.testing.assert_array_equal(first.classes_[scores(first, x).argmax(axis=1)], first.predict(x))
    with pytest.raises(InputError, match=r"two classes.*Received: 1 classes"):
        fit_classifier(x, np.zeros(18, int), None, kind=kind, seed=0)


def test_the_temperature_by_hand() -> None:
    """Scores of +-1, right three times in four: the best probability is 3/4, at 2 / T = log 3."""
    scored = np.array([[1.0, -1.0]] * 4)
    labels, known = np.array([2, 2, 2, 5]), np.array([2, 5])
    temperature = fit_temperature(scored, labels, known=known)
    assert temperature == pytest.approx(2 / np.log(3), rel=0.012)
    found = np.exp(log_probabilities(scored, temperature=temperature, known=known, classes=7))
    np.testing.assert_allclose(found[0], [0, 0, 0.75, 0, 0, 0.25, 0], atol=0.005)
    assert fit_temperature(scored, np.array([0, 0, 0, 0]), known=known) == 1.0


def test_variants_are_four_and_eight_with_two_classifiers() -> None:
    assert len({settings.name for settings in VARIANTS}) == len(VARIANTS) == 4 + 2 * 8


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("method", ["statistics", "gaussian"])
def test_the_file_of_a_classifier(classifier: ClassifierName, method: str, tmp_path: Path) -> None:
    pytest.importorskip("skops")
    split = encoded()
    settings = Settings(method, classifier, components=3)
    aggregator = fit(settings, split, split, classes=4, seed=0)
    said = aggregator(split.clips)
    assert (said.argmax(axis=1) == split.labels).mean() > 0.9
    np.testing.assert_allclose(np.exp(said).sum(axis=1), 1)
    path = tmp_path / "classifier.skops"
    aggregator.save(path)
    np.testing.assert_array_equal(load(path, settings, classes=4)(split.clips), said)


def save_small(path: Path) -> Settings:
    split, settings = encoded(), Settings("mean", "svm")
    fit(settings, split, split, classes=3).save(path)
    return settings


class Harmful:
    """What a foreign file may hold: making it calls a function."""

    called = False

    def __setstate__(self, state: object) -> None:
        Harmful.called = True

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}


def test_a_file_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io")
    good = tmp_path / "classifier.skops"
    settings = save_small(good)
    names = {"known": np.arange(3), "temperature": 1.0, "basis": None}
    bad = {name: tmp_path / name for name in ("foreign", "pickle", "half", "flipped", "no_pipeline")}
    skops.dump({**names, "pipeline": Harmful()}, bad["foreign"])
    skops.dump({**names, "pipeline": [1, 2]}, bad["no_pipeline"])
    bad["pickle"].write_bytes(pickle.dumps({**names, "pipeline": Harmful()}))
    content = good.read_bytes()
    bad["half"].write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(good) as archive:
        array = next(info for info in archive.infolist() if info.filename.endswith(".npy"))
    at = array.header_offset + 30 + len(array.filename) + array.compress_size - 1
    bad["flipped"].write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    for path in bad.values():
        with pytest.raises(InputError, match=rf"The classifier cannot be read\. Received: {path}"):
            load(path, settings, classes=3)
    assert not Harmful.called
    with pytest.raises(InputError, match=r"The run lacks its classifier"):
        load(tmp_path / "none", settings, classes=3)


def test_without_skops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(MissingExtraError, match=r'"ferkeras\[aggregation\]"'):
        save_small(tmp_path / "classifier.skops")
    assert not list(tmp_path.iterdir())
    split = encoded()
    found = fit(Settings("mean"), split, split, classes=3)(split.clips)
    assert (found.argmax(axis=1) == split.labels).mean() > 0.9


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings("gaussian"), r"Unknown way to aggregate probabilities\. Received: gaussian\..*--classifier"),
        (Settings("majority", "svm"), r"Unknown way to aggregate vectors\. Received: majority\. Known: mean, var"),
        (Settings("covariance", "svm", 0), r"at least one component\. Received: 0"),
    ],
)
def test_mistakes(settings: Settings, told: str) -> None:
    split = encoded()
    with pytest.raises(InputError, match=told):
        fit(settings, split, split, classes=3)


def test_probabilities_that_are_not_there() -> None:
    split = encoded()
    vectors_only = dataclasses.replace(split.clips, probabilities=None)
    with pytest.raises(InputError, match="network of stills alone"):
        fit(Settings("mean"), split, split, classes=3)(vectors_only)
