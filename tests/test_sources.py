"""Finding and preparing data sets: what is told, what is written, and what is left after a failure."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

from ferkeras.data import prepared as prepared_data
from ferkeras.data.preparation import prepare
from ferkeras.data.prepared import report, write_pictures
from ferkeras.data.report import Report
from ferkeras.data.sources import DATASETS, builder, default_data_dir, is_prepared
from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tests.tiny_faces import CLASSES, SPLITS, TinyFaces, image

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

pytestmark = pytest.mark.filterwarnings("ignore:.*is not the complete FER2013")

OFFICIAL = Path(__file__).resolve().parents[1] / "tfds_builders" / "fer2013" / "dummy_data" / "csv"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with FER2013 of the eleven dummy images."""
    data_dir = tmp_path_factory.mktemp("prepared")
    prepare("fer2013", data_dir=data_dir, manual_dir=OFFICIAL)
    return data_dir


@pytest.fixture
def manual_dir(tmp_path: Path) -> Path:
    """A copy of the official files that a test may change."""
    return Path(shutil.copytree(OFFICIAL, tmp_path / "manual"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fer2031", r"Unknown data set\. Received: fer2031\. Did you mean fer2013\?"),
        ("synthetic_face/still", r"Received: synthetic_face/still\."),
        ("qqq", r"Unknown data set\. Received: qqq\. Known: synthetic_faces, fer2013"),
        ("", r"Unknown data set"),
        ("fer2013/defualt", r"Unknown configuration of fer2013\. Received: defualt\. Known: default, skip_corrupt\."),
    ],
)
def test_unknown_names_are_told(name: str, message: str, tmp_path: Path) -> None:
    for find in (builder, prepare):
        with pytest.raises(InputError, match=message):
            find(name, data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_has_a_builder_of_its_name(name: str, tmp_path: Path) -> None:
    made = builder(name, data_dir=tmp_path)
    assert made.name == name
    for config in made.BUILDER_CONFIGS:
        assert builder(f"{name}/{config.name}", data_dir=tmp_path).builder_config.name == config.name
    assert not is_prepared(name, data_dir=tmp_path)
    assert not list(tmp_path.iterdir()), "looking writes nothing"


def test_default_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert default_data_dir() == tmp_path
    assert Path(builder("fer2013").data_dir).is_relative_to(tmp_path)
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert default_data_dir() == Path.home() / "tensorflow_datasets"


# Preparing


def test_only_the_data_set_is_written(prepared: Path) -> None:
    assert [path.name for path in prepared.iterdir()] == ["fer2013"]
    folder = Path(builder("fer2013", data_dir=prepared).data_dir)
    assert (folder / "dataset_info.json").is_file()
    assert (folder / "ferkeras_source.json").is_file()
    assert is_prepared("fer2013", data_dir=prepared)


def test_standard_output_stays_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare("fer2013", data_dir=tmp_path, manual_dir=OFFICIAL)
    assert capsys.readouterr().out == ""


def test_prepared_data_is_opened_again_and_left_alone(prepared: Path, manual_dir: Path) -> None:
    before = contents(prepared)
    for manual in (None, OFFICIAL, manual_dir):  # an equal copy in another place is the same data
        made = prepare("fer2013", data_dir=prepared, manual_dir=manual)
        assert made.info.splits["train"].num_examples == 7
        assert tuple(made.info.features["label"].names) == EMOTIONS
    assert contents(prepared) == before


@pytest.mark.parametrize("change", ["more", "other"])
def test_another_copy_of_the_files_is_told(prepared: Path, manual_dir: Path, change: str) -> None:
    if change == "more":
        (manual_dir / "notes.txt").write_text("new")
    else:
        (manual_dir / "fer2013.csv").write_bytes((OFFICIAL / "fer2013.csv").read_bytes() + b"\n")
    before = contents(prepared)
    with pytest.raises(InputError, match=r"fer2013 was prepared from other files than those in .*Delete that folder"):
        prepare("fer2013", data_dir=prepared, manual_dir=manual_dir)
    assert contents(prepared) == before


# What is wrong with the files, and what is left behind then


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def empty_folder(folder: Path) -> None:
    (folder / "fer2013.csv").unlink()


def folder_of_something_else(folder: Path) -> None:
    (folder / "fer2013.csv").rename(folder / "holiday.txt")


def broken_row(folder: Path) -> None:
    with (folder / "fer2013.csv").open("a") as file:
        file.write("7,1 2 3,Training\n")


@pytest.mark.parametrize("data_dir_exists", [True, False])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_folder, r"The manual directory does not exist\. Received: .*manual\. Check --manual-dir\."),
        (empty_folder, r"The manual directory is empty\. Received: .*manual\. Check --manual-dir\."),
        (folder_of_something_else, r"FER2013"),
        (broken_row, r"fer2013\.csv, line 13 .*emotion code"),
    ],
)
def test_bad_files_are_told_and_leave_nothing(
    spoil: Callable[[Path], None], message: str, data_dir_exists: bool, manual_dir: Path, tmp_path: Path
) -> None:
    spoil(manual_dir)
    data_dir = tmp_path / "somewhere" / "data"
    if data_dir_exists:
        data_dir.mkdir(parents=True)
    with pytest.raises(InputError, match=message) as caught:
        prepare("fer2013", data_dir=data_dir, manual_dir=manual_dir)
    assert "\n" not in str(caught.value)
    assert data_dir.exists() == data_dir_exists
    assert not list(tmp_path.glob("somewhere/data/*"))
    assert (tmp_path / "somewhere").exists() == data_dir_exists


