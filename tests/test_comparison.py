"""Networks side by side: scores by hand, pairing, the order of frames, and the command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.comparison import as_json, compare, comparison_rows
from ferkeras.errors import InputError
from ferkeras.evaluation import Predictions
from ferkeras.inference import shuffled_frames
from ferkeras.training import loop
from ferkeras.training.finish import finish
from tests.commands import assert_one_line, call
from tests.tiny_clips import clips_recipe, moving_clips


def emotions(said: list[int], *, true: list[int], subjects: list[str] | None) -> Predictions:
    return Predictions(
        {"dataset": "d", "split": "test", "tta": "none"},
        ("a", "b"),
        {"emotion": np.eye(2, dtype=np.float32)[said]},
        {"emotion": np.array(true)},
        None if subjects is None else np.array(subjects),
    )


def affect(said: list[int], *, true: list[int], subjects: list[str]) -> Predictions:
    logits, labels = 50 * np.eye(21, dtype=np.float32)[np.array(said) + 10], np.array(true)
    return Predictions(
        {}, (), {"valence": logits, "arousal": logits}, {"valence": labels, "arousal": labels}, np.array(subjects)
    )


TRUE, PEOPLE = [0, 1, 0, 1], ["p", "p", "q", "q"]


def test_by_hand() -> None:
    found = {
        "good": emotions([0, 1, 0, 0], true=TRUE, subjects=PEOPLE),
        "bad": emotions([0, 0, 1, 0], true=TRUE, subjects=PEOPLE),
    }
    kind, (good, bad) = compare(found, against="good")
    assert kind == "accuracy"
    assert (good.n, good.score, good.difference, good.difference_interval) == (4, 0.75, 0.0, (0.0, 0.0))
    assert good.interval == (0.5, 1.0), "two people, one of them all right"
    assert (bad.score, bad.difference, bad.difference_interval) == (0.25, -0.5, (-0.5, -0.5))
    assert comparison_rows([bad]) == [["bad", "4", "0.250", "0.000 to 0.500", "-0.500", "-0.500 to -0.500"]]
    written = json.loads(json.dumps(as_json(kind, "good", [good, bad])))
    assert written["networks"][1]["difference_interval"] == [-0.5, -0.5]


def test_pairs_are_drawn_together() -> None:
    """One is always right where the other is, and on one example more a person: no luck is in the difference."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(30), 10)
    right = rng.random(300) < np.repeat(rng.random(30), 10)
    right[::10] = False
    better = right.copy()
    better[::10] = True
    subjects, true = [f"s{p}" for p in people], [0] * 300
    found = {
        name: emotions((~hits).astype(int).tolist(), true=true, subjects=subjects)
        for name, hits in (("worse", right), ("better", better))
    }
    _, (worse, ahead) = compare(found, against="worse")
    assert ahead.difference == pytest.approx(0.1)
    assert ahead.difference_interval == pytest.approx((0.1, 0.1))
    assert worse.interval[0] is not None
    assert worse.interval[1] - worse.interval[0] > 0.1


def test_frames_and_clips_of_the_same_people() -> None:
    clips = emotions([0, 1], true=[0, 1], subjects=["p", "q"])
    frames = emotions([0, 0, 1, 1], true=TRUE, subjects=PEOPLE)
    _, lines = compare({"clips": clips, "frames": frames}, against="clips")
    assert [line.n for line in lines] == [2, 4]
    assert [line.score for line in lines] == [1.0, 0.5]


def test_valence_and_arousal_by_hand() -> None:
    true = [-5, 5, -5, 5]
    found = {
        "right": affect(true, true=true, subjects=PEOPLE),
        "constant": affect([3, 3, 3, 3], true=true, subjects=PEOPLE),
    }
    kind, (right, constant) = compare(found, against="right")
    assert kind == "mean_ccc"
    assert (right.n, right.score) == (4, pytest.approx(1.0, abs=1e-6))
    assert (constant.score, constant.difference) == (0.0, pytest.approx(-1.0, abs=1e-6))


