"""Names and layouts of TFEID: variants, other sets, broken copies. Needs no TensorFlow."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.labels import TFEID_WORDS
from tfds_builders.base.dummies import write_files
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.fer2013.make_dummy_data import write_zip
from tfds_builders.tfeid.layout import parse_path, read_tfeid
from tfds_builders.tfeid.make_dummy_data import COLOUR, GRAY, colour, gray


def read(folder: Path, *, sets: tuple[str, ...] = ("dfh",)) -> list[StillSource | Skip]:
    return list(read_tfeid(folder, sets=sets))


def labels(folder: Path) -> dict[str, str]:
    return {source.id: source.label for source in read(folder) if isinstance(source, StillSource)}


def reasons(folder: Path) -> dict[str, str]:
    return {source.id: source.reason for source in read(folder) if isinstance(source, Skip)}


def message(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_both_layouts(tmp_path: Path) -> None:
    write_files(tmp_path / "gray", gray())
    write_files(tmp_path / "colour", colour())
    assert labels(tmp_path / "gray") == GRAY
    assert labels(tmp_path / "colour") == COLOUR
    subjects = {source.id: source.subject for source in read(tmp_path / "gray")}
    assert all(subject in path and subject[0] in "fm" for path, subject in subjects.items())
    assert len(set(subjects.values())) == 4


def test_zip_and_case(tmp_path: Path) -> None:
    write_zip(tmp_path / "TFEID.zip", {path.upper(): data for path, data in gray().items()})
    assert labels(tmp_path) == {f"TFEID.zip/{path.upper()}": label for path, label in GRAY.items()}
    assert {source.subject for source in read(tmp_path)} == {"f01", "f02", "m01", "m20"}


def test_flat_folder_goes_by_the_letter(tmp_path: Path) -> None:
    write_files(tmp_path, {Path(path).name: data for path, data in gray().items()})
    assert labels(tmp_path) == {Path(path).name: label for path, label in GRAY.items()}


def test_no_letter_contradicts_contempt(tmp_path: Path) -> None:
    path = "dfh_all/dfh_contempt_x/f01_dfh_dx.jpg"
    write_files(tmp_path, {path: b"x"})
    assert labels(tmp_path) == {path: "contempt"}


def test_of_equally_many_renderings_that_ending_in_x_is_read(tmp_path: Path) -> None:
    paths = {suffix: f"a/dfh_anger_{suffix}/f01_dfh_a{suffix}.jpg" for suffix in "gxz"}
    write_files(tmp_path, dict.fromkeys(paths.values(), b"x"))
    assert labels(tmp_path) == {paths["x"]: "angry"}


def test_a_second_rendering_is_left_out(tmp_path: Path) -> None:
    """The same pictures in colour and grey would stand in the data twice."""
    write_files(tmp_path, {**gray(), **colour()})
    assert labels(tmp_path) == GRAY
    assert reasons(tmp_path) == dict.fromkeys(COLOUR, "a second rendering of the set dfh")
    more = {path.replace("_disguest_", f"_{word}_"): b"x" for path in COLOUR for word in ("anger", "fear", "sadness")}
    more |= {f"dfh_all/dfh_un-rimmed/dfh_neutral_x/f{n:02d}_dfh_nx.jpg": b"x" for n in range(1, 9)}
    write_files(tmp_path, more)
    assert set(labels(tmp_path)) & set(GRAY) == set()
    assert set(COLOUR) <= set(labels(tmp_path))


def test_other_sets_wait_to_be_asked_for(tmp_path: Path) -> None:
    slight = "dfs_gray/dfs_anger_g/f01_dfs_ag.jpg"
    write_files(tmp_path, {**gray(), slight: b"x"})
    assert reasons(tmp_path) == {slight: "of the set dfs, which is not asked for"}
    asked = [source.id for source in read(tmp_path, sets=("dfh", "dfs")) if isinstance(source, StillSource)]
    assert set(asked) == {*GRAY, slight}


def test_odd_files_are_skips_and_never_a_wrong_label(tmp_path: Path) -> None:
    contradicted = "dfh_gray/dfh_anger_g/f03_dfh_hg.jpg"
    unnamed = "dfh_gray/dfh_anger_g/portrait.jpg"
    write_files(tmp_path, {**gray(), contradicted: b"x", unnamed: b"x", "dfh_gray/Thumbs.db": b"x", "readme.txt": "x"})
    assert labels(tmp_path) == GRAY
    assert reasons(tmp_path) == {
        contradicted: "file name and folder name different emotions",
        unnamed: "its name is none of TFEID",
    }


def test_a_class_that_is_not_told(tmp_path: Path) -> None:
    write_files(tmp_path, {**gray(), "f01_dfh_cg.jpg": b"x"})
    assert "neither a folder such as dfh_anger_g nor the letter" in message(tmp_path)


@pytest.mark.parametrize("name", ["0111a01.jpg", "Image_Info.xls", "1232g08.JPG"])
def test_the_other_taiwanese_database_is_refused(name: str, tmp_path: Path) -> None:
    write_files(tmp_path, {f"Taiwanese/{name}": b"x"})
    assert "National Taiwan University" in message(tmp_path)


@pytest.mark.parametrize("files", [{}, {"happy/1.jpg": b"x"}])
def test_another_layout(files: dict[str, bytes | str], tmp_path: Path) -> None:
    write_files(tmp_path, files)
    assert "there should be pictures with names like" in message(tmp_path)


@given(
    sex=st.sampled_from("fmFM"),
    number=st.integers(1, 21),
    word=st.sampled_from(sorted(TFEID_WORDS)),
    rendering=st.sampled_from("gx"),
    suffix=st.sampled_from([".jpg", ".JPG", ".jpeg"]),
)
def test_parse_path_inverts_naming(sex: str, number: int, word: str, rendering: str, suffix: str) -> None:
    letter = {"surprise": "p"}.get(word, word[0])
    name = parse_path(f"any/dfh_{word}_{rendering}/{sex}{number:02d}_dfh_{letter}{rendering}{suffix}")
    assert name is not None
    assert name == (f"{sex.lower()}{number:02d}", "dfh", TFEID_WORDS[word], False, ("any", rendering))


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30))
def test_parse_path_answers_any_text(text: str) -> None:
    try:
        name = parse_path(text)
    except InputError:
        return
    assert name is None or name.subject[0] in "fm"
