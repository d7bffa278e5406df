"""Preparing by Apache Beam: the same bytes, and errors in one line."""

import shutil
import sys
from pathlib import Path

import pytest

from ferkeras.data.beam import input_error_of_beam
from ferkeras.data.preparation import prepare
from ferkeras.errors import InputError, MissingExtraError
from tests.commands import assert_one_line, call
from tests.test_prepare_parallel import CASES, RAF_DB, build, contents
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import record_bytes

pytestmark = pytest.mark.filterwarnings("ignore:.*(other numbers|is not the complete|have a picture for other frames)")


def test_the_line_in_the_traceback_of_another_machine() -> None:
    text = 'RuntimeError: Traceback:\n  File "a.py", line 1\nferkeras.errors.InputError: No. Received: 1. Mend it.\n\nx'
    assert str(input_error_of_beam(RuntimeError(text))) == "No. Received: 1. Mend it."
    assert input_error_of_beam(RuntimeError("Out of memory")) is None


@pytest.mark.parametrize("name", ["raf_db", "synthetic_faces", "afew"])
def test_beam_makes_the_same_data_set(name: str, tmp_path: Path) -> None:
    pytest.importorskip("apache_beam")
    config, files = CASES[name]
    alone = build(name, config, files, tmp_path / "alone")
    by_beam = build(name, config, files, tmp_path / "beam", beam_runner="FnApiRunner")
    assert contents(by_beam) == contents(alone)


def test_beam_lists_what_is_left_out(tmp_path: Path) -> None:
    pytest.importorskip("apache_beam")
    manual = Path(shutil.copytree(RAF_DB, tmp_path / "manual"))
    pictures = sorted(manual.rglob("*.jpg"))
    pictures[0].write_bytes(b"no picture")
    alone = prepare("raf_db", data_dir=tmp_path / "alone", manual_dir=manual)
    by_beam = prepare("raf_db", data_dir=tmp_path / "beam", manual_dir=manual, beam_runner="DirectRunner")
    (skip,) = read_skips(Path(by_beam.data_dir))
    assert skip.reason.startswith("cannot be read")
    assert read_skips(Path(alone.data_dir)) == [skip]
    assert record_bytes(by_beam) == record_bytes(alone)
    for picture in pictures:
        picture.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"Of 7 examples of train only 0 can be used. Received: 1 x cannot be read"):
        prepare("raf_db", data_dir=tmp_path / "none", manual_dir=manual, beam_runner="DirectRunner")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["NoRunner"], ["Apache Beam cannot use this runner. Received: NoRunner"]),
        (["DirectRunner", "--beam-options", "direct_num_wokers=2"], ["Unknown option", "direct_num_wokers=2"]),
        (["DirectRunner", "--beam-options", "direct_num_workers=x"], ["cannot read its options", "invalid int value"]),
    ],
)
def test_mistakes_with_beam(
    words: list[str], told: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("apache_beam")
    assert_one_line(call(capsys, "prepare", "synthetic_faces", "--data-dir", tmp_path, "--beam-runner", *words), *told)


@pytest.mark.slow
def test_beam_in_processes_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("apache_beam")
    alone = prepare("raf_db", data_dir=tmp_path / "alone", manual_dir=RAF_DB)
    options = ("direct_num_workers=2", "direct_running_mode=multi_processing")
    by_beam = prepare(
        "raf_db", data_dir=tmp_path / "beam", manual_dir=RAF_DB, beam_runner="DirectRunner", beam_options=options
    )
    assert record_bytes(by_beam) == record_bytes(alone)


def test_a_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[beam\]"):
        prepare("synthetic_faces", data_dir=tmp_path, beam_runner="FlinkRunner")
