"""The trained runs in the repository: small enough, with cards that are true, and files that say the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from ferkeras.artifacts import open_artifact
from ferkeras.data.preprocess import Preprocessing
from ferkeras.inference import Runner, softmax
from ferkeras.modelcard import write_model_card
from ferkeras.prediction.predictor import Predictor
from ferkeras.runs import RunFolder
from tfds_builders.fer2013.reading import read_examples

ROOT = Path(__file__).parents[1] / "saved_models"
ON_FER2013 = ("fer_vgg_distilled_fer2013", "fer_mobile", "vgg11_lstm_attention_fer2013")
SHIPPED = (*ON_FER2013, "efficientnet_lstm_synthetic")
MOST_BYTES = 60e6
FACE = (slice(40, 200), slice(140, 300))  # of the portrait
#: Where paths of a machine begin.
FOLDERS = ("/tmp/", "/home/", "/root/", "/Users/", "/work/")
#: The most by which a probability may differ from the network's on a portrait, and an accuracy from the card's: the
#: arithmetic of another processor moves a face or two across a border, and eight bits a few more.
MOST_APART = {"float16.tflite": 0.01, "int8.tflite": 0.15}
MOST_OFF = {"keras": 0.001, "float16.tflite": 0.001, "int8.tflite": 0.005}


def files(name: str) -> list[Path]:
    return [path for path in (ROOT / name).rglob("*") if path.is_file()]


def test_all_of_them_are_small_enough() -> None:
    assert sum(path.stat().st_size for name in SHIPPED for path in files(name)) <= MOST_BYTES


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_says_what_was_measured(name: str, tmp_path: Path) -> None:
    copy = RunFolder(Path(shutil.copytree(ROOT / name, tmp_path / name)))
    metrics = json.loads((copy.path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["split"] == "validation"
    assert [path.name for path in sorted(copy.path.glob("litert/*.tflite"))] == [
        Path(path).name for path in sorted(metrics["artifacts"])
    ]
    write_model_card(copy, metrics)
    assert (copy.path / "README.md").read_text(encoding="utf-8") == (ROOT / name / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_tells_of_the_machine(name: str) -> None:
    for path in files(name):
        if path.suffix in (".json", ".md", ".csv"):
            text = path.read_text(encoding="utf-8")
            assert not [folder for folder in FOLDERS if folder in text], path


def portraits(folder: RunFolder) -> dict[str, np.ndarray] | np.ndarray:
    """A face in four lights, as the run takes it: images (4, H, W, C), or clips of them (4, T, H, W, C)."""
    stored = folder.preprocessing()
    prepare = Preprocessing(stored["height"], stored["width"], stored["channels"])
    face = skimage.data.astronaut()[FACE]
    images = np.stack([prepare(np.uint8(face * light)) for light in (0.25, 0.5, 0.75, 1.0)])
    if "frames" not in stored:
        return images
    clips = np.repeat(images[:, None], stored["frames"], axis=1)
    return {"frames": clips, "frame_mask": np.ones(clips.shape[:2], bool)}


def probabilities(run: Runner, inputs: dict[str, np.ndarray] | np.ndarray) -> dict[str, np.ndarray]:
    return {head: softmax(logits) for head, logits in run(inputs).items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_files_say_what_the_network_says(name: str) -> None:
    folder = RunFolder(ROOT / name)
    inputs = portraits(folder)
    expected = probabilities(open_artifact(folder, "keras"), inputs)
    for path in sorted(folder.path.glob("litert/*.tflite")):
        found = probabilities(open_artifact(folder, path.name), inputs)
        assert found.keys() == expected.keys()
        for head, values in expected.items():
            np.testing.assert_allclose(found[head], values, atol=MOST_APART[path.name], rtol=0)


@pytest.fixture(scope="module")
def public_test(fer2013_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Faces (3589, 48, 48, 1) of PublicTest and the names of their emotions."""
    examples = read_examples(fer2013_dir)["validation"]
    return np.stack([example.image.reshape(48, 48, 1) for example in examples]), np.array([e.emotion for e in examples])


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:.*is not the complete FER2013")
@pytest.mark.parametrize("name", ON_FER2013)
def test_accuracy_on_real_faces_is_that_of_the_card(name: str, public_test: tuple[np.ndarray, np.ndarray]) -> None:
    folder = RunFolder(ROOT / name)
    metrics = json.loads((folder.path / "metrics.json").read_text(encoding="utf-8"))
    files = {Path(path).name: row["scores"]["accuracy"] for path, row in metrics["artifacts"].items()}
    faces, truth = public_test
    labels = np.array(folder.labels())
    for artifact, accuracy in ({"keras": metrics["accuracy"]} | files).items():
        run = open_artifact(folder, artifact)
        found = np.concatenate([run(batch)["emotion"].argmax(-1) for batch in np.array_split(faces, 15)])
        assert np.mean(labels[found] == truth) == pytest.approx(accuracy, abs=MOST_OFF[artifact]), artifact


def test_a_portrait_is_judged_without_naming_a_run() -> None:
    """What `ferkeras predict portrait.png` says of a smiling woman, with her face found and turned upright."""
    (found,) = Predictor(RunFolder.default(root=ROOT).path)(skimage.data.astronaut())
    assert found.emotion == "happy"
    assert found.scores.probabilities.max() > 0.5
