"""The commands about networks rather than runs: models, tune, explain, benchmark --models."""

import dataclasses
import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.cli import benchmark
from ferkeras.models import create_model
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from tests.commands import Command, assert_one_line, call, picture


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return functools.partial(call, capsys)


def test_models(command: Command) -> None:
    code, out, _ = command("models", "vgg11", "gimefive4")
    assert code == 0
    assert "two per multiply-add" in out
    *_, head, first, second = out.splitlines()
    assert head.split()[:6] == ["model", "trainable", "all", "GFLOPs", "input", "classes"]
    assert first.startswith("vgg11 ")
    assert second.split()[:6] == ["gimefive4", "2,606,086", "2,608,006", "0.47", "64x64x3", "6"]
    assert second[: head.index("GFLOPs") + 6].endswith("0.47")
    _, out, _ = command("models", "gimefive4", "--input", "32x48x1", "--classes", "3")
    assert out.splitlines()[-1].split()[4:6] == ["32x48x1", "3"]

    code, out, err = command("models", "vgg11", "gimefive4", "--input", "24x24x1")
    assert code == 2
    assert "vgg11: The model vgg11 cannot be built" in out
    assert out.splitlines()[-1].startswith("gimefive4 ")
    assert "1 of 2 models" in err
    assert_one_line(command("models", "gimefiv4"), "Unknown model", "Did you mean gimefive4?")
    for wrong in ("64", "64x64", "64x64x2", "0x64x3", "64x64x3x1"):
        assert_one_line(command("models", "--input", wrong), "64x64x3", f"received {wrong}")


