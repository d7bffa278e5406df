"""The comparison of exported files with the model, by hand-computed numbers; and what a split says of a network."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.export import parity
from ferkeras.export.parity import ParityError, Predictor, check_parity, split_score, stream_runner
from ferkeras.labels import UNLABELLED

CLIPS = {"frames": np.zeros((2, 3, 1, 1, 1)), "frame_mask": np.array([[1, 1, 0], [0, 1, 0]], bool)}


def constant(*rows: Any) -> Predictor:
    """A predictor that always gives these logits."""
    return lambda images: {"emotion": np.array(rows, np.float32)[: len(images)]}


def of_frames(valence: np.ndarray, arousal: np.ndarray) -> Predictor:
    """A predictor of clips that always gives these logits."""
    return lambda clips: {"valence": valence[: len(clips["frames"])], "arousal": arousal[: len(clips["frames"])]}


def test_parity_by_hand_computed_numbers() -> None:
    images = np.zeros((2, 1, 1, 1))
    expected = constant([1, 2], [4, 3])
    report = check_parity(expected, {"near": constant([1, 2.5], [4, 3])}, images, tolerance=0.5)
    assert report["artifacts"]["near"] == {
        "n": 2,
        "max_abs_diff": 0.5,
        "mean_abs_diff": 0.125,
        "top1_agreement": 1.0,
        "passed": True,
    }
    bad = {"same": expected, "swapped": constant([1, 2], [3, 4]), "broken": constant([1, np.nan], [4, 3])}
    with pytest.raises(ParityError, match=r"swapped: largest difference 1\.0, same top class on 50\.0%") as caught:
        check_parity(expected, bad, images)
    report = caught.value.report
    assert {name: result["passed"] for name, result in report["artifacts"].items()} == {
        "same": True,
        "swapped": False,
        "broken": False,
    }
    assert not report["passed"]
    assert report["artifacts"]["broken"]["max_abs_diff"] is None
    json.dumps(report, allow_nan=False)


def test_quantised_files_may_differ_but_not_break() -> None:
    images = np.zeros((2, 1, 1, 1))
    candidates = {"small": constant([1, 2], [3, 4])}
    report = check_parity(constant([1, 2], [4, 3]), candidates, images, quantised=["small"])
    assert report["artifacts"]["small"]["passed"]
    assert report["artifacts"]["small"]["top1_agreement"] == 0.5
    broken = {"small": constant([1, 2], [np.inf, 4])}
    with pytest.raises(ParityError, match="small"):
        check_parity(constant([1, 2], [4, 3]), broken, images, quantised=["small"])


def test_only_frames_that_the_mask_shows_count() -> None:
    random = np.random.default_rng(0)
    valence, arousal = random.normal(size=(2, 2, 3, 21)).astype(np.float32)
    hidden, shown = arousal.copy(), arousal.copy()
    hidden[0, 2] = np.nan
    hidden[1, 0] += 9
    shown[0, 1] += np.eye(21, dtype=np.float32)[(arousal[0, 1].argmax() + 1) % 21] * 20
    reference = of_frames(valence, arousal)
    report = check_parity(reference, {"a": of_frames(valence, hidden)}, CLIPS, batch_size=1)
    assert report["artifacts"]["a"] == {
        "n": 2,
        "max_abs_diff": 0.0,
        "mean_abs_diff": 0.0,
        "top1_agreement": 1.0,
        "passed": True,
    }
    with pytest.raises(ParityError) as caught:
        check_parity(reference, {"a": of_frames(valence, shown)}, CLIPS)
    result = caught.value.report["artifacts"]["a"]
    assert result["top1_agreement"] == pytest.approx(2 / 3), "of the head that agrees least, 2 of 3 frames"
    assert result["max_abs_diff"] == pytest.approx(20)


def test_heads_that_are_not_exported_do_not_count() -> None:
    images = np.zeros((1, 1, 1, 1))
    number = np.array([[0.25]], np.float32)
    both: Predictor = lambda _: {"valence": number, "other": np.array([[np.nan, 1]])}  # noqa: E731
    report = check_parity(both, {"a": lambda _: {"valence": number + 0.5}}, images, heads=["valence"], tolerance=0.5)
    assert report["artifacts"]["a"]["max_abs_diff"] == 0.5
    assert report["artifacts"]["a"]["top1_agreement"] is None, "one number has no top class"


def test_parity_refuses_what_would_prove_nothing() -> None:
    with pytest.raises(InputError, match=r"at least one image.*0 examples"):
        check_parity(constant([1, 2]), {}, np.zeros((0, 1, 1, 1)))
    nobody = {**CLIPS, "frame_mask": np.zeros((2, 3), bool)}
    with pytest.raises(InputError, match="2 clips that show 0 frames"):
        check_parity(of_frames(np.zeros((2, 3, 21)), np.zeros((2, 3, 21))), {}, nobody)
    with pytest.raises(InputError, match="not finite"):
        check_parity(constant([np.nan, 2]), {}, np.zeros((1, 1, 1, 1)))
    with pytest.raises(InputError, match="shapes"):
        check_parity(constant([1, 2]), {"wide": constant([1, 2, 3])}, np.zeros((1, 1, 1, 1)))
    with pytest.raises(InputError, match="shapes"):
        check_parity(constant([1, 2]), {"other": lambda _: {"age": np.zeros((1, 2))}}, np.zeros((1, 1, 1, 1)))


class Counting:
    """A stream whose output is how many frames it has read."""

    def reset(self) -> None:
        self.read = 0

    def __call__(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        self.read += 1
        return {"emotion": np.array([self.read, frame.sum()])}


def test_a_stream_reads_the_frames_that_are_shown() -> None:
    frames = np.arange(6).reshape(2, 3, 1, 1, 1)
    clips = {"frames": frames, "frame_mask": CLIPS["frame_mask"]}
    last = stream_runner(Counting(), per_frame=False)(clips)
    assert last["emotion"].tolist() == [[2, 1], [1, 4]]
    each = stream_runner(Counting(), per_frame=True)(clips)
    assert each["emotion"].tolist() == [[[1, 0], [2, 1], [0, 0]], [[0, 0], [1, 4], [0, 0]]]
    with pytest.raises(InputError, match="at least one frame"):
        stream_runner(Counting(), per_frame=False)({"frames": frames, "frame_mask": np.zeros((2, 3), bool)})


def test_the_score_of_a_split_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(
        class_names=("a", "b"),
        logits={"emotion": np.array([[2.0, 1], [0, 1], [5, 0], [3, 4]])},
        labels={"emotion": np.array([0, 1, 1, 1])},
    )
    asked = []
    monkeypatch.setattr(parity, "collect", lambda run, data, *, split: asked.append(split) or found)
    run: Any = None
    assert split_score(run, run, split="validation") == ("accuracy", 0.75)
    assert asked == ["validation"]
    labels = np.array([[-10, 10, UNLABELLED]])
    sure = 100 * np.eye(21)[[[0, 20, 3]]]
    found.class_names = ()
    found.labels = {"valence": labels, "arousal": labels}
    found.logits = {"valence": sure, "arousal": sure[..., ::-1]}
    assert split_score(run, run, split="test") == ("mean_ccc", pytest.approx(0.0)), "1 and -1"