def test_a_manual_directory_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fer2013 cannot be downloaded .*--manual-dir\."):
        prepare("fer2013", data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_other_prepared_data_alone(prepared: Path, manual_dir: Path) -> None:
    (manual_dir / "fer2013.csv").write_text("nonsense\n")
    before = contents(prepared)
    with pytest.raises(InputError):
        prepare("fer2013/skip_corrupt", data_dir=prepared, manual_dir=manual_dir)
    assert contents(prepared) == before
    assert not list(prepared.glob("fer2013/skip_corrupt*"))


@pytest.mark.usefixtures("tiny_dataset")
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), InputError("No such thing")])
def test_a_failure_amid_writing_leaves_nothing(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(self: TinyFaces, split: str, count: int) -> Iterator[tuple[str, dict[str, object]]]:
        yield "first", {"image": image(split, 0), "label": 0, "id": "first", "subject": "s"}
        raise error

    monkeypatch.setattr(TinyFaces, "_generate_examples", break_off)
    with pytest.raises(type(error)):
        prepare("tiny_faces", data_dir=tmp_path / "data")
    assert not list(tmp_path.iterdir())


# The report


def test_report_is_computed_once_and_read_again(
    tiny_dataset: "tfds.core.DatasetBuilder", monkeypatch: pytest.MonkeyPatch
) -> None:
    first = report(tiny_dataset)
    assert (Path(tiny_dataset.data_dir) / "ferkeras_report.json").is_file()
    monkeypatch.setattr(prepared_data, "make_report", None)
    assert report(tiny_dataset) == first
    assert first.class_names == CLASSES
    assert first.counts == {"train": (20, 20, 10), "validation": (6, 5, 2), "test": (8, 8, 4)}
    assert {split: mark.count for split, mark in first.fingerprint.items()} == SPLITS


def test_report_of_the_same_data_prepared_anew_is_equal(
    tiny_dataset: "tfds.core.DatasetBuilder", tmp_path: Path
) -> None:
    assert report(prepare("tiny_faces", data_dir=tmp_path)) == report(tiny_dataset)


def test_report_json_round_trip(prepared: Path) -> None:
    made = report(prepare("fer2013", data_dir=prepared))
    assert Report.from_json(made.to_json()) == made
    doubled = dataclasses.replace(made, constant=(), duplicates=())
    assert Report.from_json(doubled.to_json()) == doubled


# Pictures to look at


def test_pictures_show_each_class_once(tiny_dataset: "tfds.core.DatasetBuilder", tmp_path: Path) -> None:
    paths = write_pictures(tiny_dataset, tmp_path / "pictures")
    assert [path.stem for path in paths] == sorted(CLASSES)
    assert sorted(tmp_path.glob("pictures/*")) == paths
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert (picture == image("test", int(picture[0, 0]))[..., 0]).all()