def test_tune(
    tiny_recipe: Recipe, tiny_data_dir: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(tiny_recipe, duration="1ep")
    monkeypatch.setattr("ferkeras.cli.tune.load_recipe", lambda name: (short, ""))
    words = ["tune", "tiny", "--output", tmp_path, "--data-dir", tiny_data_dir, "--grid"]
    code, out, _ = command(*words, "seed=0,1", "augment.flip=true", "--dry-run")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["1_flip=true,seed=0", "2_flip=true,seed=1"]
    assert_one_line(command(*words, "seed=0,,1"), "key=value,value", "seed=0,,1")
    assert_one_line(command(*words, "seeds=0,1"), "seeds", "Did you mean seed?")
    assert_one_line(command(*words, "model.name=vgg11,vgg12"), "Unknown model", "vgg12")
    assert_one_line(command("tune", "tiny"), "--grid")
    assert list(tmp_path.iterdir()) == []

    code, out, err = command(*words, "seed=3", "--set", "data.image_size=[32, 32]", "--name", "g")
    assert code == 0
    assert "trial 1/1  1_seed=3" in err
    assert out.splitlines()[2].split()[0] == "1_seed=3"
    assert out.splitlines()[2].split()[-1] == "finished"
    assert "python train.py tiny --set 'data.image_size=[32, 32]' seed=3 --name NAME" in out
    assert Recipe.from_json((tmp_path / "g" / "best.json").read_text()) == dataclasses.replace(short, seed=3)
    assert RunFolder.find("g/1_seed=3", root=tmp_path).is_finished()
    assert_one_line(command(*words, "seed=4", "--name", "g"), "another grid", "--name")
    assert_one_line(command(*words, "seed=3", "--set", "batch_size=4", "--name", "g"), "another grid")


@pytest.fixture
def transformer_run(tmp_path: Path) -> RunFolder:
    """A run folder with what `explain` reads: a thin EmoNeXt whose transformer, untrained, is the identity."""
    run = RunFolder(tmp_path / "emonext")
    run.write_json("recipe.json", {})
    run.write_json("preprocessing.json", {"height": 40, "width": 32, "channels": 1})
    run.save_model(create_model("emonext_tiny", {"width": 0.0625}, input_shape=(40, 32, 1), classes=3))
    return run


def test_explain_stn(transformer_run: RunFolder, command: Command, tmp_path: Path) -> None:
    first, second = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", size=(60, 30))
    bad = tmp_path / "bad.png"
    bad.write_bytes(first.read_bytes()[:200])
    words = ["explain", transformer_run.path, "--method", "stn"]
    code, out, _ = command(*words, first, "--dry-run")
    assert (code, out) == (0, f"would explain 1 pictures by stn in {transformer_run.path / 'explain'}\n")
    assert not (transformer_run.path / "explain").exists()

    code, out, err = command(*words, first, bad, second)
    sheet = transformer_run.path / "explain" / "stn_sheet.png"
    assert (code, out) == (2, f"{sheet}\n")
    assert "bad.png" in err.splitlines()[0]
    assert "1 of 3 pictures" in err.splitlines()[1]
    with Image.open(sheet) as image:
        pixels = np.asarray(image).astype(int)
    assert pixels.shape == (82, 66, 3)
    np.testing.assert_allclose(pixels[:40], pixels[42:], atol=1)

    assert command(*words, first, "--output", tmp_path / "here")[:2] == (0, f"{tmp_path / 'here' / 'stn_sheet.png'}\n")
    nothing = command(*words, bad, "--output", tmp_path / "there")
    assert nothing[:2] == (2, "")
    assert not (tmp_path / "there").exists()
    assert_one_line(command("explain", transformer_run.path, first), "--method")
    assert_one_line(command(*words, *[first] * 65), "64 pictures at most", "65")
    options = {"width": 0.0625, "transformer": False}
    transformer_run.save_model(create_model("emonext_tiny", options, input_shape=(40, 32, 1), classes=3))
    assert_one_line(command(*words, first, "--output", tmp_path / "there"), "no layer", "EmoNeXt")
    assert not (tmp_path / "there").exists()


def killed(*_: object, **__: object) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def exhausted(*_: object, **__: object) -> float:
    raise MemoryError("no room")


def fast(name: str, part: str, *, input_shape: tuple[int, ...], classes: int, batch_size: int) -> float:
    return float(input_shape[0] * classes * batch_size)


def slow(*_: object, **__: object) -> float:
    return 1.234


def without_tensorflow() -> None:
    pass


@pytest.mark.parametrize(
    ("measure", "cell", "told"),
    [
        (killed, "killed", "gimefive4, training: the system ended the process"),
        (exhausted, "out of memory", "gimefive4, training: no room."),
        (fast, "720", ""),
        (slow, "1.2", ""),
    ],
)
def test_one_measurement_takes_no_other_with_it(
    measure: Callable[..., float],
    cell: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark, "_begin_apart", without_tensorflow)
    found = benchmark._speed_apart(measure, "gimefive4", "training", shape=(20, 20, 3), classes=6, batch_size=6)
    assert found == cell
    assert told in capsys.readouterr().err


def test_benchmark_of_models(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def cell(measure: object, name: str, part: str, **settings: object) -> str:
        return f"{name} {part} {settings}"

    monkeypatch.setattr(benchmark, "_speed_apart", cell)
    code, out, _ = command("benchmark", "--models", "gimefive4", "vgg11", "--part", "inference", "--batch-size", "5")
    assert code == 0
    told, _, _, head, line, first, second = out.splitlines()
    assert "Batches of 5" in told
    assert (head, line) == ("| model | input | inference, images/s |", "|---|---|---|")
    settings = {"shape": (64, 64, 3), "classes": 6, "batch_size": 5}
    assert first == f"| gimefive4 | 64x64x3 | gimefive4 inference {settings} |"
    assert second.startswith("| vgg11 | 48x48x1 | ")
    _, out, _ = command("benchmark", "--models", "vgg11", "--input", "32x32x3")
    assert out.count("32x32x3 |") == 1
    assert "| training, images/s | inference, images/s |" in out


def test_benchmark_takes_a_run_or_models(command: Command) -> None:
    assert_one_line(command("benchmark"), "either a RUN or --models", "neither")
    assert_one_line(command("benchmark", "tiny", "--models"), "either a RUN or --models", "tiny and --models")
    assert_one_line(command("benchmark", "tiny", "--input", "64x64x3"), "--input goes with --models")
    assert_one_line(command("benchmark", "--models", "vgg12"), "Unknown model", "vgg12")
    assert_one_line(command("benchmark", "--models", "--part", "pipeline"), "no pipeline")
    assert_one_line(command("benchmark", "--models", "--batch-size", "0"), "at least 1")
