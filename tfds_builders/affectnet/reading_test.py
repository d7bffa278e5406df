"""Both releases of AffectNet: labels, markers, variants, broken copies. Needs no TensorFlow."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.labels import AFFECTNET_CODES
from tfds_builders.affectnet.annotation import (
    CLASSES,
    OFFICIAL_COUNTS,
    Annotation,
    Target,
    class_of,
    official_counts,
    parse_annotation,
)
from tfds_builders.affectnet.full_release import COLUMNS, find_lists, read_full_release
from tfds_builders.affectnet.make_dummy_data import ROWS, csv_line, csv_texts, full, npy, path_of, reduced
from tfds_builders.affectnet.reduced_release import find_folders, read_reduced_release, read_scalar
from tfds_builders.base.dummies import write_files
from tfds_builders.base.source import Skip, StillSource

PICTURES = "Manually_Annotated/Manually_Annotated_Images"


def read_full(folder: Path, target: Target = "expression") -> list[StillSource | Skip]:
    return list(read_full_release(folder, find_lists(folder), target))


def read_reduced(folder: Path, target: Target = "expression") -> list[StillSource | Skip]:
    return list(read_reduced_release(folder, find_folders(folder), target))


def kept(sources: list[StillSource | Skip]) -> dict[str, str]:
    return {source.id: source.label for source in sources if isinstance(source, StillSource)}


def skipped(sources: list[StillSource | Skip]) -> dict[str, str]:
    return {source.id: source.reason for source in sources if isinstance(source, Skip)}


def message(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_full(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def truth(target: Target) -> dict[int, str]:
    """Row -> class, worked out from the codes of the fixture."""
    names = {number: AFFECTNET_CODES.get(int(float(row.code)), "none") for number, row in enumerate(ROWS)}
    return {
        number: name
        for number, name in names.items()
        if name in CLASSES[target] and not (target == "valence_arousal" and ROWS[number].valence == "-2")
    }


@pytest.mark.parametrize("target", CLASSES)
def test_full_release(target: Target, tmp_path: Path) -> None:
    write_files(tmp_path, full())
    sources = read_full(tmp_path, target)
    assert kept(sources) == {f"{PICTURES}/{path_of(number)}": name for number, name in truth(target).items()}
    for source in (source for source in sources if isinstance(source, StillSource)):
        row = next(row for number, row in enumerate(ROWS) if source.id.endswith(path_of(number)))
        assert source.split == row.split
        assert source.more == {"valence": float(row.valence), "arousal": float(row.arousal)}


def test_full_release_says_why_pictures_are_left_out(tmp_path: Path) -> None:
    write_files(tmp_path, full())
    assert list(skipped(read_full(tmp_path)).values()) == [
        "labelled not a face",
        "labelled none of the eight emotions",
        "labelled uncertain",
        "labelled not a face",
    ]
    assert "labelled contempt" in skipped(read_full(tmp_path, "expression_7")).values()


def test_faces_without_a_box_are_left_to_the_detector(tmp_path: Path) -> None:
    write_files(tmp_path, full())
    sources = {
        source.id.rpartition("/")[2]: source for source in read_full(tmp_path) if isinstance(source, StillSource)
    }
    for number in truth("expression"):
        source = sources[path_of(number).rpartition("/")[2]]
        if number == 1:
            assert source.box is None
            assert source.landmarks is None
        else:
            np.testing.assert_allclose(source.box, [55 + round(1.6 * number), 37, 54, 70])
            assert source.landmarks.shape == (5, 2)
            # x, y of the eye on the image's left, as written.
            np.testing.assert_allclose(source.landmarks[0], [66.4 + round(1.6 * number), 62.88], atol=0.01)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PICTURES, "Manually_Annotated_compressed"),
        (PICTURES, "manually_annotated_images"),
        (PICTURES, "Manually_Annotated_Images/Manually_Annotated_Images"),
        ("training.csv", "Manually_Annotated_file_lists/Training.CSV"),
        ("expression", "Expression"),
    ],
)
def test_variants_of_the_full_release(old: str, new: str, tmp_path: Path) -> None:
    """Another folder, another case, lists in a folder of their own."""
    files = {path.replace(old, new): data for path, data in full().items()}
    write_files(tmp_path, {path: d.replace(old, new) if isinstance(d, str) else d for path, d in files.items()})
    assert sorted(kept(read_full(tmp_path)).values()) == sorted(truth("expression").values())


def test_lists_without_header_and_with_backslashes(tmp_path: Path) -> None:
    texts = {name: text.replace("/", "\\") for name, text in csv_texts(header=False).items()}
    write_files(tmp_path, {**full(), **texts})
    assert sorted(kept(read_full(tmp_path)).values()) == sorted(truth("expression").values())


def test_columns_go_by_name(tmp_path: Path) -> None:
    lines = [line.split(",") for line in csv_texts()["training.csv"].splitlines()]
    turned = "\n".join(",".join(reversed(fields)) for fields in lines)
    write_files(tmp_path, {**full(), "training.csv": turned})
    assert sorted(kept(read_full(tmp_path)).values()) == sorted(truth("expression").values())


def test_no_picture_twice_and_none_in_two_splits(tmp_path: Path) -> None:
    of_validation = next(number for number, row in enumerate(ROWS) if row.split == "validation")
    other_folder = csv_line(of_validation).replace(path_of(of_validation)[:3], "999")
    texts = csv_texts()
    texts["training.csv"] += "\n".join([csv_line(0).replace(",0,0.0,", ",3,0.0,"), other_folder, ""])
    write_files(tmp_path, {**full(), **texts})
    sources = read_full(tmp_path)
    assert len(kept(sources)) == len(truth("expression"))
    assert kept(sources)[f"{PICTURES}/{path_of(0)}"] == "neutral"
    reasons = list(skipped(sources).values())
    assert reasons[-2:] == ["listed twice", "the same picture is in validation"]


BAD_ROWS = {
    "unknown code": (",0,0.0,-0.01", ",11,0.0,-0.01", "expression should be a code from 0 to 10. Received: '11'"),
    "half a code": (",0,0.0,-0.01", ",0.5,0.0,-0.01", "Received: '0.5'"),
    "word": (",0,0.0,-0.01", ",happy,0.0,-0.01", "expression should be a number. Received: 'happy'"),
    "other digits": (",0,0.0,-0.01", ",٣,0.0,-0.01", "expression should be a number"),
    "valence": (",0,0.0,-0.01", ",0,1.5,-0.01", "valence should be in [-1, 1], or -2 without one. Received: '1.5'"),
    "nan": (",0,0.0,-0.01", ",0,0.0,nan", "arousal should be a number"),
    "short": (",0,0.0,-0.01", ",0", "should have 9 fields. Received: 7 fields"),
    "parent": (path_of(0), "../../secret.jpg", "should lie inside the data set. Received: '../../secret.jpg'"),
    "root": (path_of(0), "/etc/secret.jpg", "should lie inside the data set"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_broken_row_is_named(case: str, tmp_path: Path) -> None:
    old, new, expected = BAD_ROWS[case]
    texts = csv_texts()
    assert old in texts["training.csv"]
    write_files(tmp_path, {**full(), "training.csv": texts["training.csv"].replace(old, new)})
    assert "training.csv, line 2" in message(tmp_path)
    assert expected in message(tmp_path)


def test_landmarks_that_are_none(tmp_path: Path) -> None:
    texts = csv_texts()
    fields = csv_line(0).split(",")
    for points in ("", "1;2;3", "x;" * 136, "nan;" * 135 + "nan"):
        line = ",".join([*fields[:5], points, *fields[6:]])
        write_files(tmp_path, {**full(), "training.csv": texts["training.csv"].replace(csv_line(0), line)})
        source = next(s for s in read_full(tmp_path) if s.id.endswith(path_of(0)))
        assert isinstance(source, StillSource)
        assert source.landmarks is None
        assert source.box is not None


def test_pictures_that_were_not_extracted(tmp_path: Path) -> None:
    write_files(tmp_path, {**csv_texts(), "Manually_Annotated.part01.rar": b"Rar!"})
    assert "Extract the rar archives" in message(tmp_path)


@pytest.mark.parametrize("target", CLASSES)
def test_reduced_release(target: Target, tmp_path: Path) -> None:
    write_files(tmp_path, {f"AffectNet/{path}": data for path, data in reduced().items()})
    sources = read_reduced(tmp_path, target)
    folder = {"train": "train_set", "validation": "val_set"}
    expected = {number: name for number, name in truth(target).items() if name != "none"}
    assert kept(sources) == {
        f"AffectNet/{folder[ROWS[number].split]}/images/{3 * number}.jpg": name for number, name in expected.items()
    }
    for source, number in zip((s for s in sources if isinstance(s, StillSource)), expected, strict=True):
        assert source.more == {"valence": float(ROWS[number].valence), "arousal": float(ROWS[number].arousal)}


def test_reduced_release_without_an_annotation(tmp_path: Path) -> None:
    write_files(tmp_path, reduced())
    (tmp_path / "train_set/annotations/3_aro.npy").unlink()
    write_files(tmp_path, {"train_set/images/Thumbs.db": b"x", "train_set/annotations/0_exp.npy": npy("8")})
    assert skipped(read_reduced(tmp_path)) == {
        "train_set/images/0.jpg": "labelled none of the eight emotions",
        "train_set/images/3.jpg": "cannot be read: an annotation is missing",
    }


class Evil:
    """Would run code where a pickle is opened."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("opened"),))


