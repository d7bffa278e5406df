"""Networks on faces one after the other: the windows of clips are those of training, whatever is run in pieces."""

import numpy as np
import pytest

from ferkeras.inference import keras_runner, softmax
from ferkeras.prediction.network import ClipNetwork, Crop, StillNetwork, clip_network, scores_of
from ferkeras.prediction.result import Scores
from tests import tiny_networks


def crops(frames: list[int], *, track_id: int = 0, pixels: np.ndarray | None = None) -> list[Crop]:
    images = tiny_networks.images(len(frames)) if pixels is None else pixels
    return [Crop(track_id, frame, image) for frame, image in zip(frames, images, strict=True)]


def probabilities(scores: Scores | None) -> np.ndarray:
    assert scores is not None
    assert scores.probabilities is not None
    return scores.probabilities


@pytest.fixture(scope="module")
def windows() -> ClipNetwork:
    """Frame numbers as images; its logits tell the newest and the oldest of a window, and how many there are."""

    def run(clips: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
        seen = np.where(masks, clips[:, :, 0], np.nan)
        return {"emotion": np.stack([np.nanmax(seen, 1), np.nanmin(seen, 1), masks.sum(1)], -1)}

    return ClipNetwork(lambda images: images.reshape(len(images), -1)[:, :1], run, frames=3, stride=2, min_frames=2)


def test_still_scores_are_the_softmax_of_each_face() -> None:
    model = tiny_networks.still()
    faces = crops([0, 1, 2])
    found = StillNetwork(keras_runner(model))(faces)
    wanted = softmax(np.asarray(model(np.stack([face.pixels for face in faces]))["emotion"]))
    np.testing.assert_allclose([probabilities(scores) for scores in found], wanted, atol=1e-6)
    assert StillNetwork(keras_runner(model))([]) == []


def test_a_window_is_every_second_frame_of_the_same_person() -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def run(clips: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
        seen.extend(zip(clips, masks, strict=True))
        return {"emotion": np.zeros((len(clips), 2))}

    network = ClipNetwork(lambda images: images.reshape(len(images), -1)[:, :1], run, frames=3, stride=2, min_frames=2)
    frames = [0, 1, 2, 4, 5, 6, 7]  # the person is not seen in frame 3
    pixels = np.array(frames, np.float32).reshape(-1, 1, 1, 1)
    other = crops([7], track_id=1, pixels=np.full((1, 1, 1, 1), 99.0, np.float32))
    found = [scores for crop in [*crops(frames, pixels=pixels), *other] for scores in network([crop])]
    assert [scores is not None for scores in found] == [False, False, True, True, True, True, True, False]
    told = [(clip[:, 0].tolist(), mask.tolist()) for clip, mask in seen]
    assert told == [
        ([0, 2, 0], [True, True, False]),  # frame 2
        ([0, 2, 4], [True, True, True]),
        ([1, 0, 5], [True, False, True]),
        ([2, 4, 6], [True, True, True]),
        ([0, 5, 7], [False, True, True]),
    ]


def test_pieces_equal_the_whole_model_and_batches_change_nothing() -> None:
    model = tiny_networks.clip()
    shape = {"frames": tiny_networks.FRAMES, "stride": 2, "min_frames": 1}
    faces = crops([0, 1, 2, 3, 5, 6, 7, 8, 9, 12])
    pieces = clip_network(keras_runner(model), model, **shape)(faces)
    whole = clip_network(keras_runner(model), None, **shape)
    one_by_one = [scores for face in faces for scores in whole([face])]
    for ours, theirs in zip(pieces, one_by_one, strict=True):
        np.testing.assert_allclose(probabilities(ours), probabilities(theirs), atol=1e-5)


def test_old_frames_and_lost_people_are_forgotten(windows: ClipNetwork) -> None:
    for start in range(0, 300, 10):
        frames = list(range(start, start + 10))
        windows(crops(frames, track_id=start, pixels=np.zeros((10, 1, 1, 1), np.float32)))
    kept = windows._seen
    assert sum(len(frames) for frames in kept.values()) <= 16


def test_scores_of_heads() -> None:
    bins = np.full((2, 21), -50.0)
    bins[0, 20] = bins[1, 0] = 50.0
    scores = scores_of({"emotion": np.zeros((2, 4)), "valence": bins, "arousal": np.array([[0.25], [-3.0]])})
    np.testing.assert_allclose(probabilities(scores[0]), 0.25)
    assert [score.valence for score in scores] == pytest.approx([1.0, -1.0])
    assert [score.arousal for score in scores] == [0.25, -1.0]
    assert scores_of({"valence": bins})[0].probabilities is None


def test_outputs_of_each_frame_are_read_at_the_newest_one() -> None:
    def run(clips: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
        return {"valence": clips / 10}  # (B, T, 1)

    network = ClipNetwork(lambda images: images.reshape(len(images), -1)[:, :1], run, frames=3)
    found = network(crops([0, 1, 2, 3], pixels=np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)))
    assert [scores.valence for scores in found if scores] == pytest.approx([0.0, 0.1, 0.2, 0.3])
