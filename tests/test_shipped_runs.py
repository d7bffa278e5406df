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
from ferkeras.runs import RunFolder

ROOT = Path(__file__).parents[1] / "saved_models"
SHIPPED = ("efficientnet_lstm_synthetic",)
MOST_BYTES = 60e6
FACE = (slice(40, 200), slice(140, 300))  # of the portrait
#: Where paths of a machine begin.
FOLDERS = ("/tmp/", "/home/", "/root/", "/Users/", "/work/")
#: The most by which a probability may differ from the network's.
MOST_APART = {"float16.tflite": 0.01, "int8.tflite": 0.15}


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
