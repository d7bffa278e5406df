"""Kills commands at random moments and looks at what is left and at what a restart makes of it, as a Markdown table.

    python benchmarks/faults.py [--kills 100] [--seed 0] [--commands prepare train evaluate export] [--output FILE.md]

`kill -9` hits `prepare`, `train`, `evaluate` and `export` on a data set of 83 tiny pictures, at moments spread evenly
over the time that each takes undisturbed. After each kill every file must be whole; then the same command is given
again (`train` with --resume) and must reach what the undisturbed command reached: the same records, the same weights
and history, the same numbers, the same LiteRT file and a SavedModel that computes the same. Exits with 1 where one did
not.

The commands run in forks of one process that has imported TensorFlow and not yet used it, which spares its start.
Linux and macOS, from the root of the repository.
"""

import argparse
import csv
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ferkeras.files import write_atomically

SETTINGS = (
    *("data.dataset=tiny_faces", "data.image_size=[32,32]", "data.channels=1", "model.name=vgg11"),
    *('model.options={"width":0.0625}', "augment.flip=false", "duration=4ep", "batch_size=16"),
)
MODULES = (
    *("cli.prepare", "cli.train", "cli.evaluate", "cli.export"),
    *("training.loop", "training.finish", "export.artifacts"),
)
#: Of a row of the history: what depends on the machine's mood.
TIMES = ("seconds", "images_per_second")


@dataclass
class Tally:
    """What the kills of one command led to."""

    seconds: float
    kills: int = 0
    too_late: int = 0
    broken: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    left: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.tiny_faces
    _import()
    chance = random.Random(args.seed)
    tallies = {}
    with tempfile.TemporaryDirectory() as name:
        before = Path(name) / "undisturbed"
        times = {}
        for command, (words, _) in COMMANDS.items():  # each needs what those before it made
            start = time.perf_counter()
            code = _wait(_start(command, words(before), log=before.with_suffix(".log")))
            times[command] = time.perf_counter() - start
            if code != 0:
                sys.exit(f"{command} fails undisturbed:\n{before.with_suffix('.log').read_text()}")
            shutil.copytree(before, Path(name) / f"after_{command}")
        for index, command in enumerate(args.commands):
            kills = args.kills // len(args.commands) + (index < args.kills % len(args.commands))
            tallies[command] = _torment(command, Path(name), kills=kills, seconds=times[command], chance=chance)
    table = _table(tallies)
    print(table)
    if args.output:
        write_atomically(args.output, table)
    sys.exit(any(tally.broken or tally.different for tally in tallies.values()))


def _prepare(root: Path) -> list[str]:
    return ["tiny_faces", "--data-dir", f"{root}/data"]


def _train(root: Path) -> list[str]:
    begun = (root / "runs" / "tiny" / "recipe.json").exists()
    folders = ["--name", "tiny", "--output", f"{root}/runs", "--data-dir", f"{root}/data"]
    return ["quickstart", "--set", *SETTINGS, *folders, *(["--resume"] if begun else [])]


def _evaluate(root: Path) -> list[str]:
    return ["tiny", "--runs", f"{root}/runs", "--data-dir", f"{root}/data"]


def _export(root: Path) -> list[str]:
    return ["tiny", "--runs", f"{root}/runs", "--data-dir", f"{root}/data"]


def _prepared(root: Path) -> object:
    """Hashes of the records, and the report."""
    folder = root / "data" / "tiny_faces" / "subjects" / "1.0.0"
    report = json.loads((folder / "ferkeras_report.json").read_text())
    return {path.name: _hash(path) for path in folder.glob("*.tfrecord*")} | {"report": report}


def _trained(root: Path) -> object:
    """Weights, history without times, and the measures of validation."""
    run = root / "runs" / "tiny"
    with zipfile.ZipFile(run / "model.keras") as model:
        weights = hashlib.sha256(model.read("model.weights.h5")).hexdigest()
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader((run / "history.csv").open())]
    return weights, rows, json.loads((run / "metrics.json").read_text()), sorted(p.name for p in run.iterdir())


def _evaluated(root: Path) -> object:
    return json.loads((root / "runs" / "tiny" / "metrics.json").read_text())


def _exported(root: Path) -> object:
    """Hashes of the LiteRT files, the names of the files of the SavedModel, and the proof that both compute what the
    model does. TensorFlow orders a SavedModel anew each time and gives it another number, so its bytes differ."""
    run = root / "runs" / "tiny"
    names = sorted(str(path.relative_to(run)) for path in (run / "saved_model").rglob("*"))
    report = json.loads((run / "export.json").read_text())
    del report["artifacts"]["saved_model"]["bytes"]
    return {path.name: _hash(path) for path in (run / "litert").glob("*.tflite")}, names, report


