"""What all builders share: checks before the first record, the list of what is left out, and several processes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.errors import InputError
from tfds_builders.afew.afew_dataset_builder import Builder as Clips
from tfds_builders.base.faces import FaceSettings
from tfds_builders.base.leaks import check_groups
from tfds_builders.base.manual import find, relative, require
from tfds_builders.base.skips import SkipList, read_skips
from tfds_builders.base.source import ClipSource, FrameFiles, Skip, StillSource
from tfds_builders.base.still_builder import still_results
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.ck_plus.ck_plus_dataset_builder import Builder as Stills

AFEW = Path(__file__).parents[1] / "afew" / "dummy_data"
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 48, 1), np.uint8)

pytestmark = pytest.mark.filterwarnings("ignore:.*has other numbers than the official ones")


def still(id: str = "1", split: str = "train", label: str = "happy", subject: str = "s") -> StillSource:
    number = int(id) if id.isdigit() else 0
    return StillSource(split=split, id=id, picture=np.roll(PICTURE, number), label=label, subject=subject)


def clip(id: str, split: str, recording: str) -> ClipSource:
    return ClipSource(split=split, id=id, recording=recording, frames=FrameFiles((None,), (0,), 25.0), label="sad")


@pytest.fixture
def build_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Builds stills or clips from sources instead of files."""
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "file").touch()

    def made(sources: list[Any], *, kind: type = Stills, config: str = "ck48") -> Any:
        monkeypatch.setattr(kind, "read", lambda self, manual_dir: iter(sources))
        return build(kind, config, tmp_path / "manual", tmp_path / "data")

    return made


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([still("1"), still("1")], r"two examples have the same id\. Received: 1"),
        ([still("1", label="joyful")], r"1 has an unknown class\. Received: joyful"),
        ([still("1"), still("2", "test")], r"same subject stands in two splits\. Received: s in train and test"),
        ([Skip("train", "1", "for a reason")], r"no usable example of CK\+\. Received: for a reason"),
        ([], r"no usable example of CK\+\. Received: nothing"),
    ],
)
def test_bad_sources_end_before_a_record_is_written(
    sources: list[Any], message: str, build_from: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        build_from(sources)
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))


def test_a_recording_in_two_splits_is_an_error(build_from: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r"same recording stands in two splits\. Received: r in train and test"):
        build_from([clip("1", "train", "r"), clip("2", "test", "r")], kind=Clips, config="whole")


