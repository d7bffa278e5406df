"""Detectors from a user's model file: on the tiny networks of `tiny_detectors`, on rows by hand, on wrong files."""

from pathlib import Path

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.faces import ssd, yunet
from ferkeras.faces.detection import create_detector
from tests.tiny_detectors import write_ssd, write_yunet


def test_yunet_from_a_model_file(tmp_path: Path) -> None:
    model = write_yunet(tmp_path)
    picture = np.zeros((128, 160, 3), np.uint8)
    picture[32:64, 96:128] = 255, 0, 0
    picture[96:, :32] = 0, 0, 255
    twice = np.ascontiguousarray(picture.repeat(2, axis=0).repeat(2, axis=1))
    points = np.array([(104, 40), (120, 40), (112, 48), (104, 56), (120, 56)])
    for min_face, scale in ((20, 1), (40, 2)):  # the second halves the picture before the network sees it
        detector = create_detector("yunet", model_file=model, min_face=min_face)
        faces, black, dot = detector(
            [picture if scale == 1 else twice, np.zeros((50, 70, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)]
        )
        np.testing.assert_allclose(faces.boxes, [np.array([80, 16, 64, 64]) * scale], atol=0.01)
        np.testing.assert_allclose(faces.landmarks, [points * scale], atol=0.01)
        np.testing.assert_allclose(faces.scores, 1, atol=1e-5)
        assert len(black) == len(dot) == 0


def test_the_ssd_from_a_model_file(tmp_path: Path) -> None:
    wide = np.zeros((300, 600, 3), np.uint8)
    wide[100:200, 400:] = 255, 0, 0
    small = np.zeros((90, 90, 3), np.uint8)
    small[60:, :30] = 255, 0, 0
    blue = np.zeros((300, 300, 3), np.uint8)
    blue[:100, :100] = 0, 0, 255
    model = write_ssd(tmp_path)
    found = create_detector("ssd", model_file=model, min_face=20)([blue, wide, small])
    assert [len(faces) for faces in found] == [0, 1, 1]
    np.testing.assert_allclose(found[1].boxes, [[400, 100, 200, 100]], atol=0.01)
    np.testing.assert_allclose(found[2].boxes, [[0, 60, 30, 30]], atol=0.01)
    assert found[1].scores[0] == pytest.approx(1)
    assert np.isnan(found[1].landmarks).all()
    larger = create_detector("ssd", model_file=model, min_face=40)
    assert [len(faces) for faces in larger([wide, small])] == [1, 0]
    assert larger([]) == []


def test_the_ssd_takes_the_mean_off(tmp_path: Path) -> None:
    red = 123
    detector = create_detector("ssd", model_file=write_ssd(tmp_path))
    (below,), (at,) = (detector([np.full((300, 300, 3), value, np.uint8)]) for value in (red - 2, red))
    assert len(below) == 0
    assert at.scores.tolist() == pytest.approx([0.5] * 9)


def test_rows_of_yunet() -> None:
    rows = np.arange(30, dtype=np.float32).reshape(2, 15)
    rows[:, 14] = 0.7, 0.9
    faces = yunet.faces_of_rows(rows, stretch=(2.0, 10.0))
    assert faces.scores.tolist() == pytest.approx([0.9, 0.7])
    assert faces.boxes[0].tolist() == [30, 160, 34, 180]
    assert faces.landmarks[1].tolist() == [[8, 50], [12, 70], [16, 90], [20, 110], [24, 130]]
    assert len(yunet.faces_of_rows(None, stretch=(1.0, 1.0))) == 0


def test_rows_of_the_ssd() -> None:
    rows = np.array(
        [
            [0, 1, 0.6, 0.1, 0.2, 0.5, 0.6],
            [0, 1, 0.9, 0.5, 0.5, 1.1, 1.0],
            [0, 1, 0.4, 0, 0, 1, 1],
            [0, 1, 0.8, 0, 0, 0.1, 0.1],
        ],
        np.float32,
    )
    faces = ssd.faces_of_rows(rows, shape=(100, 200, 3), min_face=30)
    np.testing.assert_allclose(faces.boxes, [[100, 50, 120, 50], [20, 20, 80, 40]], rtol=1e-5)
    assert faces.scores.tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize(("name", "file"), [("yunet", "a.onnx"), ("ssd", "a.caffemodel"), ("ssd", "a.pb")])
def test_a_file_that_is_no_model(name: str, file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(b"no model")
    if name == "ssd":
        with pytest.raises(InputError, match=r"must lie beside a\..*Received: none"):
            create_detector(name, model_file=tmp_path / file)
        (tmp_path / "a").with_suffix(ssd.DESCRIPTIONS[Path(file).suffix]).write_text("no network")
    with pytest.raises(InputError, match="not a model that OpenCV can run") as caught:
        create_detector(name, model_file=tmp_path / file)
    assert "\n" not in str(caught.value)


def test_the_ssd_is_a_caffemodel_or_pb(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"comes as a \.caffemodel or \.pb file"):
        create_detector("ssd", model_file=tmp_path / "a.onnx")
