"""Preparing in several processes: the same bytes, errors in one line, nothing and nobody left."""

import importlib
import operator
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ferkeras.data import sources
from ferkeras.data.preparation import prepare
from ferkeras.errors import InputError
from ferkeras.pictures import read_picture
from tests.commands import assert_one_line, call
from tests.faults.dying import writes
from tfds_builders.base import processes
from tfds_builders.base.processes import Workers
from tfds_builders.base.shared import SharingBuilder, _in_order, encoded, picture_shapes
from tfds_builders.base.source import Skip
from tfds_builders.synthetic_faces.synthetic_faces_dataset_builder import SyntheticFacesConfig

ROOT = Path(__file__).resolve().parents[1]
BUILDERS = ROOT / "tfds_builders"
RAF_DB = BUILDERS / "raf_db" / "dummy_data" / "official"
STILLS = SyntheticFacesConfig(name="few", size=32, train=40, validation=35, test=0)
CLIPS = SyntheticFacesConfig(name="few_clips", size=32, frames=3, train=4, validation=0, test=2)
#: Every data set -> a configuration that needs no detector, and its dummy files.
CASES: dict[str, tuple[Any, str]] = {
    "synthetic_faces": (STILLS, ""),
    "fer2013": ("default", "csv"),
    "fer_plus": ("majority", "."),
    "raf_db": ("official", "official"),
    "affectnet": ("official", "reduced"),
    "tfeid": ("official", "gray"),
    "face_folder": ("whole", "plain"),
    "ck_plus": ("sequences", "extracted"),
    "disfa": ("whole", "."),
    "mmi": ("whole", "."),
    "afew": ("whole", "."),
    "afew_va": ("aligned", "nested"),
    "aff_wild2": ("cropped", "."),
    "annotated_segments": ("whole", "."),
}

pytestmark = pytest.mark.filterwarnings("ignore:.*(other numbers|is not the complete|have a picture for other frames)")


def build(name: str, config: Any, files: str, data_dir: Path, **options: Any) -> Any:
    """The data set built by its builder, with values of `options` for its attributes and the download."""
    made = importlib.import_module(sources.DATASETS[name]).Builder(data_dir=str(data_dir), config=config)
    made.workers = options.pop("workers", None)
    manual = str(BUILDERS / name / "dummy_data" / files) if files else None
    made.download_and_prepare(
        download_dir=str(data_dir / "downloads"),
        download_config=tfds.download.DownloadConfig(manual_dir=manual, **options),
    )
    return made


