"""Folds of subjects: the names of splits, the rules, and the files."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.data.folds import SplitName, balanced_folds, in_folds, parse_split, read_folds, subject_folds
from ferkeras.errors import InputError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("train", SplitName("train")),
        ("train[:90%]", SplitName("train[:90%]")),
        ("train@3/10", SplitName("train", (3,), 10)),
        ("train@0-2,5/10", SplitName("train", (0, 1, 2, 5), 10)),
        ("train[:50%]@0,0-1/2", SplitName("train[:50%]", (0, 1), 2)),
        ("train@4/folds/afew.json", SplitName("train", (4,), Path("folds/afew.json"))),
    ],
)
def test_names(text: str, name: SplitName) -> None:
    assert parse_split(text) == name


@pytest.mark.parametrize(
    "text",
    ["train@", "train@3", "@3/10", "train@/10", "train@3/", "train@3/0", "train@3-1/10", "train@a/10", "train@10/10",
     "train@1/folds.txt", "train@-1/10", "train@1-/10"],
)  # fmt: skip
def test_names_that_are_not_understood(text: str) -> None:
    with pytest.raises(InputError, match=r"Received: .*Write NAME@FOLDS/K"):
        parse_split(text)


subjects = st.lists(st.sampled_from([f"S{number:03d}" for number in range(40)]), min_size=1, max_size=80)


@given(subjects, st.integers(1, 12))
def test_folds_part_the_subjects(people: list[str], count: int) -> None:
    fold_of = subject_folds(people, count)
    assert set(fold_of) == set(people)
    for fold in range(count):
        assert [s for s in sorted(set(people)) if fold_of[s] == fold] == sorted(set(people))[fold::count]
    array = np.array([person.encode() for person in people])
    total = np.zeros(len(people), int)
    for fold in range(min(count, len(set(people)))):
        total += in_folds(SplitName("train", (fold,), count), array)
    assert (total == 1).all()


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=4), st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=4
    )
)
def test_balanced_folds_differ_by_one_subject_at_most(found: dict[str, tuple[int, int]]) -> None:
    examples = {subject: Counter(happy=a, sad=b) for subject, (a, b) in found.items()}
    fold_of = balanced_folds(examples, 3)
    assert set(fold_of) == set(examples)
    assert fold_of == balanced_folds(dict(reversed(examples.items())), 3), "the order does not matter"
    shares = [sum(a for s, (a, _) in found.items() if fold_of[s] == fold) for fold in range(3)]
    assert max(shares) - min(shares) <= 2 * max(max(pair) for pair in found.values())


def test_balanced_folds_of_equal_subjects() -> None:
    examples = {f"s{index}": Counter(happy=3, sad=1) for index in range(9)}
    assert Counter(balanced_folds(examples, 3).values()) == {0: 3, 1: 3, 2: 3}


def test_a_fold_file(tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    path.write_text('{"a": 0, "b": 1}')
    people = np.array([b"b", b"a", b"b"])
    assert in_folds(SplitName("train", (1,), path), people).tolist() == [True, False, True]
    with pytest.raises(InputError, match=r"does not name every subject\. Received: 1 missing, such as c"):
        in_folds(SplitName("train", (1,), path), np.array([b"c", b"a"]))
    with pytest.raises(InputError, match=r"No example of train is in these folds\. Received: folds 7 of .*2 subjects"):
        in_folds(SplitName("train", (7,), path), people)


@pytest.mark.parametrize("text", ["[1]", '{"a": "0"}', '{"a": -1}', '{"a": true}', "{"])
def test_files_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "folds.json").write_text(text)
    with pytest.raises(InputError, match=r"fold file cannot be read|must hold one object"):
        read_folds(tmp_path / "folds.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_folds(tmp_path / "absent.json")
