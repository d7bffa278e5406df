"""`ferkeras explain` on pictures and videos, and the overlays: every map where its face is, nothing half-written."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.explain import gradcam
from ferkeras.explain.explainer import Explainer
from ferkeras.explain.overlay import overlay, placed
from ferkeras.explain.report import MOST_COLUMNS, TimeSheet, name_of
from ferkeras.faces.align import Alignment, map_points
from ferkeras.prediction.predictor import Predictor
from ferkeras.runs import RunFolder
from ferkeras.video import Frame
from tests.commands import Command, assert_one_line, call, picture
from tests.tiny_networks import AFFECT, FRAMES
from tests.tiny_runs import clip_run, still_run


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return functools.partial(call, capsys)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return still_run(tmp_path_factory.mktemp("runs") / "still")


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return clip_run(tmp_path_factory.mktemp("runs") / "clip", AFFECT)


def test_nothing_is_drawn_where_nothing_counts() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    maps = np.zeros((30, 40), np.float32)
    np.testing.assert_array_equal(overlay(image, maps), image)
    maps[5:10, 6:9] = 1
    changed = (overlay(image, maps) != image).any(axis=-1)
    assert changed[5:10, 6:9].all()
    assert changed.sum() == 15


def test_a_map_goes_back_to_where_the_face_is() -> None:
    alignment = Alignment(64, 0.2)
    landmarks = np.array([(70, 60), (90, 64), (78, 72), (68, 82), (84, 85)], np.float32)
    matrix = alignment.matrix(landmarks)
    for point in landmarks:
        column, row = np.rint(map_points(matrix, point)).astype(int)
        maps = np.zeros((64, 64), np.float32)
        maps[row, column] = 1
        there = placed(maps, matrix, (120, 160, 3), size=64)
        assert there.shape == (120, 160)
        found = np.unravel_index(there.argmax(), there.shape)
        np.testing.assert_allclose(found[::-1], point, atol=1)
    whole = placed(np.eye(4, dtype=np.float32), None, (8, 8, 3), size=4)
    assert whole[0, 0] == 1
    assert whole[0, 7] == 0


def test_pictures(run: RunFolder, command: Command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    first, second = picture(tmp_path / "a.png"), picture(tmp_path / "in" / "a.png", size=(30, 60))
    bad = tmp_path / "bad.png"
    bad.write_bytes(first.read_bytes()[:200])
    output = tmp_path / "out"
    words = ["explain", run.path, first, bad, second, "--detector", "none", "--output", output]
    assert command(*words, "--method", "saliency", "--dry-run") == (
        0,
        f"would explain 3 pictures and 0 videos by saliency in {output}\n",
        "",
    )
    assert not output.exists()

    code, out, err = command(*words, "--method", "saliency", "--class", "happy", "--check")
    assert code == 2
    assert "bad.png" in err
    assert "1 of 3 inputs" in err.splitlines()[-1]
    names = {"a_saliency.png", "a_saliency.npz", "a-2_saliency.png", "a-2_saliency.npz"}
    assert {path.name for path in output.iterdir()} == names | {"sheet_saliency.png", "check_saliency.json"}
    assert str(output / "sheet_saliency.png") in out
    assert "| layers randomised" in out
    with Image.open(output / "a-2_saliency.png") as image:
        assert image.size == (60, 30)
    with np.load(output / "a_saliency.npz", allow_pickle=False) as arrays:
        assert arrays["map"].shape == arrays["raw"].shape == (1, 16, 16)
        assert arrays["map"].max() == 1
        assert arrays["target"].tolist() == ["happy"]
        assert 0 <= arrays["value"][0] <= 1
        np.testing.assert_array_equal(arrays["box"], [[0, 0, 50, 40]])
    found = json.loads((output / "check_saliency.json").read_text())
    assert [face["face"] for face in found["faces"]] == ["a", "a-2"]
    assert found["randomised"][-1]["layers"] == 4


def test_an_empty_map_is_told(
    run: RunFolder, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradcam, "_rectified", lambda weighed: np.zeros(weighed.shape[:-1], np.float32))
    words = ["explain", run.path, picture(tmp_path / "a.png"), "--detector", "none", "--output", tmp_path / "out"]
    code, _, err = command(*words, "--method", "gradcam", "--class", "happy")
    assert code == 0
    assert "By gradcam no place speaks for happy: the map is empty." in err


def test_mistakes_are_one_line(run: RunFolder, moving: RunFolder, command: Command, tmp_path: Path) -> None:
    given = picture(tmp_path / "a.png")
    words = ["explain", run.path, given, "--detector", "none", "--output", tmp_path / "out"]
    assert_one_line(command(*words, "--method", "gradcam", "--class", "hapy"), "Did you mean happy?")
    assert_one_line(command(*words, "--method", "cam"), "--method gradcam")
    assert_one_line(command(*words, "--method", "attention"), "additive attention")
    assert_one_line(command(*words, "--method", "gradcam", "--layer", "nowhere"), "nowhere", "relu")
    assert_one_line(command(*words, "--method", "gradcam", "--every", "-1"), "--every")
    still_in_clips = ["explain", moving.path, given, "--detector", "none", "--method", "saliency"]
    assert_one_line(command(*still_in_clips, "--output", tmp_path / "out"), "over time")
    assert not (tmp_path / "out").exists()


def test_a_video_by_a_network_of_stills(run: RunFolder, command: Command, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 40, 50, 3), dtype=np.uint8)
    film = tmp_path / "film.gif"
    first, *rest = (Image.fromarray(frame) for frame in noise)
    first.save(film, save_all=True, append_images=rest, duration=500, loop=0)
    output = tmp_path / "out"
    words = ["explain", run.path, film, "--detector", "none", "--method", "gradcam", "--output", output]
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    folder = output / "film_gradcam"
    assert sorted(path.name for path in folder.glob("*.png")) == ["000000.png", "000002.png", "000004.png"]
    assert f"{folder}  3 frames" in out
    assert (output / "film_gradcam_time.png").is_file()
    assert (output / "sheet_gradcam.png").is_file()


def test_a_network_of_clips_sees_the_windows_that_predict_sees(moving: RunFolder) -> None:
    """Windows of five frames, every second one, at least three of them: the first map is that of the fifth frame."""
    images = np.random.default_rng(1).integers(0, 256, (12, 40, 50, 3), dtype=np.uint8)
    frames = [Frame(index, index / 10, image) for index, image in enumerate(images)]
    predictor = Predictor(moving.path, detector="none")
    explainer = Explainer(predictor, method="occlusion", target="arousal")
    results = list(predictor.stream(frames, source="film"))
    found = list(explainer.video(results, every_s=0.2))
    assert [result.frame for result, _ in found] == [0, 2, 4, 6, 8, 10]
    assert [len(faces) for _, faces in found] == [0, 0, 1, 1, 1, 1]
    for result, (face,) in found[2:]:
        value = face.target.value(explainer.model(face.inputs, training=False), face.inputs["frame_mask"])
        assert value[0] == pytest.approx(face.value, abs=1e-4)
        np.testing.assert_array_equal(face.crop, predictor.crop(images[result.frame], face.result.face))
        assert face.maps.frames is not None
        assert face.maps.frames.shape == (1, FRAMES)
        assert explainer.overlay(result, [face]).shape == (40, 50, 3)
    by_class = explainer.by_class(found[-1][1][0])
    assert [target.name for target, _, _ in by_class] == ["valence", "arousal"]


def test_the_sheet_over_time_does_not_grow(moving: RunFolder, tmp_path: Path) -> None:
    predictor = Predictor(moving.path, detector="none")
    explainer = Explainer(predictor, method="saliency")
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    results = list(predictor.stream([Frame(n, n / 10, image) for n in range(6)], source="film"))
    ((result, faces),) = list(explainer.video(results, every_s=0.5))[1:]
    sheet = TimeSheet()
    assert sheet.write(tmp_path / "none.png", method="saliency") is None
    for _ in range(5 * MOST_COLUMNS):
        sheet.add(result, faces)
    assert len(sheet._moments) <= MOST_COLUMNS
    assert sheet.write(tmp_path / "sheet.png", method="saliency") == tmp_path / "sheet.png"
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_names() -> None:
    assert name_of("x/face.jpg", {}) == "face"
    assert name_of("y/face.png", {"face": 1, "face-2": 1}) == "face-3"
