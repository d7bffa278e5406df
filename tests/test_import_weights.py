"""`ferkeras import-weights`: the run folder it leaves, what the other commands make of it, and what it refuses."""

import csv
import functools
import io
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from ferkeras.cli.command import run_command
from ferkeras.cli.import_weights import PUBLISHED_CLASSES
from ferkeras.errors import InputError
from ferkeras.inference import softmax
from ferkeras.labels import EMOTIONS_WITH_CONTEMPT, canonical
from ferkeras.models.efficientnet_lstm import efficientnet_va
from ferkeras.models.timm_efficientnet import load_efficientnet
from ferkeras.runs import RunFolder
from tests.commands import Command, assert_one_line, call
from tests.golden.efficientnet_cases import SHAPES, images, timm_tensors

GOLDEN = Path(__file__).parent / "golden" / "tf_efficientnet_b0.npz"
INPUT = ("--input", "x".join(map(str, SHAPES["tf_efficientnet_b0"][1:])))
Tensors = dict[str, np.ndarray]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return functools.partial(call, capsys)


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    """Those of the golden network: eight emotions, valence and arousal."""
    with np.load(GOLDEN) as golden:
        return timm_tensors({name: tuple(shape) for name, shape in json.loads(str(golden["shapes"])).items()})


def safetensors(path: Path, tensors: Tensors) -> Path:
    header, data, position = {}, [], 0
    for name, values in tensors.items():
        data.append(values.astype("<f4").tobytes())
        end = position + len(data[-1])
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))
    return path


def rows_of(tensors: Tensors, *rows: int) -> Tensors:
    """`tensors` with these rows of the classifier."""
    return {name: values[list(rows)] if name.startswith("classifier") else values for name, values in tensors.items()}


