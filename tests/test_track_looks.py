"""Tracking people by their looks: after a cut, behind each other, and later elsewhere; and one of them alone."""

import numpy as np

from ferkeras.faces.track import track
from tests.test_follow import shots
from tests.test_track import faces_per_frame, looks_of, numbers_of, oracle_of, run

VECTORS = dict(zip("abc", np.eye(8), strict=False))


def test_looks_tell_people_apart_after_a_cut() -> None:
    """The people change places at the cut, and a third one comes."""

    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        here, there = (80.0, 100.0, 60.0), (230.0, 110.0, 60.0)
        return {"a": here, "b": there} if index < 33 else {"a": there, "b": here, "c": (150, 200, 50)}

    embed, asked = looks_of(scene, VECTORS)
    frames = shots(80, light=lambda index: 40 if index < 33 else 160)
    results = list(track(frames, oracle_of(scene), embed=embed))
    numbers = numbers_of(scene, results)
    assert {name: len(ids) for name, ids in numbers.items()} == {"a": 1, "b": 1, "c": 1}
    assert len(set.union(*numbers.values())) == 3
    assert len(asked) <= 20
    assert len(asked) == len(set(asked)), "once per frame"


def test_looks_find_people_who_turn_round_behind_each_other() -> None:
    """They meet, are hidden from each other, and walk back: their motion alone says that they crossed."""

    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        way = 2 * min(index, 100 - index)
        people = {"a": (60 + way, 100.0, 60.0), "b": (260 - way, 100.0, 60.0)}
        return people if abs(index - 50) > 8 else {"a": people["a"]}

    embed, asked = looks_of(scene, VECTORS)
    numbers = numbers_of(scene, list(track(shots(100), oracle_of(scene), embed=embed)))
    assert sorted(map(len, numbers.values())) == [1, 1]
    assert len(asked) < 60


def test_looks_know_people_who_come_back_later_elsewhere_and_strangers_in_their_place() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        if index < 20:
            return {"a": (80, 100, 60)}
        if index < 40:
            return {}
        return {"a": (230, 100, 60), "b": (80, 100, 60)} if index < 100 else {}

    embed, _ = looks_of(scene, VECTORS)
    numbers = numbers_of(scene, list(track(shots(110), oracle_of(scene), embed=embed)))
    assert numbers == {"a": {0}, "b": {1}}
    plain = numbers_of(scene, run(scene, 110))
    assert plain["b"] == {0}, "without looks, the stranger is taken for the one who was there a moment ago"
    forgotten = list(track(shots(110), oracle_of(scene), embed=embed, patience=15, memory=15))
    assert numbers_of(scene, forgotten)["a"] > {0}


def test_one_person_is_followed_though_another_becomes_larger() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (90, 100, 60), "b": (230, 120, 40 + index)}

    for rule in ("largest", "central"):
        results = run(scene, 60, rule=rule)
        chosen = "a" if rule == "largest" else "b"
        assert numbers_of(scene, results) == {chosen: {0}}
        assert faces_per_frame(results) == [1] * 60


def test_one_person_is_waited_for_and_then_another_chosen() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        hidden = 20 <= index < 30 or index >= 50
        return {"b": (230, 120, 40)} | ({} if hidden else {"a": (90, 100, 60)})

    results = run(scene, 100, rule="largest")
    assert faces_per_frame(results) == [1] * 20 + [0] * 10 + [1] * 20 + [0] * 25 + [1] * 25
    assert numbers_of(scene, results) == {"a": {0}, "b": {1}}


def test_others_do_not_cost_the_followed_person_detections() -> None:
    flicker = np.random.default_rng(3).random(100) < 0.5

    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (90, 100, 60)} | ({"b": (230, 120, 40)} if flicker[index] else {})

    alone, everyone = oracle_of(scene), oracle_of(scene)
    assert faces_per_frame(list(track(shots(100), alone, rule="largest"))) == [1] * 100
    list(track(shots(100), everyone))
    assert len(alone.asked) <= 30
    assert len(everyone.asked) > 50
