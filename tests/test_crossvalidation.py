"""Cross-validation by subject: everyone is tested once, by a network that has not seen them; the rest is arithmetic."""

import csv
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras import crossvalidation, evaluation
from ferkeras.affect_metrics import SCORES, value_scores
from ferkeras.crossvalidation import cross_validate, default_folds, make_folds
from ferkeras.data.folds import parse_split
from ferkeras.errors import InputError
from ferkeras.recipe import Data, Recipe, override
from ferkeras.recipe_data import Part
from ferkeras.recipes import load_recipe
from ferkeras.runs import RunFolder
from ferkeras.training import finish, loop
from ferkeras.training.lock import run_lock
from ferkeras.training.task import open_examples
from ferkeras.valence_arousal import expected_values
from tests.commands import Command, assert_one_line, call
from tests.tiny_faces import label, subject
from tfds_builders.afew_va.make_dummy_data import DummyClip, annotation, five_landmarks
from tfds_builders.base.dummies import encoded, marked, write_files

#: Five actors: the sixth sorted clip is of the first actor again.
ACTORS = ("Anna Roe", "Ben Loe", "Cy Poe", "Di Moe", "Ed Noe")
RECIPE = "efficientnet_lstm_afew_va"
#: What makes the recipe small: 16 x 16 pixels, windows of four frames, one epoch.
SMALL = (
    *("data.dataset=afew_va/tiny", "data.image_size=[16,16]", "data.clips.frames=4", "data.clips.min_frames=2"),
    *("model.options.weights=none", "model.options.backbone=small_cnn", "model.options.width=0.125"),
    *("model.options.hidden=8", "model.options.depth=1", "duration=1ep", "optimizer.learning_rate=1e-2"),
    *("augment.flip=false", "augment.rotation=0", "augment.translation=0"),
    *("augment.brightness=0", "augment.contrast=0"),
)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return functools.partial(call, capsys)


def official_files() -> dict[str, bytes]:
    """AFEW-VA in its layout: two clips of each actor, of four or six frames, whose grey level follows valence."""
    found: dict[str, bytes] = {}
    for index in range(2 * len(ACTORS)):
        valence = tuple(range(index - 6, index - 2 + 2 * (index % 2)))
        clip = DummyClip("01", f"{index + 1:03d}", ACTORS[index % len(ACTORS)], valence, (index - 3,) * len(valence))
        found[f"01/{clip.id}/{clip.id}.json"] = json.dumps(annotation(clip)).encode()
        for number, value in enumerate(valence):
            frame = marked(five_landmarks(number), level=100 + 9 * value, shape=(72, 90, 3))
            found[f"01/{clip.id}/{number:05d}.png"] = encoded(frame, ".png")
    return found


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "folds.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_fold_is_tested_once_and_the_next_one_validates() -> None:
    recipe, _ = load_recipe(RECIPE)
    assert default_folds(recipe) == 5
    assert default_folds(override(recipe, ["data.train=train"])) == 5
    assert default_folds(override(recipe, ["data.train=train@0/f.json"])) == Path("f.json")
    made = make_folds(recipe, 4)
    assert list(made) == ["fold_1", "fold_2", "fold_3", "fold_4"]
    parts = [(own.data.train, own.data.validation, own.data.test) for own in made.values()]
    assert parts == [
        ("train@2,3/4", "train@1/4", "train@0/4"),
        ("train@0,3/4", "train@2/4", "train@1/4"),
        ("train@0,1/4", "train@3/4", "train@2/4"),
        ("train@1,2/4", "train@0/4", "train@3/4"),
    ]
    for own in made.values():
        assert override(own, ["data.train=train", "data.validation=v", "data.test=t"]) == override(
            recipe, ["data.train=train", "data.validation=v", "data.test=t"]
        )
    sliced = make_folds(override(recipe, ["data.train=train+test"]), 3)
    assert sliced["fold_3"].data.validation == "train+test@0/3"


