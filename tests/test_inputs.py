"""What the words on a command line lead to."""

import os
from pathlib import Path

import pytest
from PIL import Image

from ferkeras.errors import InputError
from ferkeras.prediction.inputs import Input, find_inputs
from ferkeras.video import open_video


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`b.png`, `a.MP4` and `notes.txt`, below them `sub/c.jpg` and what is hidden; the working directory."""
    for name in ("b.png", "a.MP4", "notes.txt", "sub/c.jpg", "sub/.d.jpg", ".hidden/e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"any")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(inputs: list[Input]) -> list[tuple[str, str]]:
    return [(given.name, given.kind) for given in inputs]


def test_files_folders_and_patterns_in_the_order_given(folder: Path) -> None:
    assert named(find_inputs(["sub", "b.png", "*"])) == [
        ("sub/c.jpg", "picture"),
        ("b.png", "picture"),
        ("a.MP4", "video"),
    ]
    assert [name for name, _ in named(find_inputs(["."]))] == ["./a.MP4", "./b.png", "./sub/c.jpg"]
    assert [name for name, _ in named(find_inputs(["**/*.jpg", "./b.png", "b.png"]))] == ["sub/c.jpg", "./b.png"]


def test_a_name_with_the_signs_of_a_pattern_is_a_file(folder: Path) -> None:
    (folder / "b[1].png").write_bytes(b"any")
    assert named(find_inputs(["b[1].png"])) == [("b[1].png", "picture")]


def test_two_links_to_a_picture_are_two_pictures(folder: Path) -> None:
    (folder / "link.png").symlink_to("b.png")
    assert len(find_inputs(["b.png", "link.png"])) == 2


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("missing.jpg", r"There is no such file\. Received: missing\.jpg\."),
        ("*.bmp", r"There is no such file\. Received: \*\.bmp"),
        ("*.txt", "No picture or video matches"),
        ("notes.txt", "neither a picture nor a video"),
        ("empty", "holds no picture and no video"),
        ("pipe", "neither a file nor a folder"),
        ("https://example.org/a.jpg", "no such file"),
        ("x" * 300 + ".jpg", "no such file"),
        ("a\0b.jpg", "no such file"),
    ],
)
def test_what_leads_nowhere_does_not_stop_the_rest(word: str, message: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    nowhere, picture = find_inputs([word, "b.png"])
    assert nowhere.name == word
    with pytest.raises(InputError, match=message):
        raise nowhere.problem  # type: ignore[misc]  # None fails as well
    assert picture.problem is None
    with pytest.raises(InputError, match=message):
        find_inputs([word])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(folder: Path) -> None:
    (folder / "sub").chmod(0)
    try:
        problems = [given.problem for given in find_inputs(["."]) if given.problem]
    finally:
        (folder / "sub").chmod(0o700)
    assert len(problems) == 1
    assert "cannot be read. Received: ./sub. Permission denied." in str(problems[0])


def test_without_a_telling_suffix_the_content_decides(folder: Path) -> None:
    Image.new("L", (4, 4)).save(folder / "picture", "PNG")
    (folder / "video").write_bytes(b"\0\0\0\x20ftypisom" + bytes(30))
    (folder / "film.dat").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(30))
    found = find_inputs(["picture", "video", "film.dat"])
    assert named(found) == [("picture", "picture"), ("video", "video"), ("film.dat", "video")]


def test_a_gif_that_moves_is_a_video(folder: Path) -> None:
    frames = [Image.new("RGB", (16, 12), (level, 0, 0)) for level in (0, 120, 250)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:], duration=[100, 200, 300])
    frames[0].save(folder / "still.gif")
    (folder / "broken.gif").write_bytes(b"GIF89a")
    (folder / "moving").write_bytes((folder / "moving.gif").read_bytes())
    found = find_inputs(["moving.gif", "still.gif", "broken.gif", "moving"])
    assert [given.kind for given in found] == ["video", "picture", "picture", "video"]
    with open_video(found[0].path) as video:
        seen = [(round(frame.time_s, 3), frame.image[0, 0].tolist()) for frame in video.frames()]
    assert seen == [(0, [0, 0, 0]), (0.1, [120, 0, 0]), (0.3, [250, 0, 0])]
