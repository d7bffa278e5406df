"""Which files of CK+ are found and what becomes of broken ones; no pixel is decoded here."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.labels import CK_PLUS_CODES
from tfds_builders.base.dummies import write_files
from tfds_builders.base.listing import list_files
from tfds_builders.base.source import Skip
from tfds_builders.ck_plus.annotation import parse_emotion, read_landmarks
from tfds_builders.ck_plus.ck_plus_dataset_builder import OFFICIAL_COUNTS, Builder
from tfds_builders.ck_plus.layout import Sequence, read_ck48, read_sequences
from tfds_builders.ck_plus.make_dummy_data import SEQUENCES, ck48, emotions, landmark_files, official, pictures, under

FIRST, LABEL = "S005/001/S005_001_0000000", "Emotion/S005/001/S005_001_00000005_emotion.txt"


def read(root: Path, files: dict[str, bytes]) -> tuple[dict[str, Sequence], dict[str, str]]:
    """Sequences by id, and reasons of skips by id."""
    write_files(root, files)
    results = list(read_sequences(list_files(root)))
    skips = {result.id: result.reason for result in results if isinstance(result, Skip)}
    return {result.id: result for result in results if isinstance(result, Sequence)}, skips


def test_case_nesting_and_strays_do_not_matter(tmp_path: Path) -> None:
    files = {f"CK+/{path}": data for path, data in official().items()}
    files |= {"CK+/cohn-kanade-images/S005/001/.DS_Store": b"", "CK+/cohn-kanade-images/S005/Thumbs.db": b""}
    files = {path.replace("S010_002", "s010_002").replace(".png", ".PNG"): data for path, data in files.items()}
    plain, skips = read(tmp_path / "plain", official())
    other, other_skips = read(tmp_path / "other", files)
    assert {id: (s.emotion, list(s.pictures)) for id, s in plain.items()} == {
        s.id: (s.emotion, list(s.numbers)) for s in SEQUENCES if s.emotion
    }
    assert {id: (s.emotion, list(s.pictures)) for id, s in other.items()} == {
        id: (s.emotion, list(s.pictures)) for id, s in plain.items()
    }
    assert skips == other_skips


def test_an_empty_label_folder_is_unlabelled(tmp_path: Path) -> None:
    (tmp_path / "Emotion" / "S010" / "004").mkdir(parents=True)
    assert read(tmp_path, official())[1]["S010/004"] == "no emotion label"


def test_frames_after_the_named_peak_are_not_read(tmp_path: Path) -> None:
    files = official()
    files[LABEL.replace("05_e", "03_e")] = files.pop(LABEL)
    sequences, _ = read(tmp_path, files)
    assert list(sequences["S005/001"].pictures) == [1, 2, 3]


def test_without_the_peak_frame_a_sequence_is_left_out(tmp_path: Path) -> None:
    files = official()
    del files[f"cohn-kanade-images/{FIRST}5.png"]
    sequences, skips = read(tmp_path, files)
    assert skips["S005/001"] == "cannot be read: the peak frame is missing"
    assert "S005/001" not in sequences


def test_missing_frames_keep_the_numbers_of_the_others(tmp_path: Path) -> None:
    files = official()
    del files[f"cohn-kanade-images/{FIRST}2.png"]
    sequences, _ = read(tmp_path, files)
    assert list(sequences["S005/001"].pictures) == [1, 3, 4, 5]
    assert list(sequences["S005/001"].landmarks) == [1, 3, 4, 5]


def test_landmarks_are_read_where_they_are(tmp_path: Path) -> None:
    files = {path: data for path, data in official().items() if not path.startswith("Landmarks/S010")}
    sequences, _ = read(tmp_path, files)
    assert not sequences["S010/002"].landmarks
    assert sequences["S005/001"].landmarks[1].shape == (68, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"S005_001_00000005_emotion\.txt should hold one code\. Received: 0 lines"),
        ("3\n4\n", "should hold one code. Received: 2 lines"),
        ("8.0", r"S005_001_00000005_emotion\.txt, line 1 should hold a code from 0 to 7\. Received: '8\.0'"),
        ("2.5", "should hold a code from 0 to 7"),
        ("-1", "should hold a code from 0 to 7"),
        ("nan", "should hold one number"),
        ("three", "should hold one number"),
        ("3 4", "should hold one number"),
        ("\xff\xfe", "no text in UTF-8"),
    ],
)
def test_a_broken_label_is_an_error_that_names_its_file(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, official() | {LABEL: text.encode("latin-1")})


def test_two_labels_of_a_sequence_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="S005/001 should have one emotion label"):
        read(tmp_path, official() | {LABEL.replace("05_e", "04_e"): b"1.0"})


def test_a_file_in_the_folder_of_another_sequence_is_an_error(tmp_path: Path) -> None:
    files = official()
    files["Emotion/S010/004/S005_001_00000003_emotion.txt"] = files[LABEL]
    with pytest.raises(InputError, match="a file in S010/004 should begin with its name"):
        read(tmp_path, files)


def test_the_same_picture_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lies there twice\. Received: a/S005"):
        read(tmp_path, official() | under("a", pictures(SEQUENCES[:1])))


@pytest.mark.parametrize("line", [b"1.0", b"1.0 2.0 3.0", b"x y", b"nan 1.0"])
def test_a_broken_landmark_is_an_error_that_names_its_line(line: bytes, tmp_path: Path) -> None:
    name, data = next(iter(landmark_files().items()))
    lines = data.splitlines()
    lines[6] = line
    with pytest.raises(InputError, match=r"S005_001_00000001_landmarks\.txt, line 7 should hold 2 numbers"):
        read(tmp_path, official() | {f"Landmarks/{name}": b"\n".join(lines)})
    with pytest.raises(InputError, match=r"should hold 68 points\. Received: 67 lines"):
        read(tmp_path, official() | {f"Landmarks/{name}": b"\n".join(lines[:6] + lines[7:])})


def test_a_damaged_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "Emotion_labels.zip").write_bytes(b"PK\3\4 cut off")
    with pytest.raises(InputError, match="zip archive cannot be read"):
        read(tmp_path, under("cohn-kanade-images", pictures()))


def test_other_copies_and_missing_labels_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no emotion labels.*Put Emotion_labels\.zip"):
        read(tmp_path / "unlabelled", under("cohn-kanade-images", pictures()))
    with pytest.raises(InputError, match="use the configuration ck48"):
        read(tmp_path / "ck48", under("ck/CK+48", ck48()))
    with pytest.raises(InputError, match=r"ckextended\.csv names no subjects"):
        read(tmp_path / "csv", {"ckextended.csv": b"emotion,pixels,Usage\n"})
    with pytest.raises(InputError, match=r"should be cohn-kanade-images/.*Received: Emotion"):
        read(tmp_path / "labels", under("Emotion", emotions()))
    write_files(tmp_path / "official", official())
    with pytest.raises(InputError, match="use the configuration sequences or stills"):
        list(read_ck48(list_files(tmp_path / "official")))


def test_ck48_beside_the_official_files_is_told_apart(tmp_path: Path) -> None:
    sequences, _ = read(tmp_path, official() | under("CK+48", ck48()))
    assert len(sequences) == sum(s.emotion is not None for s in SEQUENCES)
    assert len(list(read_ck48(list_files(tmp_path)))) == len(ck48())


def test_ck48_with_an_unknown_class_or_a_face_in_two_is_an_error(tmp_path: Path) -> None:
    (name, data), *_ = ck48().items()
    face = Path(name).name
    write_files(tmp_path / "unknown", {f"CK+48/joyful/{face}": data})
    with pytest.raises(InputError, match=f"named as its emotion. Received: CK\\+48/joyful/{face}"):
        list(read_ck48(list_files(tmp_path / "unknown")))
    write_files(tmp_path / "twice", {f"CK+48/{folder}/{face}": data for folder in ("fear", "happy")})
    with pytest.raises(InputError, match="lies there twice"):
        list(read_ck48(list_files(tmp_path / "twice")))


def test_other_numbers_are_one_warning(tmp_path: Path) -> None:
    write_files(tmp_path, official())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        counts = Builder(data_dir=tmp_path / "data").look(tmp_path)
    assert counts == {"train": 5, "left out": 2}
    (warning,) = caught
    assert "train 5 of 327 (angry 1 of 45, contempt 1 of 18" in str(warning.message)


def test_official_numbers_add_up() -> None:
    assert sum(OFFICIAL_COUNTS.values()) == 327
    assert {name: OFFICIAL_COUNTS[name] for name in ("happy", "surprise", "contempt")} == {
        "happy": 69,
        "surprise": 83,
        "contempt": 18,
    }


@given(
    st.sampled_from(sorted(CK_PLUS_CODES)), st.sampled_from(["{:.7e}", "{:.1f}", "{:.0f}"]), st.text(" \t", max_size=4)
)
def test_every_notation_of_a_code_is_read(code: int, notation: str, blanks: str) -> None:
    assert parse_emotion(blanks + notation.format(code) + blanks, where="x") == CK_PLUS_CODES[code]


@given(st.text(max_size=12))
def test_any_other_text_is_an_error_or_the_code_it_says(text: str) -> None:
    try:
        emotion = parse_emotion(text, where="x")
    except InputError:
        return
    assert emotion == CK_PLUS_CODES[int(float(text))]


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 2), min_size=68, max_size=68))
def test_landmarks_are_read_back(tmp_path_factory: pytest.TempPathFactory, points: list[tuple[float, float]]) -> None:
    file = tmp_path_factory.mktemp("landmarks") / "x_landmarks.txt"
    file.write_text("".join(f"   {x:.7e}   {y:.7e}\n" for x, y in points))
    np.testing.assert_allclose(read_landmarks(file), points, rtol=1e-5, atol=1e-4)