def test_folds_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    path.write_text('{"a": 7, "b": 2, "c": 4, "d": 2}')
    made = make_folds(load_recipe(RECIPE)[0], path)
    assert [parse_split(own.data.test).folds for own in made.values()] == [(2,), (4,), (7,)]
    assert parse_split(made["fold_2"].data.train).folds == (2,)
    assert parse_split(made["fold_2"].data.validation).count == path
    path.write_text('{"a": 0, "b": 1}')
    with pytest.raises(InputError, match=r"at least 3 folds: .* Received: 2 in .*folds\.json"):
        make_folds(load_recipe(RECIPE)[0], path)
    other = path.rename(tmp_path / "folds.txt")
    other.write_text('{"a": 0, "b": 1, "c": 2}')
    with pytest.raises(InputError, match=r"NAME@FOLDS/K"):
        make_folds(load_recipe(RECIPE)[0], other)


@pytest.mark.parametrize("count", [2, 0, -1])
def test_too_few_folds(count: int, tiny_recipe: Recipe) -> None:
    with pytest.raises(InputError, match=f"at least 3 folds: .* Received: {count}"):
        make_folds(tiny_recipe, count)


def test_one_data_set_alone(tiny_recipe: Recipe) -> None:
    data = Data("tiny_faces", parts=(Part("fer2013"),))
    with pytest.raises(InputError, match=r"one data set\. Received: tiny_faces, fer2013"):
        make_folds(Recipe("two", tiny_recipe.model, data), 3)


