"""The labels of DISFA: lines, files, tracking failures, the rules, and the folds."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS, NO_CLASS
from tfds_builders.base.dummies import write_files
from tfds_builders.base.listing import list_files
from tfds_builders.disfa.intensities import TRACKING_FAILURES, parse_line, read_intensities
from tfds_builders.disfa.layout import read_recordings
from tfds_builders.disfa.make_dummy_data import PEOPLE, files, frames_of, label_files
from tfds_builders.disfa.rules import ACTION_UNITS, RULES, Matching, emotions_of


def intensities_of(units: dict[int, int]) -> list[int]:
    return [units.get(unit, 0) for unit in ACTION_UNITS]


def emotion(units: dict[int, int], matching: Matching, *, threshold: int = 2, angry: bool = True) -> str | None:
    (found,) = emotions_of(np.array([intensities_of(units)]), threshold=threshold, matching=matching, angry=angry)
    return None if found == NO_CLASS else EMOTIONS[found]


def unit_files(root: Path, content: dict[str, str]) -> dict[int, Path]:
    write_files(root, content)
    return {int(path.stem.partition("_au")[2]): path for path in root.rglob("*.txt")}


@pytest.mark.parametrize("matching", ["exact", "subset"])
def test_every_set_is_its_emotion_and_needs_every_unit(matching: Matching) -> None:
    for name, sets in RULES.items():
        for units in sets:
            assert emotion(dict.fromkeys(units, 2), matching) == name
            weak = min(units)
            assert emotion({unit: 1 if unit == weak else 5 for unit in units}, matching) != name
    assert emotion({}, matching) == "neutral"
    assert emotion({12: 1}, matching) is None
    assert emotion({12: 1, 6: 1}, matching, threshold=1) == "happy"
    assert emotion({4: 3, 5: 3}, matching, angry=False) is None
    assert set(RULES) == set(EMOTIONS) - {"neutral"}


def test_further_units_count_only_in_exact_matching() -> None:
    assert emotion({6: 2, 12: 2, 25: 2}, "exact") is None
    assert emotion({6: 2, 12: 2, 25: 2}, "subset") == "happy"
    assert emotion({1: 2, 2: 2, 4: 2, 5: 2, 20: 2, 26: 2, 17: 2}, "subset") == "fear", "the largest set, not 4 + 5"
    assert emotion({6: 2, 12: 2, 4: 2, 5: 2}, "subset") is None, "two sets of one size"


def test_a_frame_with_an_unknown_unit_has_no_emotion() -> None:
    labels = np.array([[0] * 12, [0] * 11 + [-1], [-1] * 12])
    found = emotions_of(labels, threshold=2, matching="subset")
    assert found.tolist() == [EMOTIONS.index("neutral"), NO_CLASS, NO_CLASS]
    assert found.dtype == np.int32


def test_frames_count_from_one_and_tracking_failures_have_no_label(tmp_path: Path) -> None:
    frames = [{12: 1 + number % 5} for number in range(450)]
    labels = read_intensities("SN001", unit_files(tmp_path, label_files("SN001", frames)))
    assert labels.shape == (450, 12)
    assert labels[:397, 6].tolist() == [1 + number % 5 for number in range(397)]
    assert (labels[397:420] == -1).all()
    assert labels[396].tolist() == intensities_of(frames[396])
    assert labels[420].tolist() == intensities_of(frames[420])
    other = read_intensities("SN003", unit_files(tmp_path / "3", label_files("SN003", frames)))
    assert other.min() == 0
    assert all(1 <= first <= last <= 4845 for ranges in TRACKING_FAILURES.values() for first, last in ranges)
    assert len(TRACKING_FAILURES) == 13


def test_a_shorter_file_leaves_its_unit_without_label(tmp_path: Path) -> None:
    content = label_files("SN003", [{}] * 4)
    content["ActionUnit_Labels/SN003/SN003_au9.txt"] = "4,2\n1,3\n"
    labels = read_intensities("SN003", unit_files(tmp_path, content))
    assert labels[:, ACTION_UNITS.index(9)].tolist() == [3, -1, -1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,0\n0,0\n", r"SN003_au9\.txt, line 2 should count frames from 1 to 100000. Received: '0,0'"),
        ("1,0\n2,6\n", "line 2 should have an intensity from 0 to 5"),
        ("1,0\n2,-1\n", "line 2 should be a frame number and an intensity"),
        ("1,0\n2;1\n", "line 2 should be"),
        ("1,0\n2,1,1\n", "line 2 should be"),
        ("1,0\n2,1.5\n", "line 2 should be"),
        ("frame,intensity\n", "line 1 should be"),
        ("1,0\n1,2\n", "line 2 names the frame 1 for the second time"),
        ("999999999999,1\n", "line 1 should be"),
    ],
)
def test_a_bad_line_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    content = label_files("SN003", [{}] * 2) | {"ActionUnit_Labels/SN003/SN003_au9.txt": text}
    with pytest.raises(InputError, match=message):
        read_intensities("SN003", unit_files(tmp_path, content))


def test_all_twelve_files_must_be_there(tmp_path: Path) -> None:
    content = label_files("SN003", [{}])
    del content["ActionUnit_Labels/SN003/SN003_au15.txt"]
    with pytest.raises(InputError, match=r"labels of SN003 are missing\. Received: SN003_au15\.txt"):
        read_intensities("SN003", unit_files(tmp_path, content))


@given(st.text(alphabet="0123456789,.- x²", max_size=10))
def test_any_line_is_understood_or_refused(text: str) -> None:
    try:
        frame, intensity = parse_line(text, where="x")
    except InputError:
        return
    assert [float(word) for word in text.split(",")] == [frame, intensity]
    assert frame >= 1
    assert 0 <= intensity <= 5


@given(st.integers(1, 100_000), st.integers(0, 5))
def test_every_good_line_is_understood(frame: int, intensity: int) -> None:
    assert parse_line(f"{frame},{intensity}", where="x") == (frame, intensity)


def test_recordings_of_the_dummy_data(tmp_path: Path) -> None:
    write_files(tmp_path, files())
    recordings = list(read_recordings(list_files(tmp_path), camera="left"))
    assert [recording.subject for recording in recordings] == list(PEOPLE)  # type: ignore[union-attr]
    for recording in recordings:
        truth = [intensities_of(run.units) for run in frames_of(recording.subject)]  # type: ignore[union-attr]
        assert recording.intensities.tolist() == truth  # type: ignore[union-attr]


def test_the_folds_are_those_of_the_27_people() -> None:
    folds = json.loads((Path(__file__).parent / "folds.json").read_text())
    numbers = [*range(1, 14), 16, 17, 18, 21, *range(23, 33)]
    assert sorted(folds) == [f"SN{number:03d}" for number in numbers]
    parts = [sorted(subject for subject, fold in folds.items() if fold == part) for part in range(3)]
    assert [len(part) for part in parts] == [9, 9, 9]
    assert [part[0] for part in parts] == ["SN001", "SN006", "SN003"]
