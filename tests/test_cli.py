"""The commands as a user types them: what they leave, and one line for a mistake."""

import functools
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ferkeras import recipes
from ferkeras.cli.command import COMMANDS, run_command
from ferkeras.cli.table import format_table
from ferkeras.recipe import Recipe
from ferkeras.rows import open_writer
from tests.commands import Command, assert_one_line, call

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return functools.partial(call, capsys)


@pytest.fixture(scope="module")
def tiny_run(
    tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[object]]:
    """A folder of runs with one trained run `tiny`, made by `ferkeras train`; and the data arguments."""
    runs = tmp_path_factory.mktemp("runs")
    data = ["--data-dir", tiny_data_dir]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ferkeras.cli.train.load_recipe", lambda name: (tiny_recipe, ""))
        code = run_command("train", ["tiny", "--output", str(runs), *map(str, data)])
    assert code == 0
    return runs, data


def test_help_is_light() -> None:
    """The help lists every command and loads neither TensorFlow nor Keras."""
    code = (
        "import sys; sys.argv = ['ferkeras', '--help']\n"
        "import ferkeras.cli.__main__ as m\n"
        "try: m.main()\n"
        "except SystemExit as end: print('exit', end.code)\n"
        "print([n for n in ('tensorflow', 'keras', 'numpy') if n in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.endswith("exit 0\n[]\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, command: Command) -> None:
    code, out, _ = command(name, "--help")
    assert code == 0
    assert "usage:" in out


class TestTrainMistakes:
    """Exit 2, one line, nothing written."""

    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_unknown_recipe(self, command: Command, tmp_path: Path) -> None:
        assert_one_line(command("train", "nosuch"), "Unknown recipe", "nosuch", "ferkeras recipes")
        assert list(tmp_path.iterdir()) == []

    def test_unknown_key(self, command: Command, tmp_path: Path) -> None:
        result = command("train", "quickstart", "--set", "optimizer.learning_rat=1")
        assert_one_line(result, "optimizer.learning_rat", "Did you mean learning_rate?")
        assert list(tmp_path.iterdir()) == []

    def test_unknown_option_of_the_model(self, command: Command, tiny_data_dir: Path, tmp_path: Path) -> None:
        words = ("quickstart", "--set", "model.options.widht=2", "data.dataset=tiny_faces", "--data-dir", tiny_data_dir)
        assert_one_line(command("train", *words), "widht", "Did you mean width?")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("absent", "does not exist"),
            ("empty", "is empty"),
            ("truncated zip", "archive.zip"),
            ("short row", "fer2013.csv, line 2"),
        ],
    )
    def test_broken_source(self, kind: str, told: str, command: Command, tmp_path: Path) -> None:
        manual = tmp_path / "manual"
        if kind != "absent":
            manual.mkdir()
        if kind == "truncated zip":
            with zipfile.ZipFile(manual / "archive.zip", "w") as archive:
                archive.writestr("train/happy/Training_1.jpg", os.urandom(5000))
            (manual / "archive.zip").write_bytes((manual / "archive.zip").read_bytes()[:4000])
        if kind == "short row":
            (manual / "fer2013.csv").write_text('emotion,pixels,Usage\n0,"1 2 3",Training\n')
        before = sorted(tmp_path.rglob("*"))
        result = command("train", "vgg11_lstm_attention_fer2013", "--manual-dir", manual, "--data-dir", "data")
        assert_one_line(result, told)
        assert sorted(tmp_path.rglob("*")) == before

    def test_nothing_to_resume(self, command: Command) -> None:
        assert_one_line(command("train", "--resume"), "no run to resume")

    def test_wrong_usage(self, command: Command) -> None:
        assert_one_line(command("train", "--nosuch"), "--nosuch")

    def test_dry_run(self, command: Command, tmp_path: Path) -> None:
        code, out, _ = command("train", "--dry-run", "--set", "batch_size=7")
        assert code == 0
        assert json.loads(out)["batch_size"] == 7
        assert list(tmp_path.iterdir()) == []


def test_a_second_run_of_the_same_name(tiny_run: tuple[Path, list[object]], command: Command) -> None:
    runs, _ = tiny_run
    assert_one_line(command("train", "--output", runs, "--name", "tiny"), "already", "--resume")
    code, _, err = command("train", "--output", runs, "--name", "tiny", "--resume")
    assert code == 0
    assert "finished already" in err
    result = command("train", "--output", runs, "--name", "tiny", "--resume", "--set", "seed=5")
    assert_one_line(result, "--set")


def test_evaluate_export_and_every_artefact(
    tiny_run: tuple[Path, list[object]], command: Command, tmp_path: Path
) -> None:
    runs, data = tiny_run
    where = ["--runs", runs, *data]
    output = tmp_path / "m.json"
    code, out, _ = command("evaluate", "tiny", *where, "--split", "validation", "--output", output)
    assert code == 0
    assert "accuracy" in out
    report = json.loads(output.read_text())
    assert {"accuracy", "macro_f1", "per_class", "confusion_matrix", "n"} <= set(report)
    assert report["split"] == "validation"

    code, out, _ = command("export", "tiny", *where)
    assert code == 0
    exported = json.loads((runs / "tiny" / "export.json").read_text())
    assert exported["passed"]
    assert set(exported["artifacts"]) == {"saved_model", "litert"}
    assert not any(name.startswith("CUSTOM") for name in exported["artifacts"]["litert"]["operators"])

    for artifact in ("saved_model", "float32.tflite"):
        code, _, _ = command("evaluate", "tiny", *where, "--artifact", artifact, "--output", output)
        assert code == 0
        assert json.loads(output.read_text())["artifact"] == artifact
    code, _, _ = command("evaluate", "tiny", *where)
    metrics = json.loads((runs / "tiny" / "metrics.json").read_text())
    assert (code, metrics["split"]) == (0, "test")
    assert metrics["accuracy"] == json.loads(output.read_text())["accuracy"]
    assert_one_line(command("evaluate", "tiny", *where, "--artifact", "onnx"), "onnx")
    assert_one_line(command("evaluate", "nosuch", *where), "nosuch", "tiny")
    assert_one_line(command("evaluate", "tiny", *where, "--split", "tset"), "tset", "test")


def test_an_interruption_keeps_the_rows_so_far(tmp_path: Path) -> None:
    path = tmp_path / "out.json"

    def interrupted() -> None:
        with open_writer(path, classes=["a"]) as write:
            write({"source": "x", "a": 1.0})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [row["source"] for row in json.loads(path.read_text())] == ["x"]
    with open_writer(path, classes=["a"]):
        pass
    assert json.loads(path.read_text()) == []


def test_lists(command: Command) -> None:
    code, out, _ = command("recipes")
    assert code == 0
    assert all(name in out for name in recipes.recipe_names())
    code, out, _ = command("recipes", "quickstart")
    assert '"batch_size"' in out
    code, out, _ = command("datasets")
    assert "synthetic_faces" in out


def test_prepare_reports_and_writes_pictures(
    tiny_data_dir: Path, command: Command, tmp_path: Path, tiny_run: tuple[Path, list[object]]
) -> None:
    code, out, _ = command("prepare", "tiny_faces", "--data-dir", tiny_data_dir, "--pictures", tmp_path / "p")
    assert code == 0
    assert "Single-valued images" in out
    assert len(list((tmp_path / "p").glob("*.png"))) == 3
    assert_one_line(command("prepare", "fre2013"), "fre2013", "fer2013")


def test_table() -> None:
    assert format_table(["a", "n"], [["x", 10], ["yy", 9]]).splitlines() == ["a    n", "--  --", "x   10", "yy   9"]