#: Command -> its words, and what it must have made in the end.
COMMANDS: dict[str, tuple[Callable[[Path], list[str]], Callable[[Path], object]]] = {
    "prepare": (_prepare, _prepared),
    "train": (_train, _trained),
    "evaluate": (_evaluate, _evaluated),
    "export": (_export, _exported),
}


def _torment(command: str, folder: Path, *, kills: int, seconds: float, chance: random.Random) -> Tally:
    """Kills `command` again and again; whenever it gets to its end, it begins anew from what it needs."""
    words, outcome = COMMANDS[command]
    expected = outcome(folder / f"after_{command}")
    names = list(COMMANDS)
    needed = folder / f"after_{names[names.index(command) - 1]}" if command != "prepare" else None
    tally, root, log = Tally(seconds), folder / "victim", folder / "victim.log"
    while tally.kills < kills:
        shutil.rmtree(root, ignore_errors=True)
        if needed:
            shutil.copytree(needed, root)
        dead = False
        for _ in range(3):  # kills in a row before it may reach its end
            if tally.kills == kills:
                break
            child = _start(command, words(root), log=log)
            dead = _kill(child, after=chance.uniform(0.0, seconds))
            tally.kills += dead
            tally.too_late += not dead
            where = f"kill {tally.kills}"
            tally.broken += [f"{where}: {broken}" for broken in _broken(root)]
            if not dead:
                break
        if dead and _wait(_start(command, words(root), log=log)) != 0:
            tally.different.append(f"kill {tally.kills}: the restart failed: {log.read_text()[-500:]}")
        elif outcome(root) != expected:
            tally.different.append(f"kill {tally.kills}")
        tally.left += sum(1 for path in root.rglob("*") if "unfinished" in path.suffix or "incomplete" in path.name)
        print(f"{command}: {tally.kills} of {kills}", file=sys.stderr, flush=True)
    return tally


def _start(command: str, words: list[str], *, log: Path) -> int:
    """Forks a process that runs the command and writes what it says to `log`; returns its number."""
    child = os.fork()
    if child == 0:
        from ferkeras.cli.command import run_command

        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = run_command(command, words)
        sys.stdout.flush()
        os._exit(code)
    return child


def _kill(child: int, *, after: float) -> bool:
    """Kills the process `after` seconds; False where it ended by itself before."""
    end = time.perf_counter() + after
    while time.perf_counter() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _broken(root: Path) -> list[str]:
    """Files, other than those in the hidden folders of unfinished ones, that cannot be read to their end."""
    broken = []
    for path in root.rglob("*"):
        aside = any(part.endswith(".unfinished") or "incomplete" in part for part in path.parts)
        if aside or not path.is_file() or path.suffix == ".lock":
            continue
        try:
            _read(path)
        except Exception as error:
            broken.append(f"{path.relative_to(root)}: {error!r}")
    for name in ("recipe.json", "labels.json", "preprocessing.json", "env.json"):
        if list(root.glob("runs/tiny/model.keras")) and not (root / "runs" / "tiny" / name).exists():
            broken.append(f"{name} is missing beside a model")
    return broken


def _read(path: Path) -> None:
    if path.suffix in (".json", ".csv", ".md", ".txt"):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            json.loads(text)
        if not text:
            raise ValueError("empty")
    elif path.suffix == ".keras" and (bad := zipfile.ZipFile(path).testzip()):
        raise ValueError(bad)
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            [arrays[name] for name in arrays.files]
    elif path.suffix == ".png":
        from PIL import Image

        Image.open(path).load()
    elif ".tfrecord" in path.name:
        _read_records(path)
    elif path.suffix == ".tflite" and path.read_bytes()[4:8] != b"TFL3":
        raise ValueError("not LiteRT")


def _read_records(path: Path) -> None:
    """Walks over the lengths of a file of records: 8 bytes of length, 4, the record, 4."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        at += 8 + 4 + int.from_bytes(data[at : at + 8], "little") + 4
    if at != len(data):
        raise ValueError("cut short")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _import() -> None:
    """What the commands import, so that a fork need not; nothing here starts TensorFlow's threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("tensorflow", "tensorflow_datasets", *(f"ferkeras.{module}" for module in MODULES)):
        importlib.import_module(name)
    from ferkeras.data import sources

    sources.DATASETS["tiny_faces"] = "tests.tiny_faces"


def _table(tallies: dict[str, Tally]) -> str:
    lines = [
        "| command | seconds undisturbed | kills | ended before the kill | broken files | other result | left over |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for command, tally in tallies.items():
        numbers = (tally.kills, tally.too_late, len(tally.broken), len(tally.different), tally.left)
        lines.append(f"| {command} | {tally.seconds:.1f} | {' | '.join(map(str, numbers))} |")
    found = [line for tally in tallies.values() for line in [*tally.broken, *tally.different]]
    return "\n".join([*lines, *([""] if found else []), *(f"* {line}" for line in found)]) + "\n"


if __name__ == "__main__":
    main()
