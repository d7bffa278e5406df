"""Corruptions of pictures: shapes, seeds and strengths by hand, and the accuracy under them."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from ferkeras.corruptions import SEVERITIES, STRENGTHS, check_names, corrupt
from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.modelcard import write_model_card
from ferkeras.plots import plot_robustness
from ferkeras.robustness import robustness, robustness_table
from ferkeras.runs import RunFolder
from tests.commands import assert_one_line, call
from tests.test_calibration import run  # noqa: F401  a fixture

RANDOM = {"gaussian_noise", "shot_noise", "impulse_noise", "motion_blur", "occlusion", "rotation", "translation"}


def face(height: int = 48, width: int = 48, channels: int = 1) -> np.ndarray:
    """Smooth waves with some noise: neither flat nor black nor white."""
    y, x = np.mgrid[:height, :width] / 48
    waves = 128 + 45 * np.sin(9 * y) * np.cos(7 * x) + 15 * np.sin(40 * x)
    noise = np.random.default_rng(0).normal(0, 6, (height, width, channels))
    return np.clip(waves[..., None] + noise, 0, 255).astype(np.uint8)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_there_are_fifteen_of_five() -> None:
    assert len(STRENGTHS) == 15
    assert {len(strengths) for strengths in STRENGTHS.values()} == {SEVERITIES} == {5}
    assert check_names([]) == list(STRENGTHS)


@pytest.mark.parametrize("name", STRENGTHS)
class TestEach:
    @pytest.mark.parametrize("shape", [(48, 48, 1), (31, 64, 3), (50, 20, 5), (1, 1, 1)])
    def test_any_shape(self, name: str, shape: tuple[int, int, int]) -> None:
        image = face(*shape)
        before = image.copy()
        worse = corrupt(image, name, severity=3)
        assert (worse.shape, worse.dtype) == (shape, np.uint8)
        np.testing.assert_array_equal(image, before)

    def test_it_grows(self, name: str) -> None:
        image = face(channels=3)
        away = [distance(image, corrupt(image, name, severity=severity)) for severity in range(1, SEVERITIES + 1)]
        assert away[0] > 0
        assert away == sorted(away)

    def test_it_depends_on_seed_and_index_alone(self, name: str) -> None:
        image = face()
        first = corrupt(image, name, severity=4, seed=1, index=7)
        np.testing.assert_array_equal(corrupt(image, name, severity=4, seed=1, index=7), first)
        others = [
            corrupt(image, name, severity=4, seed=seed, index=index)
            for seed, index in ((2, 7), (1, 8), (1, 9), (1, 10))
        ]
        assert any(not np.array_equal(other, first) for other in others) == (name in RANDOM)


@pytest.mark.parametrize(
    "name", ["gaussian_blur", "defocus_blur", "low_resolution", "occlusion", "mask", "translation"]
)
def test_lengths_scale_with_the_image(name: str) -> None:
    """A picture of twice the side, corrupted, is the corrupted picture of twice the side."""
    smooth = np.kron(face(12, 12)[..., 0], np.ones((4, 4), np.uint8))[..., None]
    large = np.kron(smooth[..., 0], np.ones((2, 2), np.uint8))[..., None]
    worse = corrupt(large, name, severity=3).reshape(48, 2, 48, 2).mean(axis=(1, 3))[..., None]
    same = distance(corrupt(smooth, name, severity=3), worse)
    assert same < 0.25 * distance(smooth, corrupt(smooth, name, severity=3))


def test_strengths_by_hand() -> None:
    grey = np.full((200, 200, 1), 100, np.uint8)
    noise = corrupt(grey, "gaussian_noise", severity=2).astype(float) - 100
    assert abs(noise.mean()) < 0.5
    assert noise.std() == pytest.approx(255 * 0.08, rel=0.02)
    shot = corrupt(grey, "shot_noise", severity=1).astype(float)
    assert shot.mean() == pytest.approx(100, rel=0.01)
    assert shot.std() == pytest.approx(255 * np.sqrt(100 / 255 / 200), rel=0.03)
    salted = corrupt(grey, "impulse_noise", severity=4)
    assert np.mean(salted == 255) == pytest.approx(0.055, abs=0.005)
    assert np.mean(salted == 0) == pytest.approx(0.055, abs=0.005)
    assert np.all(corrupt(grey, "brightness", severity=1) == 126)  # 100 + 25.5, to the even
    assert np.all(corrupt(grey, "darkness", severity=5) == 10)
    assert np.all(corrupt(grey, "contrast", severity=5) == 100)
    assert np.mean(corrupt(grey, "occlusion", severity=5, index=3) != 100) == pytest.approx(0.36)
    masked = corrupt(grey, "mask", severity=2)
    assert np.all(masked[:150] == 100)
    assert np.all(masked[150:] == 200)
    for name in ("gaussian_blur", "motion_blur", "defocus_blur", "low_resolution", "rotation", "translation"):
        np.testing.assert_array_equal(corrupt(grey, name, severity=5), grey, err_msg=name)


def test_a_disc_of_light_out_of_focus() -> None:
    point = np.zeros((101, 101, 1), np.uint8)
    point[50, 50] = 255
    disc = corrupt(np.repeat(point, 3, axis=-1), "defocus_blur", severity=5)[..., 1]
    y, x = np.nonzero(disc)
    assert np.hypot(y - 50, x - 50).max() == pytest.approx(0.085 * 101, abs=1.5)
    inner = disc[44:57, 44:57]
    assert inner.max() - inner.min() <= 1, "even inside"


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="Known: gaussian_noise"):
        corrupt(face(), "snow", severity=1)
    with pytest.raises(InputError, match="1 to 5"):
        corrupt(face(), "jpeg", severity=0)
    with pytest.raises(InputError, match="uint8"):
        corrupt(face().astype(np.float32), "jpeg", severity=1)


def fake_data(count: int = 10) -> StillPipeline:
    """Images of class 0 and 1 by turns, dark and bright, in batches of four."""

    def evaluation(split: str, *, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        labels = np.arange(count) % 2
        pictures = np.tile((60 + 120 * labels)[:, None, None, None], (1, 8, 8, 1)).astype(np.uint8)
        for first in range(0, count, 4):
            yield pictures[first : first + 4], labels[first : first + 4]

    found = SimpleNamespace(
        evaluation=evaluation, size=lambda split: count, class_names=("dark", "bright"), dataset="fake"
    )
    return cast(StillPipeline, found)


def by_brightness(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Bright is what is brighter than 120 in the mean."""
    mean = pictures.astype(np.float32).mean(axis=(1, 2, 3)) - 120
    return {"emotion": np.stack([-mean, mean], axis=-1)}