def contents(made: Any) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(made.data_dir).iterdir())}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the first item goes to the workers."""
    monkeypatch.setattr(processes, "START", 0.0)
    monkeypatch.setattr(processes, "TRIAL", 0.0)


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    """In the place of a process: what it is given and gives back is pickled, and the work is done here."""

    def submit(self: Workers, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        function, args = pickle.loads(pickle.dumps((function, args)))
        future: Future[Any] = Future()
        future.set_result(pickle.loads(pickle.dumps(function(*args))))
        self.started = True
        return future

    monkeypatch.setattr(Workers, "submit", submit)


# Processes


@pytest.mark.usefixtures("impatient")
def test_workers_answer_in_order_and_are_gone_afterwards() -> None:
    before = active_children()
    with Workers(2) as pool:
        assert not pool.started
        assert list(pool.map(operator.neg, range(50), size=4)) == [-number for number in range(50)]
        assert pool.started
        assert len(set(active_children()).difference(before)) == 2
        assert list(pool.map(operator.neg, [], size=4)) == []
    assert active_children() == before


def test_little_work_starts_no_process() -> None:
    with Workers(2) as pool:
        assert list(pool.map(operator.neg, range(50), size=4, total=50)) == [-number for number in range(50)]
        assert not pool.started


@pytest.mark.parametrize(
    ("seconds", "done", "total", "worth"),
    [
        (0.5, 1, 10_000, False),  # too early to say
        (2.0, 10, 105, False),  # 19 seconds are left, of which two processes save 9.5
        (2.0, 10, 115, True),
        (19.0, 10, None, False),
        (20.0, 10, None, True),
    ],
)
def test_processes_are_started_where_they_save_more_than_their_start_takes(
    seconds: float, done: int, total: int | None, worth: bool
) -> None:
    assert Workers(2)._is_worth_starting(seconds, done, total) is worth
    assert not Workers(1)._is_worth_starting(seconds, done, total)


@pytest.mark.usefixtures("impatient")
def test_no_more_is_read_than_is_soon_worked_on() -> None:
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        for number in range(10_000):
            read += 1
            yield number

    with Workers(2) as pool:
        answers = pool.map(operator.neg, numbers(), size=4)
        assert [next(answers) for _ in range(9)] == [-number for number in range(9)]
    assert read <= 9 + 4 * (2 * processes.AHEAD + 1)


def test_an_error_of_a_worker_is_the_same_line(tmp_path: Path) -> None:
    before = active_children()
    with pytest.raises(InputError) as here:
        read_picture(tmp_path / "absent.png")
    with pytest.raises(InputError) as there, Workers(2) as pool:
        pool.submit(read_picture, tmp_path / "absent.png").result()
    assert str(there.value) == str(here.value)
    assert active_children() == before


def test_a_worker_that_ends_is_told() -> None:
    before = active_children()
    with pytest.raises(InputError, match=r"A worker process ended.*2 workers.*fewer --workers"), Workers(2) as pool:
        pool.submit(os._exit, 1).result()
    assert active_children() == before


# The same bytes


@pytest.mark.usefixtures("within")
@pytest.mark.parametrize("name", sources.DATASETS)
def test_every_builder_shares_its_work(name: str, tmp_path: Path) -> None:
    config, files = CASES[name]
    alone = build(name, config, files, tmp_path / "alone")
    shared = build(name, config, files, tmp_path / "shared", workers=2)
    assert isinstance(shared, SharingBuilder)
    assert shared._pool.started
    assert contents(shared) == contents(alone)


@pytest.mark.usefixtures("within")
def test_clips_that_are_drawn(tmp_path: Path) -> None:
    alone = build("synthetic_faces", CLIPS, "", tmp_path / "alone")
    assert contents(build("synthetic_faces", CLIPS, "", tmp_path / "shared", workers=3)) == contents(alone)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["synthetic_faces", "fer2013", "raf_db", "ck_plus"])
def test_real_processes(name: str, tmp_path: Path) -> None:
    config, files = CASES[name]
    alone = build(name, config, files, tmp_path / "alone")
    assert contents(build(name, config, files, tmp_path / "shared", workers=2)) == contents(alone)


def test_png_files_are_those_of_tfds() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 7, 3), np.uint8)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "frames": tfds.features.Video(shape=(None, 9, 7, 3), encoding_format="png"),
            "mask": tfds.features.Tensor(shape=(2,), dtype=np.uint8),
        }
    )
    example = {"image": pixels[0], "frames": pixels, "mask": np.zeros(2, np.uint8)}
    skip = Skip("train", "1", "no face")
    shapes = picture_shapes(features)
    assert shapes == {"image": (None, None, 3), "frames": (9, 7, 3)}
    made, other = encoded(lambda: [example, skip], shapes=shapes)
    assert other is skip
    expected = features.encode_example(example)
    assert made["image"] == expected["image"]
    assert list(made["frames"]) == list(expected["frames"])
    with pytest.raises(ValueError, match="incompatible"):
        encoded(lambda: [{**example, "image": pixels[0, ..., :1]}], shapes=shapes)


def test_features_of_a_record_are_in_the_order_of_their_names() -> None:
    one, two = (
        tf.train.Example(features=tf.train.Features(feature={name: tf.train.Feature()})).SerializeToString()
        for name in ("a", "b")
    )
    assert one + two != two + one
    assert _in_order(one + two) == _in_order(two + one)
    assert set(tf.train.Example.FromString(_in_order(two + one)).features.feature) == {"a", "b"}


# The command


def test_a_kill_after_the_data_set_has_its_name_loses_nothing(tmp_path: Path) -> None:
    """The last writes of a preparation, one after the other not done: where the data set is, so is its source."""
    files = BUILDERS / "fer2013" / "dummy_data" / "csv"
    other = Path(shutil.copytree(files, tmp_path / "other"))
    (other / "more.txt").write_text("another copy")
    count = writes(lambda: prepare("fer2013", data_dir=tmp_path / "0", manual_dir=files), below=tmp_path / "0")
    named = 0
    for at in range(count, count - 8, -1):
        data_dir = tmp_path / str(at)
        writes(lambda data_dir=data_dir: prepare("fer2013", data_dir=data_dir, manual_dir=files), below=data_dir, at=at)
        if sources.is_prepared("fer2013", data_dir=data_dir):
            named += 1
            with pytest.raises(InputError, match="was prepared from other files"):
                prepare("fer2013", data_dir=data_dir, manual_dir=other)
        prepare("fer2013", data_dir=data_dir, manual_dir=files)
    assert 1 <= named < 8, "kills before and after the name was given"


def test_work_that_a_kill_left_behind_goes(tmp_path: Path) -> None:
    made = prepare("afew/whole", data_dir=tmp_path, manual_dir=BUILDERS / "afew" / "dummy_data")
    made._work_folder.mkdir(parents=True)
    prepare("afew/whole", data_dir=tmp_path)
    assert not (tmp_path / ".work").exists()


def test_a_builder_with_nothing_to_share_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sources.DATASETS, "tiny_faces", "tests.tiny_faces")
    prepare("tiny_faces", data_dir=tmp_path, workers=3)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ferkeras: ")]
    assert told[0] == "ferkeras: tiny_faces has nothing to share out and is prepared in one process"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--beam-options", "a=1"], ["--beam-options needs --beam-runner", "Received: a=1"]),
        (["--beam-runner", "DirectRunner", "--workers", "2"], ["Either Apache Beam or processes of this machine"]),
        (["--beam-runner", "DirectRunner"], ["apache-beam", 'pip install "ferkeras[beam]"']),
    ],
)
def test_mistakes(
    words: list[str],
    told: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)  # as if it were not installed
    assert_one_line(call(capsys, "prepare", "synthetic_faces", "--data-dir", tmp_path, *words), *told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_signals_end_the_workers_too(number: signal.Signals, code: int, tmp_path: Path) -> None:
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from ferkeras.cli.command import run_command\n"
        "from tfds_builders.base import processes\n"
        "processes.START = processes.TRIAL = 0.0\n"
        f"raise SystemExit(run_command('prepare', ['synthetic_faces/still_112', '--data-dir', {str(tmp_path)!r}, "
        "'--workers', '2']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    wait_for(lambda: len(children(process.pid)) >= 2)
    workers = children(process.pid)
    time.sleep(5)  # amid their work, or their imports
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    if number != signal.SIGKILL:
        assert b"Traceback" not in told
        assert b"ferkeras: Interrupted." in told
        assert list(tmp_path.iterdir()) == []


def children(number: int) -> list[int]:
    """The spawned processes of one."""
    listed = Path(f"/proc/{number}/task/{number}/children")
    found = [int(word) for word in listed.read_text().split()] if listed.exists() else []
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def wait_for(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.1)
