"""Commands about data sets: what there is, preparing with settings of one's own, folds."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ferkeras.data.sources import DATASETS
from tests.commands import Command, assert_one_line, call

ROOT = Path(__file__).resolve().parents[1]
BUILDERS = ROOT / "tfds_builders"
CK_PLUS = BUILDERS / "ck_plus" / "dummy_data" / "extracted"

pytestmark = pytest.mark.filterwarnings("ignore:.*(other numbers|is not the complete)")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return functools.partial(call, capsys)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ferkeras.data.preparation import prepare

    folder = tmp_path_factory.mktemp("data")
    prepare("ck_plus/stills", data_dir=folder, manual_dir=CK_PLUS)
    return folder


def test_the_table_of_data_sets(command: Command, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "ck_plus").symlink_to(CK_PLUS)
    (tmp_path / "raf_db").mkdir()
    code, out, _ = command("datasets", "--data-dir", data_dir, "--manual-dir", tmp_path)
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert set(DATASETS) <= set(lines)
    assert "stills" in lines["ck_plus"]
    assert "train 5" in lines["ck_plus"]
    assert "RAF-DB: there should be" in lines["raf_db"]
    told = lines["fer2013"].split("no folder ")[1].split(" ")[0]
    assert str(tmp_path / "fer2013").startswith(told.removesuffix("...")), "a long path is cut short"
    assert len(told) > 20
    assert "none, it is generated" in lines["synthetic_faces"]


def test_one_data_set(command: Command, data_dir: Path) -> None:
    code, out, _ = command("datasets", "ck_plus", "--data-dir", data_dir, "--manual-dir", CK_PLUS)
    assert code == 0
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.startswith("ck_plus/")}
    assert rows == {"ck_plus/sequences": "no", "ck_plus/stills": "yes", "ck_plus/ck48": "no"}
    assert "official files: train 5" in out
    assert_one_line(command("datasets", "ck_minus"), "Unknown data set", "ck_plus")


def test_settings_make_a_configuration_that_is_found_again(command: Command, tmp_path: Path) -> None:
    words = ["--data-dir", tmp_path, "--manual-dir", BUILDERS / "afew" / "dummy_data"]
    settings = ["--set", "faces.detector=none", "faces.size=24", "faces.channels=1"]
    code, out, _ = command("prepare", "afew/small", *words, *settings)
    assert code == 0
    assert "afew/small is prepared in" in out
    assert (next((tmp_path / "afew" / "small").iterdir()) / "contact_sheet.png").stat().st_size > 1000
    assert not (tmp_path / ".work").exists()

    from ferkeras.data.sources import builder

    assert builder("afew/small", data_dir=tmp_path).info.features["frames"].shape == (None, 24, 24, 1)
    code, again, _ = command("prepare", "afew/small", "--data-dir", tmp_path)
    assert (code, again) == (0, out), "the report lies beside the data"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["afew/aligned", "--set", "faces.size=24"], ["needs a name of its own", "Received: afew/aligned"]),
        (["afew/mine", "--set", "faces.sise=24"], ["Unknown key faces.sise", "Did you mean size?"]),
        (["afew/mine", "--set", "faces.size=big"], ["faces.size must be int", "big"]),
        (["afew/mine", "--set", "size"], ["--set takes key=value"]),
        (["afew/mine", "--set", "faces.size=2"], ["size must be at least 8"]),
        (["afew/mine"], ["Unknown configuration of afew", "Known: aligned"]),
        (["afew", "--workers", "0"], ["at least one worker"]),
    ],
)
def test_mistakes_in_settings(words: list[str], told: list[str], command: Command, tmp_path: Path) -> None:
    manual = BUILDERS / "afew" / "dummy_data"
    assert_one_line(command("prepare", *words, "--data-dir", tmp_path, "--manual-dir", manual), *told)
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    words = [
        "prepare",
        "afew/whole",
        "--manual-dir",
        str(BUILDERS / "afew" / "dummy_data"),
        "--data-dir",
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = "import sys; from ferkeras.cli.__main__ import main; sys.argv = ['ferkeras', *sys.argv[1:]]; main()"
    # A shell starts what it puts into the background deaf to Ctrl-C, and so are the children of that.
    slow = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    slow += "import tfds_builders.base.work as w, time; s = w._store; w._store = lambda *a: (s(*a), time.sleep(2)); "
    process = subprocess.Popen(
        [sys.executable, "-c", slow + code, *words], cwd=ROOT, env=environment, stderr=subprocess.PIPE
    )
    while not list(tmp_path.rglob("done.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    assert list(tmp_path.rglob("done.json"))
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_a_fold_file_for_a_recipe(command: Command, data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    words = ["folds", "ck_plus/stills", "--data-dir", data_dir, "--folds", "2", "--output", path]
    code, out, _ = command(*words, "--balance", "--dry-run")
    assert code == 0
    assert not path.exists()
    code, out, _ = command(*words)
    assert code == 0
    folds = json.loads(path.read_text())
    assert set(folds.values()) == {0, 1}
    assert len(out.splitlines()) == 4

    from ferkeras.data.columns import read_column
    from ferkeras.data.folds import in_folds, parse_split
    from ferkeras.data.sources import builder

    subjects = read_column(builder("ck_plus/stills", data_dir=data_dir), "train", "subject")
    first, second = (in_folds(parse_split(f"train@{fold}/{path}"), subjects) for fold in (0, 1))
    assert (first ^ second).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--folds", "1", "--output", "a.json"], ["at least 2 folds"]),
        (["--folds", "90", "--output", "a.json"], ["fewer subjects than folds", "Received: 5 subjects"]),
        (["--output", "a.txt"], ["ends in .json"]),
        (["--output", "a.json", "--split", "dev"], ["no split of this name", "Received: dev"]),
    ],
)
def test_mistakes_in_folds(words: list[str], told: list[str], command: Command, data_dir: Path) -> None:
    assert_one_line(command("folds", "ck_plus/stills", "--data-dir", data_dir, *words), *told)