@pytest.fixture(scope="module")
def file(tensors: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return safetensors(tmp_path_factory.mktemp("weights") / "enet.safetensors", tensors)


@pytest.fixture(scope="module")
def imported(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one, `enet`, and in it nothing but that."""
    runs = tmp_path_factory.mktemp("runs")
    words = [str(file), "--output", str(runs / "enet"), "--source", "https://example.org/enet", *INPUT]
    assert run_command("import-weights", words) == 0
    assert [path.name for path in runs.iterdir()] == ["enet"]
    return runs


def test_published_order_is_that_of_the_english_nouns() -> None:
    nouns = ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise")
    assert tuple(canonical(noun) for noun in nouns) == PUBLISHED_CLASSES
    assert sorted(PUBLISHED_CLASSES) == sorted(EMOTIONS_WITH_CONTEMPT)


def test_run_folder(imported: Path, file: Path) -> None:
    folder = RunFolder.find("enet", root=imported)
    assert folder.labels() == PUBLISHED_CLASSES
    settings = folder.preprocessing()
    assert [settings[key] for key in ("height", "width", "channels", "range")] == [64, 64, 3, [0, 255]]
    recipe = folder.recipe()
    assert recipe.model.name == "efficientnet_va"
    assert recipe.data.classes == PUBLISHED_CLASSES
    assert recipe.data.image_size == (64, 64)
    origin = folder.environment()["imported"]
    assert origin["architecture"] == "tf_efficientnet_b0"
    card = (imported / "enet" / "README.md").read_text()
    for told in ("enet.safetensors", origin["sha256"], "https://example.org/enet", "licence", *PUBLISHED_CLASSES):
        assert told in card, told
    assert folder.is_finished()  # no training begins in it


def test_predict_says_what_pytorch_does(imported: Path, command: Command, tmp_path: Path) -> None:
    """The probabilities of the golden images under the names of their rows, and valence and arousal."""
    faces = [tmp_path / "0.png", tmp_path / "1.png"]
    for path, pixels in zip(faces, images("tf_efficientnet_b0"), strict=True):
        Image.fromarray(pixels).save(path)
    code, out, err = command("predict", "enet", *faces, "--detector", "none", "--runs", imported)
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    with np.load(GOLDEN) as golden:
        expected, affect = softmax(golden["logits"][:, :8]), np.clip(golden["logits"][:, 8:], -1, 1)
    found = [[float(row[name]) for name in PUBLISHED_CLASSES] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6)
    assert [row["emotion"] for row in rows] == [PUBLISHED_CLASSES[index] for index in expected.argmax(axis=-1)]
    told = [[float(row["valence"]), float(row["arousal"])] for row in rows]
    np.testing.assert_allclose(told, affect, rtol=0, atol=5e-6)


def test_evaluate_on_other_classes(tensors: Tensors, command: Command, tiny_data_dir: Path, tmp_path: Path) -> None:
    """Valence and arousal, which are numbers, are in nobody's way."""
    file = safetensors(tmp_path / "w.safetensors", rows_of(tensors, 4, 0, 5, 8, 9))
    run, report = tmp_path / "three", tmp_path / "report.json"
    words = ("--output", run, *INPUT, "--classes", "Happiness", "ANGER", "neutral")
    code, _, err = command("import-weights", file, *words)
    assert code == 0, err
    assert RunFolder(run).labels() == ("happy", "angry", "neutral")
    data = ("--dataset", "tiny_faces", "--data-dir", tiny_data_dir)
    code, _, err = command("evaluate", run, *data, "--split", "test", "--tta", "flip", "--output", report)
    assert code == 0, err
    assert list(json.loads(report.read_text())["per_class"]) == ["happy", "angry", "neutral"]


def test_dry_run_of_a_plain_classifier(tensors: Tensors, command: Command, tmp_path: Path) -> None:
    # As some publish it: the classifier in a sequence, and counters of training.
    plain = {name.replace("classifier.", "classifier.0."): v for name, v in rows_of(tensors, 4, 0, 5).items()}
    file = safetensors(tmp_path / "w.safetensors", {**plain, "bn1.num_batches_tracked": np.zeros(())})
    words = ("--output", tmp_path / "run", *INPUT, "--classes", "happy", "angry", "other", "--dry-run")
    code, out, err = command("import-weights", file, *words)
    assert code == 0, err
    assert "would write" in out
    assert out.endswith("efficientnet_b0 of 64x64x3: happy, angry, other\n")
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_an_existing_folder_is_left_alone(imported: Path, file: Path, command: Command) -> None:
    before = {path: path.stat().st_mtime_ns for path in imported.rglob("*")}
    assert_one_line(command("import-weights", file, "--output", imported / "enet", *INPUT), "already", "--output")
    assert {path: path.stat().st_mtime_ns for path in imported.rglob("*")} == before


class TestMistakes:
    """Exit 2, one line, nothing written."""

    def test_rows_that_are_not_the_classes(self, file: Path, command: Command, tmp_path: Path) -> None:
        words = ("import-weights", file, "--output", tmp_path / "run", *INPUT, "--classes")
        assert_one_line(command(*words, "angry", "happy"), "10 rows and 2 classes", "--classes")
        assert_one_line(command(*words, *PUBLISHED_CLASSES[:-1], "anger"), "different")
        assert list(tmp_path.iterdir()) == []

    def test_wrong_names(self, file: Path, command: Command, tmp_path: Path) -> None:
        words = ("--output", tmp_path / "run", *INPUT)
        assert_one_line(command("import-weights", file, *words, "--architecture", "b0"), "tf_efficientnet_b0")
        assert_one_line(command("import-weights", tmp_path / "w.pt", *words), "no weights file", "w.pt")
        assert list(tmp_path.iterdir()) == []

    def test_another_network(self, command: Command, tmp_path: Path) -> None:
        file = safetensors(tmp_path / "w.safetensors", {"fc.weight": np.zeros((2, 3))})
        assert_one_line(
            command("import-weights", file, "--output", tmp_path / "run", *INPUT), "classifier", "fc.weight"
        )


class TestTensors:
    """`load_efficientnet` says which tensors do not fit, and leaves the model as it was."""

    @pytest.fixture(scope="class")
    def model(self) -> keras.Model:
        return efficientnet_va(input_shape=(64, 64, 3))

    def refused(
        self, model: keras.Model, tensors: Tensors, *told: str, architecture: str = "tf_efficientnet_b0"
    ) -> None:
        before = [np.asarray(weight).copy() for weight in model.weights]
        with pytest.raises(InputError) as caught:
            load_efficientnet(model, tensors, architecture=architecture)
        for words in told:
            assert words in str(caught.value)
        for weight, value in zip(model.weights, before, strict=True):
            np.testing.assert_array_equal(weight, value)

    def test_missing_extra_and_misshaped(self, model: keras.Model, tensors: Tensors) -> None:
        wrong = {name: values for name, values in tensors.items() if name != "blocks.3.1.bn2.running_mean"}
        wrong["blocks.7.0.conv_pw.weight"] = np.zeros((2, 2, 1, 1))
        wrong["conv_head.weight"] = wrong["conv_head.weight"].reshape(320, 1280, 1, 1)
        told = (
            "blocks.3.1.bn2.running_mean is missing",
            "blocks.7.0.conv_pw.weight has no place",
            "conv_head.weight must be (1280, 320, 1, 1) and is (320, 1280, 1, 1)",
        )
        self.refused(model, wrong, *told)

    def test_values(self, model: keras.Model, tensors: Tensors) -> None:
        wrong = {**tensors, "bn2.running_var": -tensors["bn2.running_var"]}
        wrong["bn1.bias"] = np.full_like(tensors["bn1.bias"], np.nan)
        wrong["bn1.weight"] = np.full(32, 1e300)
        wrong["classifier.bias"] = np.zeros(10, np.int64)
        told = (
            "bn2.running_var must not be negative",
            "bn1.bias must be finite",
            "bn1.weight must be finite",
            "classifier.bias must be floating-point and is int64",
        )
        self.refused(model, wrong, *told)

    def test_many_are_counted(self, model: keras.Model, tensors: Tensors) -> None:
        others = {f"module.{name}": values for name, values in tensors.items()}
        self.refused(model, others, "conv_stem.weight is missing", "bn1.weight is missing", f"and {2 * 311 - 12} more")

    def test_a_side_at_which_padding_differs(self, model: keras.Model, tensors: Tensors) -> None:
        self.refused(model, tensors, "32 k + 1", "64x64", "225", architecture="efficientnet_b0")