def test_everything_left_out_is_listed(build_from: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    unreadable = StillSource(split="train", id="bad", picture=tmp_path / "bad.png", label="sad", subject="t")
    reason = Skip("train", "7", 'without, "label"')
    builder = build_from([reason, still("1"), unreadable, still("2"), still("3", "test", subject="u")])
    assert set(stored(builder)) == {"1", "2", "3"}
    first, second = read_skips(Path(builder.data_dir))
    assert first == reason
    assert (second.split, second.id) == ("train", "bad")
    assert second.reason.startswith("cannot be read: The picture cannot be read")
    assert read_skips(tmp_path) == []


def test_mostly_unreadable_files_are_an_error(build_from: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    bad = [
        StillSource(split="train", id=f"bad{n}", picture=tmp_path / "bad.png", label="sad", subject="t")
        for n in range(3)
    ]
    with pytest.raises(Exception, match="Of 5 examples of train only 2 can be used") as caught:
        build_from([still("1"), still("2"), *bad])
    assert isinstance(caught.value, InputError) or isinstance(caught.value.__cause__, InputError)


@pytest.mark.parametrize(
    ("kept", "reasons", "fails"),
    [
        (2, ["no face", "cannot be read: x"], False),
        (1, ["no face", "cannot be read: x"], True),
        (1, ["no emotion label"] * 9, False),
        (0, ["no emotion label"], True),
        (0, [], True),
    ],
)
def test_the_limit_of_what_may_be_lost(kept: int, reasons: list[str], fails: bool) -> None:
    skips = SkipList()
    for number, reason in enumerate(reasons):
        skips.add(Skip("train", str(number), reason))
        skips.add(Skip("test", str(number), "no face"))
    if not fails:
        skips.check("train", kept=kept)
        return
    with pytest.raises(InputError, match=f"Of {kept + len(reasons)} examples of train only {kept} can be used"):
        skips.check("train", kept=kept)


def test_groups_may_be_in_one_split_as_often_as_they_like() -> None:
    check_groups([("train", "a"), ("train", "a"), ("test", "b")], what="subject")
    with pytest.raises(InputError, match=r"same actor.*Received: a in train and test\. Put all of a actor"):
        check_groups([("train", "a"), ("test", "b"), ("test", "a")], what="actor")


@pytest.mark.parametrize("kind", ["absent", "empty", "file"])
def test_no_manual_directory_is_one_line(kind: str, tmp_path: Path) -> None:
    manual_dir = tmp_path / "manual"
    if kind == "empty":
        manual_dir.mkdir()
    elif kind == "file":
        manual_dir.touch()
    with pytest.raises(InputError, match=r"AFEW cannot be downloaded by itself.*README\.md") as caught:
        build(Clips, "whole", manual_dir, tmp_path / "data")
    assert str(manual_dir) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_workers_store_the_same_bytes_as_none(tmp_path: Path) -> None:
    expected = record_bytes(build(Clips, "whole", AFEW, tmp_path / "none"))
    for workers in (1, 2):
        builder = Clips(data_dir=str(tmp_path / str(workers)), config="whole")
        builder.workers = workers
        prepare(builder, AFEW)
        assert record_bytes(builder) == expected
        assert (tmp_path / str(workers) / ".work" / "afew-whole-1.0.0").is_dir()
        builder.remove_work()
        assert not (tmp_path / str(workers) / ".work").exists()


def test_skips_of_workers_are_those_of_none(tmp_path: Path) -> None:
    manual_dir = Path(shutil.copytree(AFEW, tmp_path / "manual"))
    (manual_dir / "Train_AFEW" / "Fear").mkdir()
    (manual_dir / "Train_AFEW" / "Fear" / "1.avi").write_bytes(b"no video")
    found = []
    for workers in (None, 1):
        builder = Clips(data_dir=str(tmp_path / str(workers)), config="whole")
        builder.workers = workers
        prepare(builder, manual_dir)
        found.append(read_skips(Path(builder.data_dir)))
    assert [skip.id for skip in found[0]] == ["Train_AFEW/Fear/1.avi"]
    assert found[0] == found[1]


def prepare(builder: Any, manual_dir: Path) -> None:
    import tensorflow_datasets as tfds

    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(manual_dir)))


def test_find_looks_at_case_depth_and_kind(tmp_path: Path) -> None:
    for name in ("Emotion/x/Emotion", "a/EMOTION", "a/b/emotion", "a/b/c/emotion", "emotions"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "z.txt").touch()
    (tmp_path / "Emotion.txt").touch()
    (tmp_path / ".emotion").touch()

    def found(pattern: str, **options: Any) -> list[str]:
        return [relative(path, tmp_path) for path in find(tmp_path, pattern, **options)]

    # Those nearer come first, and below a match nothing is looked at.
    assert found("emotion") == ["Emotion", "a/EMOTION", "a/b/emotion"]
    assert found("emotion", depth=1) == ["Emotion"]
    assert found("emotion", depth=4)[-1] == "a/b/c/emotion"
    assert found(r"emotion(\.txt)?", depth=1, kind="file") == ["Emotion.txt"]
    assert found(r"emotion(\.txt)?", depth=1, kind="folder") == ["Emotion"]
    assert found(r"\.emotion") == []


def test_require_tells_what_is_there_instead(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.txt").touch()
    assert require([tmp_path / "a", tmp_path / "b"], title="X", what="a", root=tmp_path) == tmp_path / "a"
    with pytest.raises(InputError, match=r"X: the list is missing.*0\.txt, 1\.txt, .*4\.txt and 2 more"):
        require([], title="X", what="the list", root=tmp_path)


def test_stills_with_the_faces_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("source,x,y,width,height\n1,4,8,16,16\n")
    settings = FaceSettings(detector="boxes", model_file=str(tmp_path / "boxes.csv"), size=16, channels=1)
    (found,) = still_results(still("1"), settings=settings, channels=1)
    np.testing.assert_array_equal(found["image"], still("1").picture[8:24, 4:20])
    (skip,) = still_results(still("2"), settings=settings, channels=1)
    assert skip.reason == "no face"
    with pytest.raises(InputError, match=r"boxes needs a file\. Name it with --set faces\.model_file"):
        FaceSettings(detector="boxes").check()
    with pytest.raises(InputError, match=r"cannot be read\. Received: .*absent\.csv"):
        FaceSettings(detector="boxes", model_file=str(tmp_path / "absent.csv")).check()
