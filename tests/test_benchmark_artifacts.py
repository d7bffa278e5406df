"""The forms of a network side by side: percentiles and ratios by hand, children that fail, real files in order."""

import json
import pickle
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ferkeras import benchmark_artifacts
from ferkeras.benchmark_artifacts import Candidate, Measured, candidates_of, measure
from ferkeras.errors import InputError
from ferkeras.export.operator_profile import OperatorUse, operator_profile
from ferkeras.runs import RunFolder
from tests.commands import assert_one_line, call

SIDE = 8


@pytest.fixture(scope="module")
def litert_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One convolution and one dense layer, with the signatures `serving_default` and `step`, in a run folder."""
    kernel, dense = tf.ones((3, 3, 1, 4)), tf.ones((4, 2))

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 1), tf.float32, name="image")])
        def whole(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            maps = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME"))
            return {"emotion": tf.reduce_mean(maps, (1, 2)) @ dense}

        @tf.function(
            input_signature=[
                tf.TensorSpec((1, SIDE, SIDE, 1), tf.float32, name="image"),
                tf.TensorSpec((1, 1), tf.float32, name="state"),
            ]
        )
        def step(self, image: tf.Tensor, state: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"emotion": tf.reduce_mean(image, (1, 2)) + state, "state": state + 1.0}

    network = Network()
    folder = tmp_path_factory.mktemp("run")
    signatures = {"serving_default": network.whole, "step": network.step}
    tf.saved_model.save(network, str(folder / "network"), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "network"), signature_keys=list(signatures))
    path = folder / "litert" / "float32.tflite"
    path.parent.mkdir()
    path.write_bytes(converter.convert())
    image = keras.Input((SIDE, SIDE, 1), name="image")
    logits = layers.Dense(2, name="emotion")(layers.GlobalAveragePooling2D(name="pool")(image))
    RunFolder(folder).save_model(keras.Model(image, {"emotion": logits}))
    return path


def test_candidates_are_what_there_is(litert_file: Path) -> None:
    folder = RunFolder(litert_file.parents[1])
    found = candidates_of(folder)
    names = [(candidate.name, candidate.signature) for candidate in found]
    default = "serving_default"
    assert names == [("keras", default), ("float32.tflite", default), ("float32.tflite, step", "step")]
    assert found[0].bytes == (folder.path / "model.keras").stat().st_size
    assert found[1].bytes == litert_file.stat().st_size
    assert pickle.loads(pickle.dumps(found)) == found, "they travel to another process"


def test_files_are_measured_in_processes_of_their_own(litert_file: Path, tmp_path: Path) -> None:
    """LiteRT alone, whose child needs no TensorFlow; a file that is none costs nobody else anything."""
    (tmp_path / "text.tflite").write_text("this is not a model")
    candidates = [
        Candidate("whole", "litert", litert_file),
        Candidate("broken", "litert", tmp_path / "text.tflite"),
        Candidate("step", "litert", litert_file, "step"),
    ]
    options: dict[str, Any] = {"threads": 1, "rounds": 2, "seconds": 0.0, "batches": (1, 2)}
    found, failed = measure(candidates, {"image": (SIDE, SIDE, 1)}, **options)
    assert [result.name for result in found] == ["whole", "step"]
    assert list(failed) == ["broken"]
    for result in found:
        assert len(result.latencies) == 2 * 3, "three calls at least in each round"
        assert 0 < result.percentile(50) <= result.percentile(95) <= max(result.latencies)
        assert set(result.throughput) == {1, 2}
        assert result.ready > 0
        assert result.libraries is None or 5e6 < result.libraries < result.peak < 2e8, "no TensorFlow in that process"
    assert found[0].ratio == 1.0


def test_a_child_that_dies_is_told(litert_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def send(self, order: object) -> None:
            raise BrokenPipeError

    class Child:
        def __enter__(self) -> Gone:
            return Gone()

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(benchmark_artifacts, "_child", lambda *_: Child())
    found, failed = measure([Candidate("a", "litert", litert_file)], {"image": (SIDE, SIDE, 1)}, threads=1)
    assert found == []
    assert "killed" in failed["a"]


def test_ratios_and_rates_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine is twice as fast in the second round: no ratio changes by that."""
    answers = {
        "slow": iter([0.5, [4.0, 6.0, 5.0], [2.5], (10, 30), 8.0, 16.0]),
        "fast": iter([0.1, [1.0], [0.5, 0.4, 0.6], (1, 3), None, None]),
    }

    class Child:
        def __init__(self, candidate: Candidate, *_: object) -> None:
            self.name = candidate.name

        def __enter__(self) -> "Child":
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def send(self, order: tuple[object, ...]) -> None:
            turns.append((self.name, order[0]))

        def recv(self) -> tuple[bool, object]:
            return True, next(answers[self.name])

    turns: list[tuple[str, object]] = []
    monkeypatch.setattr(benchmark_artifacts, "_child", Child)
    candidates = [Candidate(name, "litert", tmp_path) for name in answers]
    (slow, fast), failed = measure(candidates, {}, threads=2, rounds=2, batches=(64,))
    assert failed == {}
    assert (slow.ratio, fast.ratio) == (1.0, 0.2)
    assert slow.latencies == (4.0, 6.0, 5.0, 2.5)
    assert slow.percentile(50) == 4.5
    assert slow.throughput == {64: 12.0}
    assert fast.throughput == {}, "a batch that is too large is left out"
    assert (slow.ready, slow.libraries, slow.peak) == (0.5, 10, 30)
    order = [name for name, what in turns if what == "latency"]
    assert order == ["slow", "fast", "slow", "fast"], "in turns"


