"""What time is worth: networks over clips against frames alone and against aggregated frames, as a Markdown page.

    python benchmarks/sequences.py [--output docs/sequences.md] [--runs DIR] [--data-dir DIR]

Trains, from nothing, every recipe named below on the generated stills and clips, each in a run folder under --runs;
those that are finished are taken as they are, and interrupted ones go on. Then all of them, and every aggregation of
`ferkeras aggregate`, are measured on the test split, whose people no network has seen. About an hour on two CPU cores.
"""

import argparse
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from ferkeras.aggregation.run import predict_variants
from ferkeras.comparison import HEAD, compare, comparison_rows, markdown_table
from ferkeras.evaluation import Predictions, collect, measure
from ferkeras.files import write_atomically
from ferkeras.inference import keras_runner, shuffled_frames
from ferkeras.recipes import load_recipe
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.finish import finish
from ferkeras.training.task import open_examples

#: Recipe -> the run that it begins with. An encoder stands before those that use it.
EMOTION = {
    "xception_dense_stills": None,
    "xception_frame_clips": "xception_dense_stills",
    "xception_lstm_clips": None,
    "xception_deep_lstm_clips": None,
    "xception_bilstm_clips": None,
    "xception_gru_clips": None,
    "irnn_clips": None,
    "microexp_stcnn_clips": None,
    "stc_nlstm_clips": None,
    "two_stream_bilstm_clips": None,
}
AFFECT = {"efficientnet_va_stills": None, "efficientnet_lstm_clips": None, "efficientnet_frames_clips": None}
STILLS, FRAMES, LSTM = "xception_dense_stills", "xception_frame_clips", "xception_lstm_clips"
AFFECT_LSTM = "efficientnet_lstm_clips"


def train(name: str, *, runs: Path, init_from: str | None, data_dir: Path | None) -> RunFolder:
    """The finished run of a recipe; encoders are those under `runs`."""
    folder = RunFolder(runs / name)
    if folder.is_finished():
        return folder
    recipe = load_recipe(name)[0]
    encoder = recipe.model.options.get("encoder_weights")
    if encoder is not None:
        options = recipe.model.options | {"encoder_weights": str(runs / Path(encoder).relative_to("saved_models"))}
        recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, options=options))
    begun = None if init_from is None else runs / init_from
    folder = loop.run(recipe, runs / name, data_dir=data_dir, init_from=begun, resume=folder.path.exists())
    finish(folder, data_dir=data_dir)
    return folder


def predictions(
    folders: Mapping[str, RunFolder], *, shuffled: Iterable[str], data_dir: Path | None
) -> dict[str, Predictions]:
    """Name -> what the network says of the test split; those of `shuffled` a second time, without the order."""
    found = {}
    for name, folder in folders.items():
        run, data = keras_runner(folder.load_model()), open_examples(recipe := folder.recipe(), data_dir=data_dir)
        found[name] = collect(run, data, split=recipe.data.test)
        if name in shuffled:
            shuffled_run = shuffled_frames(run, keep_last=recipe.data.target == "valence_arousal")
            found[f"{name}, frames shuffled"] = collect(shuffled_run, data, split=recipe.data.test)
    return found


def seconds(folder: RunFolder) -> str:
    """Epochs and minutes of a run's training."""
    rows = folder.history()
    return f"{len(rows)} epochs, {sum(float(row['seconds']) for row in rows) / 60:.1f} min"


def emotion_page(folders: Mapping[str, RunFolder], data_dir: Path | None) -> str:
    measured = {name: folder for name, folder in folders.items() if name != STILLS}
    found = predictions(measured, shuffled=[name for name in measured if name != FRAMES], data_dir=data_dir)
    found |= predict_variants(folders[STILLS], clips=folders[LSTM].recipe(), data_dir=data_dir)
    kind, lines = compare(found, against=LSTM)
    best = max((line for line in lines if line.name.startswith(("decision", "feature"))), key=lambda line: line.score)
    trained = "".join(f"* `{name}`: {seconds(folder)}\n" for name, folder in folders.items())
    return f"""\
## Emotion

Accuracy over seven classes on the {found[LSTM].about["split"]} split; `n` counts clips, and frames where single frames
are told. Intervals are of 95 %, by drawing subjects; differences are to `{LSTM}`, drawn in pairs. Its encoder is
that of `{STILLS}`, whose probabilities of the frames the `decision` rows put together, and whose vectors the
`feature` rows. `{FRAMES}` begins with the same network and learns from the frames. In shuffled clips the frames
come in a random order.

{markdown_table(head(kind), comparison_rows(lines))}
The best aggregation is {best.name}, {best.score:.3f}.

Training, on this machine:

{trained}"""


def affect_page(folders: Mapping[str, RunFolder], data_dir: Path | None) -> str:
    names = [name for name in folders if name != "efficientnet_va_stills"]
    found = predictions({name: folders[name] for name in names}, shuffled=names, data_dir=data_dir)
    kind, lines = compare(found, against=AFFECT_LSTM)
    rows = []
    for name, predicted in found.items():
        report = measure(predicted, training_means=folders[name.split(",")[0]].environment()["training_means"])
        for output in ("valence", "arousal"):
            for who, scores in ((name, report[output]), ("constant mean", report[output]["baseline"])):
                if who == name or "," not in name:
                    rows.append([who, output, *(f"{scores[key]:.3f}" for key in SCORES)])
    trained = "".join(f"* `{name}`: {seconds(folder)}\n" for name, folder in folders.items())
    return f"""\
## Valence and arousal

Mean concordance (CCC) of the two. `{AFFECT_LSTM}` tells the values of the last frame of eight, which stays in its place
when the others are shuffled; `efficientnet_frames_clips` tells those of all frames of sixteen. The constant is the mean
of the training labels.

{markdown_table(head(kind), comparison_rows(lines))}
{markdown_table(["network", "output", *SCORES.values()], rows)}
Training, on this machine:

{trained}"""


#: Keys of an affect report and what they are called in the table.
SCORES = {
    "ccc": "CCC",
    "pearson": "Pearson",
    "rmse": "RMSE",
    "sagr": "SAGR",
    "accuracy": "21 classes",
    "within_one": "within one",
}


def head(kind: str) -> list[str]:
    return [*HEAD[:2], {"accuracy": "accuracy", "mean_ccc": "mean CCC"}[kind], *HEAD[3:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/sequences.md"))
    parser.add_argument("--runs", type=Path, default=Path("saved_models"))
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()
    folders = {
        name: train(name, runs=args.runs, init_from=begun, data_dir=args.data_dir)
        for name, begun in (EMOTION | AFFECT).items()
    }
    emotion = emotion_page({name: folders[name] for name in EMOTION}, args.data_dir)
    affect = affect_page({name: folders[name] for name in AFFECT}, args.data_dir)
    page = f"""\
# What time is worth

Networks over clips against single frames and against aggregated frames, on `synthetic_faces/clips`, whose README says
what is in them: most classes come in pairs that show the same face and differ in its course alone. How far that holds
of real faces is not said here. Printed by `python benchmarks/sequences.py`.

{emotion}
{affect}"""
    write_atomically(args.output, page)
    print(page)


if __name__ == "__main__":
    main()
