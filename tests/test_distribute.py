"""Several devices: that they reach what one device reaches, stop when told to, and report a worker that is gone."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.cli.command import run_command
from ferkeras.errors import InputError
from ferkeras.recipe import Distribute, Recipe, override, resolve
from ferkeras.training import cluster
from ferkeras.training.replicas import _share
from tests.preempted import assert_resume_is_exact

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def losses(kind: str, folder: Path, data_dir: Path, *, workers: int = 1) -> dict[str, Any]:
    """What `tests.replica_losses` prints."""
    words = [sys.executable, "-m", "tests.replica_losses", kind, str(folder), str(data_dir)]
    if workers > 1:
        code = "import sys; from ferkeras.training.cluster import launch; "
        words = [sys.executable, "-c", f"{code}sys.exit(launch({words!r}, workers={workers}))"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def alone(tiny_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return losses("one_device", tmp_path_factory.mktemp("alone"), tiny_data_dir)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "workers"), [("mirrored", 1), ("multi_worker", 2)])
def test_replicas_reach_what_one_device_reaches(
    kind: str, workers: int, alone: dict[str, Any], tiny_data_dir: Path, tmp_path: Path
) -> None:
    """With odd and too small batches, clipping, EMA, a stop in mid-epoch and the resume after it; a whole run with a
    plateau and early stopping too."""
    together = losses(kind, tmp_path, tiny_data_dir, workers=workers)
    assert set(together) == {"plain", "normalised", "affect", "history"}
    _same_history(together.pop("history"), alone["history"])
    for name, found in together.items():
        assert (alone[name]["done"], found["done"]) == (3, 3)
        for ours, theirs in zip(found["logs"], alone[name]["logs"], strict=True):
            assert ours == pytest.approx(theirs, abs=1e-4), name
        np.testing.assert_allclose(found["logits"], alone[name]["logits"], atol=1e-3, err_msg=name)
        assert found["logs"][0]["loss"] != found["logs"][1]["loss"]


def _same_history(ours: list[dict[str, str]], theirs: list[dict[str, str]]) -> None:
    """The same epochs at the same rates with the same losses; the run must have slowed down and stopped early."""
    rates = [float(row["learning_rate"]) for row in theirs]
    assert len(set(rates)) > 2
    assert 5 < len(theirs) < 30
    for mine, other in zip(ours, theirs, strict=True):
        for name in ("epoch", "learning_rate"):
            assert mine[name] == other[name]
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert float(mine[name]) == pytest.approx(float(other[name]), abs=1e-3), name


def command(*words: object, data_dir: Path, output: Path) -> list[str]:
    small = "data.dataset=tiny_faces data.image_size=(32,32) model.name=vgg11 model.options.width=0.0625 dtype=float32"
    return [
        *(sys.executable, "-m", "tests.tiny_command", "train", "quickstart", "--set", *small.split()),
        *("distribute.synchronized_batch_norm=true", "batch_size=8", "duration=2000ep", "--data-dir", str(data_dir)),
        *("--output", str(output), "--name", "run", *map(str, words)),
    ]


def rows(output: Path) -> list[dict[str, str]]:
    path = output / "run" / "history.csv"
    return list(csv.DictReader(path.open())) if path.exists() else []


def until_epoch(output: Path, epoch: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 600
    while len(rows(output)) < epoch:
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """Process ids by index."""
    found = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    index = {p: json.loads(_variable(p, "TF_CONFIG"))["task"]["index"] for p in found}
    return sorted(index, key=index.__getitem__)


def _variable(process: int, name: str) -> str:
    words = Path(f"/proc/{process}/environ").read_text().split("\0")
    return next(word.partition("=")[2] for word in words if word.startswith(f"{name}="))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the workers in /proc")
def test_two_workers_stop_when_told_and_report_one_that_is_gone(tiny_data_dir: Path, tmp_path: Path) -> None:
    def start(*words: object) -> "subprocess.Popen[str]":
        told = command("--local-workers", 2, *words, data_dir=tiny_data_dir, output=tmp_path)
        return subprocess.Popen(
            told, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT, env=ENVIRONMENT
        )

    first = start()
    until_epoch(tmp_path, 1, first)
    os.kill(workers_of(first)[1], signal.SIGTERM)  # one of them is enough
    said = first.communicate(timeout=300)[1]
    assert first.returncode == 0, said[-3000:]
    assert "ferkeras: Stopped after step" in said

    second = start("--resume", "--elastic")
    until_epoch(tmp_path, len(rows(tmp_path)) + 1, second)
    os.kill(workers_of(second)[1], signal.SIGKILL)
    said = said_until("training goes on with 1", second)
    assert "ferkeras: Worker 1 does not answer any more" in said
    assert "ferkeras: Worker 1 of 2 is lost" in said
    assert "Traceback" not in said
    until_epoch(tmp_path, len(rows(tmp_path)) + 1, second)
    second.send_signal(signal.SIGTERM)
    assert "ferkeras: Stopped after step" in second.communicate(timeout=300)[1]
    assert second.returncode == 0

    last = start("--resume")
    until_epoch(tmp_path, len(rows(tmp_path)) + 1, last)
    os.kill(workers_of(last)[0], signal.SIGSTOP)  # the chief hangs
    begin = time.monotonic()
    said = last.communicate(timeout=300)[1]
    assert time.monotonic() - begin < 60
    assert last.returncode == 1
    assert "ferkeras: Another worker does not answer any more" in said
    assert "ferkeras: Worker 0 of 2 is lost." in said
    assert "Traceback" not in said
    assert [row["epoch"] for row in rows(tmp_path)] == [str(n + 1) for n in range(len(rows(tmp_path)))]


def said_until(words: str, process: "subprocess.Popen[str]") -> str:
    """What `process` has written to standard error up to a line with `words`."""
    said = ""
    for line in process.stderr or ():
        said += line
        if words in line:
            return said
    raise AssertionError(said[-3000:])


def test_a_run_stopped_in_mid_epoch_ends_like_an_uninterrupted_one(
    tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_resume_is_exact(tiny_recipe, tmp_path, data_dir=tiny_data_dir, monkeypatch=monkeypatch)


def test_shares_cover_the_batch() -> None:
    for batch in range(1, 20):
        for replicas in range(1, 9):
            shares = [_share(batch, index, replicas) for index in range(replicas)]
            assert [row for start, end in shares for row in range(start, end)] == list(range(batch))
            sizes = [end - start for start, end in shares]
            assert max(sizes) - min(sizes) <= 1
            assert all(start < batch for start, _ in shares)  # the row of an empty share is there


def test_the_cluster_of_a_process() -> None:
    text = cluster.cluster_config(["a:1", "b:2"], 1)
    assert cluster.task({"TF_CONFIG": text}) == (1, 2)
    assert cluster.task({}) == (0, 1)


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {}}'])
def test_a_wrong_cluster_is_told(text: str) -> None:
    with pytest.raises(InputError, match="TF_CONFIG"):
        cluster.task({"TF_CONFIG": text})


@pytest.mark.parametrize(
    ("workers", "index", "word"),
    [(["a"], 0, "host:port"), ([], 0, "host:port"), (["a:1", "a:1"], 0, "same"), (["a:1", "b:1"], 2, "0 to 1")],
)
def test_wrong_workers_are_told(workers: list[str], index: int, word: str) -> None:
    with pytest.raises(InputError, match=word):
        cluster.cluster_config(workers, index)


def test_the_place_among_the_workers_comes_from_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    monkeypatch.setenv("TF_CONFIG", "")
    with pytest.raises(InputError, match="--worker-index"):
        cluster.join_cluster("a:1,b:1", None)
    monkeypatch.setenv("SLURM_PROCID", "1")
    cluster.join_cluster("a:1, b:1", None)
    assert cluster.task() == (1, 2)


def test_the_launcher_tells_the_workers_apart_and_how_they_ended(tmp_path: Path) -> None:
    code = (
        "import os, sys; from ferkeras.training.cluster import task; index, count = task(); "
        f"open(os.path.join({str(tmp_path)!r}, f'{{index}}_{{count}}'), 'w').close(); "
        "sys.exit(int(sys.argv[1]) * index)"
    )
    words = [sys.executable, "-c", code]
    assert cluster.launch([*words, "0"], workers=2) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"0_2", "1_2"}
    assert cluster.launch([*words, "3"], workers=2) == 3


def test_the_launcher_goes_on_with_the_workers_that_are_left(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of four is killed and another hangs; the two that are left end well."""
    monkeypatch.setattr(cluster, "GRACE_SECONDS", 1.0)
    code = (
        "import os, signal, sys, time; from ferkeras.training.cluster import task; index, count = task(); "
        "index == 1 and os.kill(os.getpid(), signal.SIGKILL); index == 2 and time.sleep(600); sys.exit(1)"
    )
    written = f"open(os.path.join({str(tmp_path)!r}, f'{{index}}_{{count}}'), 'w').close()"
    after = f"import os; from ferkeras.training.cluster import task; index, count = task(); {written}"
    asked: list[int] = []

    def again(left: int) -> list[str]:
        asked.append(left)
        return [sys.executable, "-c", after]

    first = [sys.executable, "-c", code]
    assert cluster.launch(first, workers=4, elastic=again) == 0
    assert asked == [2]
    assert {path.name for path in tmp_path.iterdir()} == {"0_2", "1_2"}
    assert "Worker 1, 2 of 4 is lost; training goes on with 2." in capfd.readouterr().err
    assert cluster.launch(first, workers=4) == 1
    assert "Worker 1, 2 of 4 is lost." in capfd.readouterr().err


def test_a_mistake_is_no_lost_worker() -> None:
    def again(left: int) -> list[str]:
        raise RuntimeError(f"started anew with {left}")

    assert cluster.launch([sys.executable, "-c", "import sys; sys.exit(2)"], workers=2, elastic=again) == 2


def test_elastic_is_for_the_launcher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("train", ["quickstart", "--elastic", "--output", str(tmp_path)]) == 2
    assert "--local-workers" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_recipe_names_its_devices(tiny_recipe: Recipe) -> None:
    changed = resolve(override(tiny_recipe, ["distribute.strategy=mirrored", "distribute.replicas=2"]))
    assert changed.distribute == Distribute("mirrored", 2)
    assert Recipe.from_json(changed.to_json()) == changed
    with pytest.raises(InputError, match=r"distribute\.replicas"):
        resolve(override(tiny_recipe, ["distribute.replicas=-1"]))
    with pytest.raises(InputError, match=r"distribute\.strategy"):
        override(tiny_recipe, ["distribute.strategy=many"])
