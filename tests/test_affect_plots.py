"""The plots of valence and arousal: whole PNG files that show what they are given."""

import cv2
import numpy as np
import pytest

from ferkeras.affect_plots import plot_affect_over_time, plot_affect_plane, plot_bin_confusion
from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED

TRUE = np.array([0, 2, 5, 5, UNLABELLED, -3])
PREDICTED = np.array([0.1, 0.15, 0.4, 0.6, 0.3, np.nan])


def draw_time(path):
    plot_affect_over_time(TRUE, TRUE, PREDICTED, PREDICTED, path, fps=25, title="clip 1")


def draw_plane(path):
    plot_affect_plane(TRUE, -np.abs(TRUE), PREDICTED, PREDICTED, path)


def draw_confusion(path):
    plot_bin_confusion(np.eye(21, dtype=int), path, output="valence")


def share(path, colour):
    """The part of the picture that has the colour (red, green, blue)."""
    return np.mean(np.all(cv2.imread(str(path)) == colour[::-1], axis=-1))


@pytest.mark.parametrize("draw", [draw_time, draw_plane, draw_confusion])
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


def test_prediction_and_truth_are_both_seen_and_gaps_are_gaps(tmp_path):
    blue = (0x00, 0x72, 0xB2)
    orange = (0xE6, 0x9E, 0x65)  # vermillion of opacity 0.6 on white
    bins = np.arange(-10, 11)
    parts = {}
    for name, true, predicted in (
        ("equal", bins, bins / 10),
        ("no truth", np.full(21, UNLABELLED), bins / 10),
        ("no prediction", bins, np.full(21, np.nan)),
    ):
        path = tmp_path / f"{name}.png"
        plot_affect_over_time(true, true, predicted, predicted, path)
        picture = cv2.imread(str(path)).astype(int)[:700]  # without the legend
        parts[name] = [np.sum(np.abs(picture - np.array(c[::-1])).sum(axis=-1) < 12) for c in (blue, orange)]
    assert min(parts["equal"]) > 500
    assert parts["no truth"][0] > 500
    assert parts["no truth"][1] == 0
    assert parts["no prediction"][0] == 0
    assert parts["no prediction"][1] > 500


def test_one_frame_is_drawn(tmp_path):
    plot_affect_over_time([3], [-3], [0.3], [0.2], tmp_path / "one.png")
    assert share(tmp_path / "one.png", (0x00, 0x72, 0xB2)) > 1e-5


def test_the_plane_has_valence_to_the_right_and_arousal_up(tmp_path):
    """The truth is one cell at the upper right of the left panel, the prediction one at the lower left of the other."""
    n = 50
    path = tmp_path / "plane.png"
    plot_affect_plane(np.full(n, 10), np.full(n, 10), np.full(n, -1.0), np.full(n, -0.96), path)
    picture = cv2.imread(str(path))
    width = picture.shape[1]
    picture = picture[:, : int(0.89 * width)].astype(int)  # without the bar of colours
    yellow = np.abs(picture - (0x25, 0xE7, 0xFD)).sum(axis=-1) < 12
    rows, columns = np.nonzero(yellow)
    left, right = columns < 0.45 * width, columns > 0.45 * width
    assert rows[left].max() < rows[right].min()
    assert columns[left].min() > 0.35 * width
    assert columns[right].max() < 0.6 * width
    # Most of the panel is left white.
    assert yellow.mean() < 0.02


def test_the_confusion_has_its_diagonal_from_the_upper_left_and_grey_rows_without_examples(tmp_path):
    matrix = np.zeros((21, 21), dtype=int)
    matrix[0, 20], matrix[10, 10] = 7, 3
    plot_bin_confusion(matrix, tmp_path / "some.png", output="arousal")
    draw_confusion(tmp_path / "all.png")
    dark = (0x08, 0x30, 0x6B)  # a share of 1
    picture = cv2.imread(str(tmp_path / "some.png"))
    height, width = picture.shape[:2]
    rows, columns = np.nonzero(np.all(picture[:, : int(0.84 * width)] == dark[::-1], axis=-1))
    assert rows.min() < 0.15 * height
    assert columns[rows < 0.2 * height].min() > 0.75 * width, "the first row's cell is the last"
    assert 0.4 * height < rows.max() < 0.6 * height
    assert share(tmp_path / "some.png", (0xE5, 0xE5, 0xE5)) > 0.4
    assert share(tmp_path / "all.png", (0xE5, 0xE5, 0xE5)) < 0.001


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda path: plot_affect_over_time([1], [1, 2], [0.1], [0.1, 0.2], path), "Received: 1 and 2 frames"),
        (lambda path: plot_affect_over_time([], [], [], [], path), "Received: 0 and 0 frames"),
        (lambda path: plot_affect_over_time([1], [1], [0.1], [0.1], path, fps=0), "fps=0"),
        (lambda path: plot_affect_over_time([1], [1], [3.0], [0.1], path), r"valence.*\[-1, 1\]"),
        (lambda path: plot_affect_over_time([12], [1], [0.1], [0.1], path), "from -10 to 10"),
        (lambda path: plot_affect_plane([1], [UNLABELLED], [0.1], [0.1], path), "both labels"),
        (lambda path: plot_affect_plane([1], [1, 2], [0.1], [0.1, 0.2], path), "Received: 1 examples .* 2 of arousal"),
        (lambda path: plot_bin_confusion(np.ones((7, 7)), path, output="valence"), r"Received: shape \(7, 7\)"),
        (lambda path: plot_bin_confusion(np.zeros((21, 21)), path, output="valence"), "sum 0"),
        (lambda path: plot_bin_confusion(-np.ones((21, 21)), path, output="valence"), "sum -441"),
    ],
)
def test_mistakes_are_told(draw, message, tmp_path):
    with pytest.raises(InputError, match=message):
        draw(tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())
