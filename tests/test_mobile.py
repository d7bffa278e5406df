"""The mobile guide and its test vector: complete, with the names of the model, and true."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ai_edge_litert")

from ai_edge_litert.interpreter import Interpreter

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.export.mobile import write_mobile
from ferkeras.runs import RunFolder
from tests import tiny_litert
from tests.tiny_litert import FRAMES, HEIGHT, HIDDEN, WIDTH


def read(folder: RunFolder) -> tuple[str, dict, np.ndarray]:
    guide = write_mobile(folder)
    vector = json.loads((guide.parent / "test_vector.json").read_text())
    with Image.open(guide.parent / vector["input"]) as image:
        return guide.read_text(), vector, np.asarray(image)


def check(given: dict[str, list[float]], expected: dict[str, np.ndarray]) -> None:
    logits = np.array(given["emotion"])
    probabilities = np.exp(logits - logits.max())
    np.testing.assert_allclose(probabilities / probabilities.sum(), expected["probabilities"], atol=2e-4)
    assert given["valence"] == pytest.approx([expected["valence"]], abs=2e-4)
    assert given["arousal"] == pytest.approx([expected["arousal"]], abs=2e-4)


def test_still(tmp_path: Path) -> None:
    folder = tiny_litert.still_run(tmp_path / "run")
    guide, vector, pixels = read(folder)
    [result] = vector["results"]
    assert (vector["signature"], result["frames"]) == ("serving_default", 1)
    check(result["outputs"], tiny_litert.expected(pixels))
    with Image.open(folder.path / "litert" / vector["picture"]) as picture:
        again = Preprocessing(HEIGHT, WIDTH, 1)(np.asarray(picture))
    np.testing.assert_array_equal(np.asarray(again)[..., 0], pixels)
    assert pixels.std() > 20  # there is something to see in it
    assert f"float32 (1, {HEIGHT}, {WIDTH}, 1)" in guide
    assert all(f"{value:.4f}" in guide for values in result["outputs"].values() for value in values)
    assert 'createInputBuffer("image", "serving_default")' in guide
    assert 'signatureRunner(with: "serving_default")' in guide


def test_streaming_follows_the_states(tmp_path: Path) -> None:
    guide, vector, pixels = read(tiny_litert.clip_run(tmp_path / "run", streaming=True))
    assert vector["signature"] == "step"
    assert [result["frames"] for result in vector["results"]] == [1, FRAMES]
    for result in vector["results"]:
        assert set(result["outputs"]) == {"emotion", "valence", "arousal"}
        check(result["outputs"], tiny_litert.expected_stream([pixels] * result["frames"]))
    assert f'mapOf("lstm1_h" to {HIDDEN})' in guide
    assert f'["lstm1_h": {HIDDEN}]' in guide
    assert "frame_mask" not in guide


def test_window_masks_what_is_missing(tmp_path: Path) -> None:
    guide, vector, pixels = read(tiny_litert.clip_run(tmp_path / "run", streaming=False))
    for result in vector["results"]:
        check(result["outputs"], tiny_litert.expected_stream([pixels] * result["frames"]))
    assert f"bool (1, {FRAMES})" in guide
    assert f"private let frames = {FRAMES}" in guide


@pytest.mark.parametrize("streaming", [None, False, True])
def test_the_code_names_what_the_file_has(tmp_path: Path, streaming: bool | None) -> None:
    run = tmp_path / "run"
    folder = tiny_litert.still_run(run) if streaming is None else tiny_litert.clip_run(run, streaming=streaming)
    guide, vector, _ = read(folder)
    assert "{{" not in guide
    runner = Interpreter(str(run / "litert" / "float32.tflite")).get_signature_runner(vector["signature"])
    names = set(runner.get_input_details()) | set(runner.get_output_details())
    for language in ("kotlin", "swift"):
        [code] = re.findall(rf"```{language}\n(.*?)```", guide, re.DOTALL)
        assert all(f'"{name}"' in code for name in names), language
        for opening, closing in ("{}", "()", "[]"):
            assert code.count(opening) == code.count(closing) > 0


def test_without_a_file(tmp_path: Path) -> None:
    folder = tiny_litert.still_run(tmp_path / "run")
    (folder.path / "litert" / "float32.tflite").unlink()
    with pytest.raises(InputError, match="--format litert"):
        write_mobile(folder)
    assert not list((folder.path / "litert").iterdir())