def test_without_subjects() -> None:
    alone = emotions([0, 1, 0, 0], true=TRUE, subjects=None)
    _, (line,) = compare({"alone": alone}, against="alone")
    assert line.interval[0] is not None
    one = emotions([0], true=[0], subjects=None)
    _, (line,) = compare({"one": one}, against="one")
    assert line.interval == (None, None)
    assert comparison_rows([line])[0][3] == ""


def test_what_cannot_be_compared() -> None:
    good = emotions(TRUE, true=TRUE, subjects=PEOPLE)
    other = emotions(TRUE, true=TRUE, subjects=["p", "p", "r", "r"])
    with pytest.raises(InputError, match=r"same people.* Received: 2 of other"):
        compare({"good": good, "other": other}, against="good")
    values = affect([1, 2], true=[1, 2], subjects=["p", "q"])
    with pytest.raises(InputError, match="Either all networks tell emotions"):
        compare({"good": good, "values": values}, against="good")


@pytest.mark.parametrize("keep_last", [False, True])
def test_shuffled_frames(keep_last: bool) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 8, 4, 4, 1), np.uint8)
    mask = rng.random((3, 8)) < 0.7
    frames[~mask] = 0
    seen: list[Any] = []

    def run(inputs: Any) -> dict[str, np.ndarray]:
        """Each frame's own sum, and the whole clip's first frame."""
        seen.append(inputs)
        sums = inputs["frames"].astype(np.float32).sum(axis=(2, 3))
        return {"frame": sums, "clip": sums[:, 0]}

    inputs, before = {"frames": frames, "frame_mask": mask}, frames.copy()
    shuffled = shuffled_frames(run, keep_last=keep_last)
    together = shuffled(inputs)
    apart = [shuffled({"frames": frames[i : i + 1], "frame_mask": mask[i : i + 1]}) for i in range(3)]
    np.testing.assert_array_equal(frames, before)
    for head, values in together.items():
        np.testing.assert_array_equal(values, np.concatenate([part[head] for part in apart]))
    np.testing.assert_array_equal(together["frame"], run(inputs)["frame"], "put back")
    changed = seen[0]["frames"]
    assert not changed[~mask].any()
    for clip, valid in enumerate(mask):
        given, got = (np.sort(f[clip][valid].reshape(-1, 16), axis=0) for f in (frames, changed))
        np.testing.assert_array_equal(given, got)
        assert not np.array_equal(frames[clip], changed[clip])
        last = np.flatnonzero(valid)[-1]
        assert not keep_last or np.array_equal(frames[clip, last], changed[clip, last])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from moving_clips(tmp_path_factory.mktemp("data"))


def test_the_command(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    for name, seed in (("one", 0), ("two", 1)):
        recipe = clips_recipe("label", duration="1ep", seed=seed)
        finish(loop.run(recipe, runs / name, data_dir=data_dir), data_dir=data_dir)
    words = ("one", "two", "--runs", runs, "--data-dir", data_dir)
    page = tmp_path / "page.md"
    code, out, err = call(capsys, "compare", *words, "--shuffle-frames", "--output", page)
    assert (code, "Traceback" in err) == (0, False), err
    assert "differences are to one" in out
    cells = [line.split("|")[1].strip() for line in page.read_text().splitlines()]
    assert cells == ["network", "---", "one", "one, frames shuffled", "two", "two, frames shuffled"]
    accuracy = json.loads((runs / "one" / "metrics.json").read_text())["accuracy"]
    call(capsys, "compare", *words, "--split", "validation", "--output", tmp_path / "page.json")
    first = json.loads((tmp_path / "page.json").read_text())["networks"][0]
    assert first["score"] == pytest.approx(accuracy)
    assert_one_line(call(capsys, "compare", *words, "--against", "three"), "--against", "three")
    assert_one_line(call(capsys, "compare", *words, "--output", "page.txt"), ".md or .json")
    assert_one_line(call(capsys, "compare", "nosuch", "--runs", runs), "nosuch")
