"""`ferkeras clean` as a user types it."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, chelsea

from ferkeras.cleaning.limits import Limits
from ferkeras.cli.clean import LIMITS
from ferkeras.runs import RunFolder
from tests.commands import assert_one_line, call
from tfds_builders.synthetic_faces.sampling import sample_still

HEAD = "path,class,reason,value,threshold,partner,suggested\n"


def save(index: int, path: Path) -> np.ndarray:
    image = sample_still(2, "train", index, size=96, channels=3).image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sound pictures, and one each that is broken, blurred and a copy."""
    root = tmp_path / "crawled"
    save(0, root / "happy" / "a.png")
    save(0, root / "happy" / "copy.png")
    save(1, root / "sad" / "b.png")
    image = save(2, root / "sad" / "c.png")
    Image.fromarray(cv2.GaussianBlur(image[:, ::-1], (0, 0), 4)).save(root / "sad" / "blurred.png")
    (root / "sad" / "broken.jpg").write_bytes(b"no picture")
    return root


def test_the_list_and_the_sheet(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    output, sheet = tmp_path / "new" / "rejected.csv", tmp_path / "new" / "sheet.png"
    code, out, err = call(capsys, "clean", folder, "--detector", "none", "--output", output, "--sheet", sheet)
    assert (code, out) == (0, "")
    lines = output.read_text().splitlines(keepends=True)
    assert lines[0] == HEAD
    assert lines[1] == "happy/copy.png,happy,duplicate,0,0,happy/a.png,\n"
    assert lines[2].startswith("sad/blurred.png,sad,blurred,")
    assert lines[2].endswith(",40,,\n")
    assert lines[3:] == ["sad/broken.jpg,sad,unreadable,,,,\n"]
    assert f"3 of 6 pictures are listed in {output}" in err
    assert {"  duplicate: 1", "  blurred: 1", "  unreadable: 1"} <= set(err.splitlines())
    with Image.open(sheet) as picture:
        assert picture.height > 200
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in output.parent.iterdir()) == ["rejected.csv", "sheet.png"]


def test_limits_are_options(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "rejected.csv"
    words = ("--detector", "none", "--output", output, "--min-sharpness", 0, "--min-size", 200)
    assert call(capsys, "clean", folder, *words)[0] == 0
    text = output.read_text()
    assert text.count(",small,96,200,,\n") == 5
    assert "blurred," not in text


def test_every_limit_has_an_option() -> None:
    assert set(LIMITS) == set(Limits.__dataclass_fields__)


def test_dry_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "rejected.csv"
    code, out, _ = call(capsys, "clean", folder, "--output", output, "--dry-run")
    assert (code, out) == (0, "happy: 2\nsad: 4\n")
    assert not output.exists()


def test_faces_are_found_by_a_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    portrait = astronaut()[:240, 80:380]
    pictures = {
        "cat": chelsea(),
        "one": portrait,
        "two": np.concatenate([astronaut()[:240, 300:60:-1], portrait], axis=1),
        "blurred": cv2.GaussianBlur(np.ascontiguousarray(portrait[:, ::-1]), (0, 0), 5),
    }
    for name, image in pictures.items():
        path = tmp_path / "crawled" / "happy" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    output = tmp_path / "rejected.csv"
    assert call(capsys, "clean", tmp_path / "crawled", "--detector", "haar", "--output", output)[0] == 0
    rows = [line.split(",") for line in output.read_text().splitlines()[1:]]
    assert [(Path(row[0]).stem, row[2]) for row in rows] == [
        ("blurred", "blurred"),
        ("cat", "no_face"),
        ("two", "several_faces"),
    ]


def colour_run(path: Path) -> None:
    """A run whose `features` are the mean colour of a face."""
    image = keras.Input((8, 8, 3), name="image")
    features = keras.layers.GlobalAveragePooling2D(name="features")(image)
    model = keras.Model(image, {"emotion": keras.layers.Dense(2, name="emotion")(features)})
    run = RunFolder(path)
    run.save_model(model)
    run.write_json("recipe.json", {})
    run.write_json("preprocessing.json", {"height": 8, "width": 8, "channels": 3})


def test_wrong_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reddish faces are angry and bluish ones sad, but for one of each; with noise, so that none is a near copy."""
    colour_run(tmp_path / "runs" / "colours")
    rng = np.random.default_rng(0)
    for index in range(24):
        image = rng.integers(60, 160, (64, 64, 3), dtype=np.uint8)
        image[..., index % 2 * 2] += 60
        label = ("angry", "sad")[index % 2 if index > 1 else 1 - index]
        path = tmp_path / "crawled" / label / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    output = tmp_path / "rejected.csv"
    words = ("--detector", "none", "--output", output, "--run", "colours", "--runs", tmp_path / "runs", "--folds", 3)
    assert call(capsys, "clean", tmp_path / "crawled", *words)[0] == 0
    rows = [line.split(",") for line in output.read_text().splitlines()[1:]]
    assert [(row[0], row[2], row[6]) for row in rows] == [
        ("angry/01.png", "mislabelled", "sad"),
        ("sad/00.png", "mislabelled", "angry"),
    ]


def test_errors_are_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "rejected.csv"
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for words, expected in (
        ((tmp_path / "nowhere", "--output", output), "no such folder"),
        ((tmp_path / "empty", "--output", output), "named after their classes"),
        ((folder, "--output", tmp_path / "list.txt"), ".csv"),
        ((folder, "--output", output, "--sheet", tmp_path / "sheet.jpg"), ".png"),
        ((folder, "--output", tmp_path / "file" / "rejected.csv"), "cannot be written"),
        ((folder, "--output", output, "--max-dark", "2"), "max_dark"),
        ((folder, "--output", output, "--run", "nothing"), "no run"),
        ((folder, "--output", output, "--detector", "nothing"), "nothing"),
        ((folder,), "--output"),
    ):
        assert_one_line(call(capsys, "clean", *words), expected)
    assert not output.exists()
