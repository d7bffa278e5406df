"""The contact sheet: what it shows and that the same data give the same bytes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.data.contact_sheet import (
    FRAMES,
    TILE,
    Row,
    Tile,
    contact_sheet,
    data_set_rows,
    shrink,
    write_contact_sheet,
)
from ferkeras.data.report import Item, make_report
from ferkeras.errors import InputError

NAMES = ("angry", "happy")


def flat(value: int, *, shape: tuple[int, ...] = (8, 8, 1)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def stills(count: int) -> Iterator[Item]:
    for index in range(count):
        yield Item(f"x{index}", flat(index), index % 2)


def ids(row: Row) -> list[str]:
    return [tile.caption for tile in row.tiles]


def test_a_line_for_each_class_with_its_count() -> None:
    rows = data_set_rows({"train": stills(9), "test": stills(2)}, class_names=NAMES, per_class=4)
    assert [row.title for row in rows] == ["angry (6)", "happy (5)"]
    assert [len(row.tiles) for row in rows] == [4, 4]
    for number, row in enumerate(rows):
        assert all(int(tile.caption[1:]) % 2 == number for tile in row.tiles)
        assert all((tile.picture == int(tile.caption[1:])).all() for tile in row.tiles)


def test_the_choice_depends_on_the_seed_and_not_on_the_order() -> None:
    chosen = [
        ids(data_set_rows({"train": items}, class_names=NAMES, per_class=5, seed=seed)[0])
        for items, seed in ((stills(40), 0), (reversed(list(stills(40))), 0), (stills(40), 1))
    ]
    assert chosen[0] == chosen[1]
    assert set(chosen[0]) != set(chosen[2])


def test_classes_without_examples_and_examples_without_a_class() -> None:
    rows = data_set_rows({"train": [Item("a", flat(1)), Item("b", flat(2), 1)]}, class_names=NAMES)
    assert [row.title for row in rows] == ["happy (1)", "unlabelled (1)"]


def test_clips_show_five_frames() -> None:
    frames = np.stack([flat(value) for value in range(0, 90, 10)])
    (row,) = data_set_rows({"train": [Item("clip", frames, 0)]}, class_names=NAMES)
    strip = row.tiles[0].picture
    assert strip.shape == (TILE, FRAMES * TILE, 3)
    assert [strip[0, index * TILE, 0] for index in range(FRAMES)] == [0, 20, 40, 60, 80]


def test_duplicates_across_splits_stand_below_in_pairs() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 1), dtype=np.uint8)
    brighter = (picture * 0.8 + 40).astype(np.uint8)
    splits = {
        "train": [Item("a", flat(7), 0), Item("b", picture, 0), Item("c", flat(9), 1)],
        "test": [Item("d", flat(7), 0), Item("e", brighter, 1)],
    }
    report = make_report(splits, class_names=NAMES)
    rows = data_set_rows(splits, class_names=NAMES, report=report)
    assert [row.title for row in rows[2:]] == [
        "equal in two splits, pairs (1 groups)",
        "nearly equal in two splits, pairs (1 groups)",
    ]
    assert [ids(row) for row in rows[2:]] == [["train a", "test d"], ["train b", "test e"]]
    assert (rows[2].tiles[0].picture == 7).all()


def test_pictures_lie_on_white_where_they_belong() -> None:
    sheet = contact_sheet([Row("one", (Tile(flat(10), "a"), Tile(flat(200, shape=(8, 16, 3)), "b")))])
    assert sheet.dtype == np.uint8
    assert (sheet == 10).all(axis=-1).sum() >= TILE * TILE
    assert (sheet == 200).all(axis=-1).sum() >= TILE * 2 * TILE
    assert (sheet[:6] == 255).all()
    assert (sheet[:, -6:] == 255).all()


def test_titles_can_be_read() -> None:
    plain, titled = (contact_sheet([Row(title, (Tile(flat(255), ""),) * 5)]) for title in ("", "angry ярость 1,234"))
    assert (plain == 255).all()
    assert (titled < 128).any(axis=-1).sum() > 200
    assert (
        contact_sheet([Row("a title that is wider than its only picture", (Tile(flat(0), "x"),))]).shape[1] > 3 * TILE
    )


def test_long_ids_show_their_end() -> None:
    ends = [contact_sheet([Row("", (Tile(flat(255), "x" * 100 + end),))]) for end in ("1", "1", "2")]
    np.testing.assert_array_equal(ends[0], ends[1])
    assert (ends[0] != ends[2]).any()
    assert ends[0].shape[1] == TILE + 18


@pytest.mark.parametrize(
    ("shape", "width"), [((96, 50), 50), ((48, 48, 1), 96), ((500, 250, 3), 48), ((10, 1000, 3), 288), ((900, 1), 1)]
)
def test_shrink(shape: tuple[int, ...], width: int) -> None:
    assert shrink(flat(3, shape=shape)).shape == (TILE, width, 3)


def test_the_file(tmp_path: Path) -> None:
    rows = data_set_rows({"train": stills(6)}, class_names=NAMES)
    path = tmp_path / "new" / "sheet.png"
    write_contact_sheet(rows, path)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), contact_sheet(rows))
    assert list(path.parent.iterdir()) == [path]


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one line"):
        contact_sheet([])
    with pytest.raises(InputError, match="png"):
        write_contact_sheet([Row("a", ())], tmp_path / "sheet.jpg")