def test_accuracy_under_light_by_hand() -> None:
    """Brightness adds 25.5 to 127.5: dark ones, of 60, are bright from the third severity on. Darkness multiplies by
    0.6 and less: bright ones, of 180, are dark from the first on."""
    report = robustness(by_brightness, fake_data(), split="test", names=["brightness", "darkness"])
    accuracies = {name: [one["accuracy"] for one in row["severities"]] for name, row in report["corruptions"].items()}
    assert accuracies == {"brightness": [1.0, 1.0, 0.5, 0.5, 0.5], "darkness": [0.5] * 5}
    assert report["clean"]["accuracy"] == 1.0
    assert report["corruptions"]["brightness"]["mean_accuracy"] == pytest.approx(0.7)
    assert report["mean_corruption_accuracy"] == pytest.approx(0.6)
    # Dark images are right in 7 of 10 forms, bright ones in 5.
    assert report["interval"] == pytest.approx([0.6 - 1.96 * 0.1 / np.sqrt(10), 0.6 + 1.96 * 0.1 / np.sqrt(10)])
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert "brightness" in robustness_table(report)


def test_fewer_examples_are_a_seeded_choice_and_corrupted_alike() -> None:
    seen: dict[int, list[np.ndarray]] = {4: [], 10: []}
    for examples, pictures in seen.items():

        def watched(given: np.ndarray, kept: list[np.ndarray] = pictures) -> dict[str, np.ndarray]:
            kept.append(np.array(given))
            return by_brightness(given)

        report = robustness(watched, fake_data(), split="test", names=["gaussian_noise"], examples=examples, seed=3)
        assert report["n"] == examples
    few, every = (
        {image.tobytes() for batch in batches for image in batch if image.std() > 0} for batches in seen.values()
    )
    assert len(few) == 4 * SEVERITIES
    assert few < every


def test_clips_are_refused() -> None:
    with pytest.raises(InputError, match="still images"):
        robustness(by_brightness, cast(StillPipeline, SimpleNamespace(class_names=())), split="test")


def test_plot(tmp_path: Path) -> None:
    report = robustness(by_brightness, fake_data(), split="test")
    plot_robustness(report, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="corruption"):
        plot_robustness({**report, "corruptions": {}}, tmp_path / "plot.png")


def test_the_command(
    run: RunFolder,  # noqa: F811
    tiny_data_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def evaluate(*words: Any) -> tuple[int, str, str]:
        return call(capsys, "evaluate", run.path, "--data-dir", tiny_data_dir, "--split", "validation", *words)

    assert_one_line(evaluate("--examples", 3), "--examples", "--corruptions")
    assert_one_line(evaluate("--corruptions", "snow"), "snow", "Known")
    assert evaluate("--artifact", "keras")[0] == 0
    code, out, _ = evaluate("--corruptions", "jpeg", "mask")
    assert code == 0
    assert "jpeg" in out
    assert not (run.path / "robustness.json").exists(), "two of them are not the run's robustness"
    code, _, err = evaluate("--corruptions", "--examples", 5)
    assert code == 0
    assert "5 of 5 images" in err
    report = json.loads((run.path / "robustness.json").read_text())
    assert sum(len(row["severities"]) for row in report["corruptions"].values()) == 75
    assert (report["n"], report["split"]) == (5, "validation")
    assert (run.path / "plots" / "robustness.png").is_file()
    assert "Under corruption" in (run.path / "README.md").read_text()

    run.save_model(run.load_model())  # another file: what was measured is of another network
    with (run.path / "model.keras").open("ab") as file:
        file.write(b" ")
    write_model_card(run, json.loads((run.path / "metrics.json").read_text()))
    assert "Under corruption" not in (run.path / "README.md").read_text()