def test_calls_are_limited_by_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0, 1e4, 0.25))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert benchmark_artifacts._latencies(lambda _: None, {}, seconds=0) == [0.25] * 3
    assert len(benchmark_artifacts._latencies(lambda _: None, {}, seconds=1e6)) == 100
    large = {"frames": (16, 224, 224, 3)}
    assert benchmark_artifacts._throughput(lambda _: None, large, batch=64) is None


def test_operators_are_counted_with_their_weights(litert_file: Path, tmp_path: Path) -> None:
    uses = {use.name: use for use in operator_profile(litert_file)}
    assert uses["CONV_2D"] == OperatorUse("CONV_2D", 1, 4 * (3 * 3 * 4 + 4)), "kernel and bias, float32"
    assert uses["FULLY_CONNECTED"].bytes >= 4 * 4 * 2
    assert uses["MEAN"].count == 2, "one of each signature"
    (tmp_path / "text.tflite").write_text("no")
    with pytest.raises(InputError, match="LiteRT model file"):
        operator_profile(tmp_path / "text.tflite")


def test_the_command_prints_markdown(
    litert_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny_recipe: Any
) -> None:
    folder = RunFolder(litert_file.parents[1])
    folder.write_json("recipe.json", json.loads(tiny_recipe.to_json()))
    folder.write_json("preprocessing.json", {"height": SIDE, "width": SIDE, "channels": 1})
    asked = []

    def measured(candidates: Any, shapes: Any, **options: Any) -> tuple[list[Measured], dict[str, str]]:
        asked.append((shapes, options))
        result = Measured(
            candidates[0].name, 2_000_000, options["threads"], 0.5, (0.001, 0.003), 1.0, {8: 1234.5}, None, None
        )
        return [result], {"keras": "broken"}

    monkeypatch.setattr(benchmark_artifacts, "measure", measured)
    code, out, err = call(capsys, "benchmark", folder.path, "--part", "artifacts", "--rounds", "2")
    assert code == 0
    assert [shapes for shapes, _ in asked] == [{"image": (SIDE, SIDE, 1)}] * 2
    assert [options["threads"] for _, options in asked] == [1, 2]
    assert "| keras | 2.0 | 1 | 0.50 | 2 | 2.9 | 2.98 | 1.00 | -, - | 2 |" in out
    assert "| keras | - | 1234 | - |" in out
    assert "| CONV_2D | 1 | 0.2 |" in out
    assert "keras with 1 threads: broken" in err
    result = call(capsys, "benchmark", folder.path, "--part", "artifacts", "--artifact", "int8.tflite")
    assert_one_line(result, "no such artefact", "int8.tflite", "float32.tflite, step")
    assert_one_line(call(capsys, "benchmark", folder.path, "--rounds", "0"), "--rounds")
