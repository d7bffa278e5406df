"""Tracking as a stream: every frame comes out once, soon, and is let go; wrong arguments."""

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.faces.track import track
from tests.test_follow import Shot, looked_ahead, shots
from tests.test_track import crossing, faces_of, looks_of, oracle_of, run


@pytest.mark.parametrize(("key_interval", "batch", "delay"), [(1, 1, 0), (5, 1, 5), (1, 4, 4), (5, 4, 20)])
def test_looks_ahead_no_further_than_it_may(key_interval: int, batch: int, delay: int) -> None:
    oracle = oracle_of(crossing)
    ahead = looked_ahead(lambda frames: track(frames, oracle, key_interval=key_interval, batch=batch), results=100)
    assert ahead <= delay


def test_holds_no_more_frames_than_it_says() -> None:
    alive: weakref.WeakSet = weakref.WeakSet()

    class Watched:
        def __init__(self, shot: Shot) -> None:
            self.index, self.image = shot
            alive.add(self)

    most = 0
    for result in track(map(Watched, shots(200)), oracle_of(crossing), key_interval=4, batch=3):
        most = max(most, len(alive))
        assert result.frame in alive
    assert most <= 4 * 3 + 1 + 1, "and the one that the reader of the results has"


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200), st.integers(0, 90)), max_size=4),
            st.sampled_from([100, 100, 100, 220]),
        ),
        max_size=25,
    ),
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from(["all", "largest", "best"]),
    st.booleans(),
)
def test_every_frame_comes_once_with_different_numbers_and_finite_boxes(
    frames: list, interval: int, batch: int, rule: str, with_looks: bool
) -> None:
    """Faces anywhere, of any size down to nothing, at any time."""
    scene = [dict(zip("abcd", faces, strict=False)) for faces, _ in frames]
    pictures = shots(len(frames), light=lambda index: frames[index][1])
    embed = looks_of(scene.__getitem__, dict(zip("abcd", np.eye(4), strict=True)))[0] if with_looks else None
    oracle = oracle_of(scene.__getitem__)
    results = list(track(pictures, oracle, key_interval=interval, batch=batch, rule=rule, embed=embed))
    assert [result.frame.index for result in results] == list(range(len(frames)))
    appeared: list[int] = []
    for result in results:
        numbers = [face.track_id for face in result.faces]
        assert numbers == sorted(set(numbers))
        assert rule == "all" or len(numbers) <= 1
        appeared += [number for number in numbers if number not in appeared]
        for face in result.faces:
            assert np.isfinite(face.box).all()
            assert not face.detected or face.box.tolist() in faces_of(scene[result.frame.index]).boxes.tolist()
    assert appeared == list(range(len(appeared)))
    if rule == "all" and frames:
        assert len(results[0].faces) == len(scene[0]), "what the first frame shows is reported at once"


def test_no_frames() -> None:
    assert run(lambda index: {}, 0) == []


def test_wrong_arguments() -> None:
    oracle = oracle_of(lambda index: {"a": (100, 100, 50)})
    for wrong in ({"key_interval": 0}, {"batch": 0}, {"min_detections": 0}):
        with pytest.raises(InputError, match="at least 1"):
            track(shots(3), oracle, **wrong)
    for wrong in ({"patience": -1}, {"memory": -1}):
        with pytest.raises(InputError, match="at least 0 frames"):
            track(shots(3), oracle, **wrong)
    with pytest.raises(InputError, match="cosine distance"):
        track(shots(3), oracle, same_person=3)
    with pytest.raises(InputError, match=r"\(1, D\).*shape \(2, 4\)"):
        list(track(shots(3), oracle, embed=lambda image, faces: np.zeros((2, 4))))
