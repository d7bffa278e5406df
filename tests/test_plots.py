"""The plots: whole PNG files of the right size and content, no leftovers, no global state."""

import sys

import cv2
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.metrics import classification_report
from ferkeras.plots import plot_confusion_matrix, plot_curves, plot_grid, plot_reliability

HISTORY = [
    {"epoch": 1, "loss": 1.8, "val_loss": 1.7, "accuracy": 0.3, "val_accuracy": 0.35, "learning_rate": 1e-3},
    {"epoch": 2, "loss": 1.5, "val_loss": 1.6, "accuracy": 0.45, "val_accuracy": 0.4, "learning_rate": 1e-4},
]
TRIALS = [
    {"seed": "0", "batch_size": "32", "val_accuracy": 0.5},
    {"seed": "0", "batch_size": "64", "val_accuracy": "0.6"},
    {"seed": "1", "batch_size": "32", "val_accuracy": None},
    {"seed": "1", "batch_size": "64", "val_accuracy": 0.4},
]
BINS = classification_report([0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]], "ab")["reliability"]


def draw_curves(path):
    plot_curves(HISTORY, path)


def draw_confusion_matrix(path):
    plot_confusion_matrix([[8, 2], [1, 9]], ["happy", "sad"], path)


def draw_reliability(path):
    plot_reliability(BINS, 0.1, path)


def draw_grid(path):
    plot_grid(TRIALS, path, keys=["batch_size", "seed"], best=1)


def colours(path):
    """The picture's distinct colours as RGB hexadecimal numbers."""
    picture = cv2.imread(str(path))
    assert picture is not None
    return {f"#{r:02X}{g:02X}{b:02X}" for b, g, r in np.unique(picture.reshape(-1, 3), axis=0)}


@pytest.mark.parametrize("draw", [draw_curves, draw_confusion_matrix, draw_reliability, draw_grid])
def test_a_whole_png_and_nothing_else(draw, tmp_path):
    path = tmp_path / "plots" / "picture.png"
    draw(path)
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG\r\n\x1a\n")
    draw(path)
    assert path.read_bytes() == first, "the same data gives the same bytes"
    assert [entry.name for entry in path.parent.iterdir()] == ["picture.png"]
    with pytest.raises(InputError, match=r"\.png file\. Received: .*picture\.jpg"):
        draw(tmp_path / "picture.jpg")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_curves_have_one_panel_for_each_quantity(tmp_path):
    plot_curves(HISTORY, tmp_path / "three.png")
    plot_curves([{"loss": "1.5"}, {"loss": ""}, {"loss": "1.0"}], tmp_path / "one.png")
    three, one = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("three", "one"))
    assert three.shape[1] == 3 * one.shape[1]
    assert {"#0072B2", "#D55E00"} <= colours(tmp_path / "three.png")
    assert "#D55E00" not in colours(tmp_path / "one.png"), "without validation there is no second line"


def test_curves_take_other_quantities_and_a_rate_that_reaches_zero(tmp_path):
    rows = [{"valence_ccc": 0.1, "learning_rate": 0.1}, {"valence_ccc": 0.2, "learning_rate": 0.0}]
    plot_curves(rows, tmp_path / "curves.png", quantities=("valence_ccc", "learning_rate"))
    assert "#0072B2" in colours(tmp_path / "curves.png")


def test_a_class_without_examples_is_grey(tmp_path):
    plot_confusion_matrix([[3, 1], [0, 0]], ["happy", "sad"], tmp_path / "absent.png")
    plot_confusion_matrix([[3, 1], [0, 1]], ["happy", "sad"], tmp_path / "present.png")
    grey = [
        np.mean(np.all(cv2.imread(str(tmp_path / f"{name}.png")) == 0xE5, axis=-1)) for name in ("absent", "present")
    ]
    assert grey[0] > 0.1, "half of the matrix"
    assert grey[1] < 0.001, "no more than the edges of letters"


def test_a_grid_has_a_panel_for_each_key_and_one_marked_trial(tmp_path):
    def marked(keys, best):
        """Columns of pixels of the marks, the legend below left out."""
        path = tmp_path / "grid.png"
        plot_grid(TRIALS, path, keys=keys, best=best)
        picture = cv2.imread(str(path))
        red = np.all(picture == (0x00, 0x5E, 0xD5), axis=-1)
        return picture.shape, np.flatnonzero(red[: round(0.85 * len(red))].any(axis=0))

    shape, places = marked(["batch_size", "seed"], 1)
    assert len(np.flatnonzero(np.diff(places) > 1)) == 1, "one mark in each of two panels"
    middle = shape[1] / 2
    wide, narrow = marked(["batch_size"] * 6, 1)[0], marked(["batch_size"], 1)[0]
    assert wide[0] > 1.5 * narrow[0], "a second line of panels"
    assert wide[1] > 3 * narrow[1]
    low, high = (marked(["seed"], best)[1].mean() for best in (1, 3))
    assert low < high, "the values stand in the order of the rows"
    assert places.min() < middle < places.max()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda path: plot_curves([], path), "Received: 0 rows"),
        (lambda path: plot_curves([{"time": 1}], path), r"loss, accuracy.*Received: 1 rows.*time"),
        (lambda path: plot_confusion_matrix([[1, 2]], ["a", "b"], path), r"Received: shape \(1, 2\)"),
        (lambda path: plot_confusion_matrix([[1, -2], [0, 0]], ["a", "b"], path), "Received: "),
        (lambda path: plot_reliability([], 0.0, path), "Received: 0 bins"),
        (lambda path: plot_grid(TRIALS[2:3], path, keys=["seed"], best=0), "Received: 1 rows, 1 keys"),
        (lambda path: plot_grid(TRIALS, path, keys=[], best=0), "Received: 4 rows, 0 keys"),
    ],
)
def test_mistakes_are_told(draw, message, tmp_path):
    with pytest.raises(InputError, match=message):
        draw(tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())