def pickled(value: object) -> bytes:
    data = io.BytesIO()
    np.save(data, np.array(value, dtype=object), allow_pickle=True)
    return data.getvalue()


BAD_NPY = {
    "empty": (b"", "should be a npy file"),
    "no npy": (b"6", "should be a npy file"),
    "cut off": (npy(6)[:-3], "should be a npy file"),
    "pickle": (pickled(Evil()), "should be a npy file"),
    "two numbers": (npy([1.0, 2.0]), "should hold one number"),
    "complex": (npy(1j), "should hold one number"),
    "unknown code": (npy(12), "expression should be a code from 0 to 10"),
    "word": (npy("happy"), "expression should be a number"),
    "long": (npy("1" * 5000), "should be a npy file"),
}


@pytest.mark.parametrize("case", BAD_NPY)
def test_a_broken_annotation_is_named(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, expected = BAD_NPY[case]
    write_files(tmp_path, {**reduced(), "train_set/annotations/0_exp.npy": data})
    with pytest.raises(InputError, match=expected) as caught:
        read_reduced(tmp_path)
    assert "0_exp.npy" in str(caught.value) or "train_set/images/0.jpg" in str(caught.value)
    assert not Path("opened").exists()


def test_official_counts() -> None:
    assert {split: sum(of.values()) for split, of in OFFICIAL_COUNTS.items()} == {"train": 287651, "validation": 4000}
    assert sum(official_counts("expression", reduced=True)["validation"].values()) == 3999
    seven = official_counts("expression_7", reduced=True)
    assert {split: sum(of.values()) for split, of in seven.items()} == {"train": 283901, "validation": 3500}
    assert OFFICIAL_COUNTS["train"]["angry"] == 24882


@given(
    code=st.integers(0, 10),
    values=st.tuples(*[st.floats(-1, 1) | st.just(-2.0)] * 2),
    written=st.sampled_from([str, lambda code: f"{code}.0", lambda code: f" {code} "]),
)
def test_parse_annotation_inverts_writing(code: int, values: tuple[float, float], written: object) -> None:
    assert callable(written)
    annotation = parse_annotation(written(code), *map(repr, values), where="here")
    assert annotation == (code, *values)
    for target in CLASSES:
        label, reason = class_of(annotation, target)
        assert (label is None) == bool(reason)
        assert label is None or label in CLASSES[target]
        if target == "valence_arousal":
            assert label is None or -2 not in values


@given(texts=st.tuples(*[st.text(max_size=8) | st.sampled_from(["1_0", "٣", "inf", "0x1", ""])] * 3))
def test_parse_annotation_answers_anything_else_with_input_error(texts: tuple[str, str, str]) -> None:
    try:
        annotation = parse_annotation(*texts, where="here")
    except InputError:
        return
    assert annotation == Annotation(*(float(text) for text in texts))


def test_scalars_of_all_kinds(tmp_path: Path) -> None:
    for value in (np.int64(6), np.float32(0.5), np.array("6"), np.array([6]), np.array(["-2"])):
        write_files(tmp_path, {"x.npy": npy(value)})
        assert float(read_scalar(tmp_path / "x.npy")) == float(np.asarray(value).item())


def test_columns_are_the_official_ones() -> None:
    assert len(COLUMNS) == 9
