"""Frames read one after another give what the whole clip gives, at a cost that does not grow."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.export import litert, litert_convert
from ferkeras.export.litert import export_litert, load_litert, operators
from ferkeras.export.litert_metadata import read_metadata
from ferkeras.export.litert_streaming import Stream
from tests.test_litert import read_alone
from tests.tiny_networks import AFFECT, EMOTION, FRAMES, SIDE, clip, clips, described, still

CLIPS = 100


@pytest.fixture(scope="module")
def here():
    """Converts in this process: one of its own costs an import of TensorFlow."""

    def convert(source, target, *, signatures, quantize="none", representative=None):
        litert_convert.convert(source, target, signatures=signatures, quantize=quantize, representative=representative)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litert, "convert_in_child", convert)
        yield


@pytest.fixture(scope="module")
def deep(here, tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Path]:
    """Two LSTM layers; emotion."""
    model = clip(EMOTION, depth=2, dropout=0.5)
    path = tmp_path_factory.mktemp("deep") / "float32.tflite"
    return model, export_litert(model, path, interface=described(model), streaming=True)


def streamed(path: Path, given: dict[str, np.ndarray]) -> list[list[dict[str, np.ndarray]]]:
    """Outputs of each frame that the mask shows, clip by clip."""
    stream, found = Stream(path, num_threads=1), []
    for frames, mask in zip(given["frames"], given["frame_mask"], strict=True):
        stream.reset()
        found.append([stream(frame) for frame in frames[mask]])
    return found


def test_a_clip_read_frame_by_frame_equals_the_whole(deep):
    model, path = deep
    given = clips(CLIPS)
    last = np.stack([outputs[-1]["emotion"] for outputs in streamed(path, given)])
    np.testing.assert_allclose(last, load_litert(path)(given)["emotion"], atol=1e-4)
    np.testing.assert_allclose(last, model(given)["emotion"], atol=1e-4)
    assert last.std(axis=0).min() > 1e-2  # a tolerance says something only where the clips differ


def test_outputs_of_each_frame_by_a_gru(here, tmp_path):
    model = clip(AFFECT, cell="gru", per_frame=True)
    path = export_litert(model, tmp_path / "gru.tflite", interface=described(model, AFFECT), streaming=True)
    given = clips(CLIPS)
    expected = model(given)
    for index, outputs in enumerate(streamed(path, given)):
        for head in AFFECT:
            shown = np.asarray(expected[head])[index][given["frame_mask"][index]]
            np.testing.assert_allclose([output[head] for output in outputs], shown, atol=1e-4)
    assert read_metadata(path)["signatures"]["step"]["states"] == ["gru1_h"]


def test_one_file_holds_both_forms_and_the_weights_once(here, deep, tmp_path):
    model, path = deep
    about = read_metadata(path)["signatures"]
    assert list(about) == ["serving_default", "step"]
    assert about["step"]["states"] == ["lstm1_c", "lstm1_h", "lstm2_c", "lstm2_h"]
    assert about["step"]["inputs"]["image"]["shape"] == [1, SIDE, SIDE, 1]
    assert not [name for name in operators(path) if "CUSTOM" in name]
    alone = export_litert(model, tmp_path / "alone.tflite", interface=described(model))
    parameters = 4 * model.count_params()
    assert path.stat().st_size - alone.stat().st_size < parameters  # the graph of the step, and no weights again


def test_the_metadata_alone_is_enough_to_stream(deep, tmp_path):
    model, path = deep
    frames = clips(1)["frames"]
    found = read_alone(path, frames[0], tmp_path)
    expected = model({"frames": frames, "frame_mask": np.ones((1, FRAMES), bool)})["emotion"]
    np.testing.assert_allclose(found["whole"]["emotion"], expected, atol=1e-4)
    np.testing.assert_allclose(found["last"]["emotion"], expected, atol=1e-4)


def test_models_that_need_the_whole_clip_are_refused(tmp_path):
    def refused(model: keras.Model, message: str) -> None:
        with pytest.raises(InputError, match=message):
            export_litert(model, tmp_path / "x.tflite", interface=described(model), streaming=True)

    refused(clip(bidirectional=True), "bilstm1 reads the clip from both ends")
    refused(still(), "no encoder of single frames")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_steps_and_a_wrong_frame_are_explained(here, deep, tmp_path):
    model, path = deep
    stream: Any = Stream(path)
    with pytest.raises(InputError, match=r"shape \(1, 3, 3, 1\)"):
        stream(np.zeros((3, 3, 1)))
    alone = export_litert(model, tmp_path / "alone.tflite", interface=described(model))
    with pytest.raises(InputError, match="does not read frame by frame"):
        Stream(alone)
