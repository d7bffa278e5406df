"""What surrounds the answers of the page: markup, visitors, about, explanations; and how the command cannot begin."""

import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.app import markup, server
from ferkeras.app.about import about
from ferkeras.app.explanation import SIDE, Explainer
from ferkeras.app.model import Model
from ferkeras.app.session import MOST, Sessions
from ferkeras.errors import InputError, MissingExtraError
from ferkeras.modelcard import LIMITS
from ferkeras.prediction.result import FaceResult, FrameResult, Scores
from ferkeras.runs import RunFolder
from tests import tiny_networks
from tests.commands import assert_one_line, call
from tests.fake_app import Fake, Texts, face
from tests.tiny_runs import still_run


def test_markup_escapes_and_bounds() -> None:
    rows = [{"source": "<script>", "value": None}, {"value": 0.5}] * markup.MOST_ROWS
    table = Texts(markup.table(rows, ["source", "value"], caption="<b>"))
    assert "script" not in table.tags
    assert table.tags.count("tr") == markup.MOST_ROWS + 1
    assert f"{markup.MOST_ROWS} more rows are in the file." in table.texts
    assert "b" not in Texts(markup.status("<b>", done=0.5)).tags
    assert "b" not in Texts(markup.live("data:image/jpeg;base64,", '"><b>', "<b>")).tags


def test_faces_without_scores_and_without_classes() -> None:
    waiting = FaceResult(face().face, None, None)
    affect = FaceResult(face(1).face, Scores(None, -0.5, 0.25), None)
    result = FrameResult("a", 0, None, None, (waiting, affect))
    assert markup.sentence(result) == (
        "2 faces: person 0 not seen for long enough yet; person 1 valence -0.50, arousal +0.25."
    )
    bars = markup.bars(result, ())
    assert "margin-left:25.0%;width:25.0%" in bars  # from -0.5 to 0 on the scale from -1 to 1
    assert "margin-left:50.0%;width:12.5%" in bars


def test_what_a_visitor_leaves_is_removed(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    session, other = sessions.get("a"), sessions.get("b")
    assert sessions.get("a") is session
    own, shared = tmp_path / "1" / "own.png", tmp_path / "2" / "shared.png"
    for path in (own, shared):
        path.parent.mkdir()
        path.touch()
        session.uploaded(str(path))
    other.uploaded(str(shared))
    with session.results() as folder:
        (folder / "kept.jpg").touch()
    with pytest.raises(InputError), session.results() as failed:
        raise InputError("Failed")
    assert folder.exists()
    assert not failed.exists()
    sessions.close("a")
    assert session.stop.is_set()
    assert {path.name for path in tmp_path.iterdir()} == {"2", other.folder.name}
    sessions.close("b")
    assert not list(tmp_path.iterdir())
    sessions.close("unknown")


def test_only_the_idle_are_forgotten(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    busy, idle = sessions.get("busy"), sessions.get("idle")
    with busy.results():
        for number in range(MOST):
            sessions.get(str(number))
        assert busy.folder.exists()
        assert not idle.folder.exists()
        assert sessions.get("busy") is busy
    assert len(list(tmp_path.iterdir())) == MOST


def test_about(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a_run")
    folder.path.mkdir()
    with pytest.raises(InputError, match="model card"):
        about([folder])
    card = f"# a_run\n\nMade of wax.\n\n## Results\n\n![plot](plots/a.png)\n\n## Limits\n\n{LIMITS}\n"
    (folder.path / "README.md").write_text(card)
    text = about([folder])
    assert text.count(LIMITS) == 1
    assert "## Model: a_run\n\nMade of wax.\n\n### Results" in text
    assert "plots/" not in text
    assert "2024/1689" in text
    assert "Apache" in text


def test_explanation(tmp_path: Path) -> None:
    predictor = Fake(tmp_path / "run")
    still_run(tmp_path / "run", tiny_networks.BOTH)
    explainer = Explainer(Model(predictor))
    assert explainer.targets == (*tiny_networks.EMOTION["emotion"], "valence", "arousal")
    crop = tiny_networks.images(1)[0]
    path, speaks = explainer(crop, "happy", "gradcam", tmp_path)
    with Image.open(path) as image:
        assert image.size == (SIDE, SIDE)
        pixels = np.asarray(image).astype(int)
    assert speaks == bool(np.ptp(pixels, axis=-1).any())  # a grey face has colour only where the map has some
    with pytest.raises(InputError, match="does not have this class"):
        explainer(crop, "bored", "gradcam", tmp_path)


def test_an_address_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match=r"cannot be used.*--port"):
            server.check_address("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InputError, match="cannot be used"):
        server.check_address("no.such.host.invalid", 7860)
    with pytest.raises(InputError, match="65535"):
        server.check_address("127.0.0.1", 70000)


def test_without_gradio(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[app\]"):
        server.check_gradio()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    assert_one_line(call(capsys, "app", tmp_path / "run"), "ferkeras[app]")


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert_one_line(call(capsys, "app", "absent", "--runs", tmp_path), "no run of this name", "absent")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    assert_one_line(call(capsys, "app", "run", "--runs", tmp_path, "--compare", "absent"), "absent")
    assert_one_line(call(capsys, "app", "run", "--runs", tmp_path, "--max-upload", 0), "--max-upload")