def test_afew_va_end_to_end(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared from the official layout, trained and tested by actor, interrupted in the second of three folds."""
    write_files(tmp_path / "manual", official_files())
    data_dir, folder = tmp_path / "data", tmp_path / "runs" / "actors"
    data = ["--data-dir", data_dir, "--manual-dir", tmp_path / "manual"]
    code, out, err = command("prepare", "afew_va/tiny", *data, "--set", "faces.size=16")
    assert code == 0, err
    assert "5 subjects" in out

    words = [RECIPE, "--folds", 3, "--output", tmp_path / "runs", "--name", "actors", *data, "--set", *SMALL]
    code, out, err = command("crossvalidate", *words, "--dry-run")
    assert (code, len(out.splitlines())) == (0, 5), err
    assert_one_line(command("crossvalidate", *words, "--resume"), "no cross-validation to resume", "--resume")
    assert not folder.exists()

    for name in ("plot_curves", "write_plots"):  # of the validation part, which others test
        monkeypatch.setattr(finish, name, lambda *_, **__: None)
    with monkeypatch.context() as patch:
        save = loop.save_checkpoint

        def save_and_stop(path: Path, **rest: Any) -> None:
            save(path, **rest)
            if "fold_2" in str(path):
                raise KeyboardInterrupt

        patch.setattr(loop, "save_checkpoint", save_and_stop)
        code, out, err = command("crossvalidate", *words)
    assert (code, out) == (130, "")
    assert "--resume goes on" in err
    assert [RunFolder(folder / f"fold_{n}").is_finished() for n in (1, 2, 3)] == [True, False, False]
    assert not (folder / "folds.csv").exists()

    assert_one_line(command("crossvalidate", *words), "of this name already", "--resume")
    assert_one_line(command("crossvalidate", *words, "seed=3", "--resume"), "holds another cross-validation")
    trained = {n: (folder / f"fold_{n}" / "model.keras").stat().st_mtime_ns for n in (1, 2)}
    found: dict[str, evaluation.Predictions] = {}
    collect, write_plots, plotted = evaluation.collect, evaluation.write_plots, []

    def write_last_plots(run: RunFolder, *arguments: Any) -> None:
        plotted.append(run.path)
        if run.path == folder:  # those of the folds are of the same kind
            write_plots(run, *arguments)

    def collect_and_keep(*arguments: Any, split: str) -> evaluation.Predictions:
        found[split] = collect(*arguments, split=split)
        return found[split]

    monkeypatch.setattr(evaluation, "collect", collect_and_keep)
    monkeypatch.setattr(evaluation, "write_plots", write_last_plots)
    code, out, err = command("crossvalidate", *words, "--resume")
    assert code == 0, err
    assert {n: (folder / f"fold_{n}" / "model.keras").stat().st_mtime_ns for n in (1, 2)} == trained

    record = json.loads((folder / "crossvalidation.json").read_text())
    people = {name: fold["subjects"] for name, fold in record["folds"].items()}
    assert people == {"fold_1": ["anna roe", "di moe"], "fold_2": ["ben loe", "ed noe"], "fold_3": ["cy poe"]}
    for number, own in enumerate(people.values()):
        tested = found[f"train@{number}/3"].subjects
        assert tested is not None
        assert {subject.decode() for subject in tested} == set(own)
    check_affect(folder, list(found.values()), data_dir)
    pooled = json.loads((folder / "metrics.json").read_text())
    assert pooled["split"] == "train@0,1,2/3"
    assert f"mean CCC {pooled['mean_ccc']:.4f}" in out
    assert (folder / "plots" / "valence_arousal.png").exists()
    assert plotted == [*(folder / f"fold_{n}" for n in (1, 2, 3)), folder]


def check_affect(folder: Path, found: list[evaluation.Predictions], data_dir: Path) -> None:
    """The table against the predictions of the folds and the means of what each was trained on."""
    rows, report = rows_of(folder), json.loads((folder / "metrics.json").read_text())
    by_name = {(row["fold"], row["output"], row["predictor"]): row for row in rows}
    assert list(by_name) == [
        (fold, output, predictor)
        for fold in ("fold_1", "fold_2", "fold_3", "pooled")
        for output in ("valence", "arousal")
        for predictor in ("model", "constant mean")
    ]
    assert [row["subjects"] for row in rows[::4]] == ["2", "2", "1", "5"]
    for output in ("valence", "arousal"):
        true, said, constant = [], [], []
        for fold, own in zip(("fold_1", "fold_2", "fold_3"), found, strict=True):
            recipe = RunFolder(folder / fold).recipe()
            training = open_examples(recipe, data_dir=data_dir).evaluation(recipe.data.train).as_numpy_iterator()
            mean = np.concatenate([labels[output] for _, labels in training]).mean() / 10
            true.append(own.labels[output] / 10)
            said.append(expected_values(own.logits[output]))
            constant.append(np.full(len(true[-1]), mean))
            rmse = np.sqrt(np.mean((said[-1] - true[-1]) ** 2))
            assert float(by_name[fold, output, "model"]["rmse"]) == pytest.approx(rmse)
            assert json.loads((folder / fold / "metrics.json").read_text())["split"] == recipe.data.test
        for predictor, values in (("model", said), ("constant mean", constant)):
            row, expected = by_name["pooled", output, predictor], value_scores(*map(np.concatenate, (true, values)))
            assert int(row["n"]) == expected["n"] == sum(map(len, true))
            # The classes of the model are those of its largest logits, and not the bins nearest to its numbers.
            names = ("rmse", "mae", "pearson", "ccc", "sagr") if predictor == "model" else SCORES
            assert [float(row[name]) for name in names] == pytest.approx([expected[name] for name in names])
        model, pooled = by_name["pooled", output, "model"], report[output]
        assert [float(model[name]) for name in SCORES] == pytest.approx([pooled[name] for name in SCORES])
        limits = [float(model["ccc_low"]), float(model["ccc_high"])]
        assert limits == pytest.approx(pooled["confidence_intervals"]["ccc"])
        constants = by_name["pooled", output, "constant mean"]
        assert [float(constants[name]) for name in SCORES] == [pooled["baseline"][name] for name in SCORES]


def test_classes(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds of a file, and networks that say the same of everybody: what is pooled is known by hand."""
    answers = {"fold_1": 0, "fold_2": 1, "fold_3": 0}

    def fake(recipe: Recipe, path: Path, **options: Any) -> tuple[evaluation.Predictions, dict[str, Any]]:
        del options
        data, logits = open_examples(recipe, data_dir=tiny_data_dir), np.eye(3)[answers[path.name]]
        found = evaluation.collect(
            lambda images: {"emotion": np.tile(logits, (len(images), 1))}, data, split=recipe.data.test
        )
        return found, evaluation.measure(found)

    monkeypatch.setattr(crossvalidation, "_run_fold", fake)
    people = {f"train_{index}": (0, 1, 1, 2)[index % 4] for index in range(13)}
    path, folder = tmp_path / "folds.json", tmp_path / "run"
    path.write_text(json.dumps(people))
    done = cross_validate(tiny_recipe, path, folder, data_dir=tiny_data_dir)

    matrix = np.zeros((3, 3), int)
    for index in range(50):
        matrix[label(index), answers[f"fold_{people[subject('train', index)] + 1}"]] += 1
    assert matrix[:, 1].sum() == 24
    assert done.report["confusion_matrix"] == matrix.tolist()
    assert done.report["accuracy"] == pytest.approx(np.trace(matrix) / 50)
    assert (done.report["n"], done.report["split"]) == (50, f"train@0,1,2/{path}")
    assert [(row["fold"], row["n"], row["subjects"]) for row in done.rows] == [
        *(("fold_1", 14, 4), ("fold_2", 24, 6), ("fold_3", 12, 3), ("pooled", 50, 13))
    ]
    pooled = done.rows[-1]
    assert {name: pooled[name] for name in ("accuracy", "macro_f1", "kappa", "nll")} == {
        name: done.report[name] for name in ("accuracy", "macro_f1", "kappa", "nll")
    }
    assert [pooled["accuracy_low"], pooled["accuracy_high"]] == done.report["confidence_intervals"]["accuracy"]
    assert done.rows[2]["kappa"] == 0, "a constant agrees no better than chance"
    assert [float(row["accuracy"]) for row in rows_of(folder)] == [row["accuracy"] for row in done.rows]
    assert json.loads((folder / "metrics.json").read_text()) == done.report


@pytest.mark.parametrize(
    ("changes", "folds", "told"),
    [
        (["data.dataset=tiny_faces/anonymous"], 3, r"tiny_faces/anonymous has no feature subject\. Received: features"),
        (["data.group=film"], 3, r"tiny_faces/subjects has no feature film"),
        (["data.group=id"], 3, r"A subject stands in two folds\. Received: train_0 in fold_1 and fold_2"),
        ([], 14, r"into so many folds\. Received: 14 folds, 13 different values of subject in train"),
        (["data.train=train+test"], 19, r"Received: 19 folds, 18 different values of subject in train\+test"),
        (["data.train=trial"], 3, "no split of this name"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    changes: list[str], folds: int, told: str, tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told):
        cross_validate(override(tiny_recipe, changes), folds, tmp_path / "run", data_dir=tiny_data_dir)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_something_else(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "model.keras").touch()
    with pytest.raises(InputError, match="holds something else"):
        cross_validate(tiny_recipe, 3, tmp_path, data_dir=tiny_data_dir)


def test_a_folder_in_which_another_process_is_at_work(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    with run_lock(tmp_path / "mine"), pytest.raises(InputError, match="Another process is at work"):
        cross_validate(tiny_recipe, 3, tmp_path / "mine", data_dir=tiny_data_dir)
    assert list(tmp_path.iterdir()) == []


def test_words_that_are_wrong(command: Command, tmp_path: Path) -> None:
    assert_one_line(command("crossvalidate", "efficientnet_lstm_afew_v"), "Unknown recipe", "Did you mean")
    assert_one_line(command("crossvalidate", RECIPE, "--folds", 3, "--folds-file", "a.json"), "not allowed with")
    assert_one_line(command("crossvalidate", RECIPE, "--folds-file", tmp_path / "a.json"), "cannot be read")
    assert_one_line(command("crossvalidate", RECIPE, "--folds", 2), "at least 3 folds")
