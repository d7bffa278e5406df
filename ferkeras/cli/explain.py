"""Why a run says what it says: maps of what counted in each face, over the pictures and frames of videos.

gradcam     places of a map of the network that raise the score, any network with convolutions
hirescam    the same with the gradient of each place: finer, and for small faces more faithful
cam         what each place adds to the score, where the head is pooling and one layer
saliency    how much each pixel moves the score; smoothgrad: averaged over noisy copies
occlusion   how much the score falls when a place is hidden; of clips also when a frame is left out
attention   the weights of a layer of attention over rows or frames
stn         what the spatial transformer of an EmoNeXt shows to the layers behind it, below each picture

Each picture gives an overlay (.png) and the arrays (.npz), and all together a sheet with a column for each class.
Without RUN the most accurate of the shipped runs under --runs is taken.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.cli.command import add_run_argument, load_tensorflow
from ferkeras.errors import InputError
from ferkeras.pictures import find_pictures, read_picture
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    from ferkeras.explain.explainer import Explainer, FaceMap
    from ferkeras.prediction.inputs import Input
    from ferkeras.prediction.predictor import Predictor

METHODS = ("gradcam", "hirescam", "cam", "saliency", "smoothgrad", "occlusion", "attention", "stn")
MOST_PICTURES = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_run_argument(parser, optional=True)
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="pictures, videos, folders of them, or quoted patterns"
    )
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument(
        "--class",
        dest="target",
        metavar="NAME",
        help="a class, valence or arousal (default: the most probable class of each face; without classes valence)",
    )
    parser.add_argument("--check", action="store_true", help="also measure how far the maps can be trusted")
    parser.add_argument(
        "--every", type=float, default=1.0, metavar="SECONDS", help="videos: a frame every so often (1; 0 is all)"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: `explain` in the run folder")
    parser.add_argument("--dry-run", action="store_true", help="say what would be read and written, and write nothing")

    where = parser.add_argument_group("which faces")
    where.add_argument("--detector", default="mtcnn", metavar="NAME", help="mtcnn (default), haar, ssd, yunet or none")
    where.add_argument("--detector-file", type=Path, metavar="FILE", help="the network of ssd and yunet")
    where.add_argument("--min-face", type=int, default=40, metavar="PIXELS", help="side of the smallest face (40)")
    where.add_argument("--faces", choices=("all", "largest", "central", "best"), default="all", help="(all)")

    how = parser.add_argument_group("settings of the methods")
    how.add_argument(
        "--layer",
        metavar="NAME",
        help="gradcam and hirescam: the layer (default: the last with a map of at least 6x6, 12x12)",
    )
    how.add_argument("--patch", type=int, metavar="PIXELS", help="occlusion: side of what is hidden (a sixth)")
    how.add_argument(
        "--stride", type=int, metavar="PIXELS", help="occlusion: from one place to the next (a third of it)"
    )
    how.add_argument("--samples", type=int, default=24, help="smoothgrad: noisy copies (24)")
    how.add_argument("--noise", type=float, default=0.1, help="smoothgrad: its size, of the range of the picture (0.1)")
    how.add_argument("--seed", type=int, default=0, help="smoothgrad and --check: of what is random (0)")


def run(args: argparse.Namespace) -> None:
    from ferkeras.cli.run_choice import choose_run

    folder, args.inputs = choose_run([args.run_name, *args.inputs], root=args.runs)
    if not args.inputs:
        raise InputError("There is nothing to look at", action="Name pictures, videos or folders after the run.")
    output = args.output or folder.path / "explain"
    if args.method == "stn":
        _stn(args, folder, output)
        return
    from ferkeras.prediction.inputs import find_inputs

    if not args.every >= 0:
        raise InputError("--every must be at least 0 seconds", received=args.every)
    inputs = find_inputs(args.inputs)
    if args.dry_run:
        videos = sum(given.kind == "video" for given in inputs)
        print(f"would explain {len(inputs) - videos} pictures and {videos} videos by {args.method} in {output}")
        return
    load_tensorflow()
    from ferkeras.explain.explainer import Explainer
    from ferkeras.explain.maps import Options
    from ferkeras.prediction.predictor import Predictor

    predictor = Predictor(
        folder.path,
        detector=args.detector,
        detector_file=args.detector_file,
        min_face=args.min_face,
        faces=args.faces,
    )
    options = Options(
        layer=args.layer,
        patch=args.patch,
        stride=args.stride,
        samples=args.samples,
        noise=args.noise,
        seed=args.seed,
    )
    explainer = Explainer(predictor, method=args.method, target=args.target, options=options)
    _Session(args, predictor, explainer, output).explain(inputs)


class _Session:
    """Goes through the inputs, one at a time, and writes as it goes."""

    def __init__(self, args: argparse.Namespace, predictor: "Predictor", explainer: "Explainer", output: Path) -> None:
        self._args, self._predictor, self._explainer, self._output = args, predictor, explainer, output
        self._names: dict[str, str] = {}
        self._faces: list[tuple[str, FaceMap]] = []  # the first ones, for the sheet and the check

    def explain(self, inputs: Sequence["Input"]) -> None:
        from ferkeras.explain.report import check, class_sheet

        failed = 0
        for given in inputs:
            try:
                if given.problem is not None:
                    raise given.problem
                (self._video if given.kind == "video" else self._picture)(given)
            except InputError as error:
                failed += 1
                if len(inputs) == 1:
                    raise
                print(f"ferkeras: {error}", file=sys.stderr)
        method = self._args.method
        if self._faces:
            print(class_sheet(self._explainer, self._faces, self._output / f"sheet_{method}.png"))
        if self._faces and self._args.check:
            found = check(self._explainer, self._faces, seed=self._args.seed)
            print(found.write(self._output / f"check_{method}.json"))
            print(found.table())
        if failed:
            raise InputError(f"{failed} of {len(inputs)} inputs could not be explained; the lines above name them")

    def _picture(self, given: "Input") -> None:
        from ferkeras.explain.report import write_maps

        (result,) = self._predictor.pictures([given.path])
        if result.problem is not None:
            raise result.problem
        faces = self._explainer.faces(result)
        if not faces:
            print(f"ferkeras: No face was found. Received: {given.name}.", file=sys.stderr)
            return
        for face in faces:
            if not face.map.any():
                told = f"ferkeras: By {self._args.method} no place speaks for {face.target.name}: the map is empty."
                print(f"{told} Received: {given.name}. Another --method may tell more.", file=sys.stderr)
        name = self._name(given)
        for path in write_maps(self._explainer, result, faces, self._output / f"{name}_{self._args.method}"):
            print(path)
        self._keep(name, faces)

    def _video(self, given: "Input") -> None:
        from ferkeras.explain.report import TimeSheet, write_maps

        name, sheet = self._name(given), TimeSheet()
        folder = self._output / f"{name}_{self._args.method}"
        written = 0
        for result, faces in self._explainer.video(self._predictor.video(given.path), every_s=self._args.every):
            sheet.add(result, faces)
            if faces:
                write_maps(self._explainer, result, faces, folder / f"{result.frame:06d}")
                self._keep(f"{name} {result.time_s or 0:.1f} s", faces)
                written += 1
        path = sheet.write(self._output / f"{name}_{self._args.method}_time.png", method=self._args.method)
        if path is None:
            print(f"ferkeras: No face was found, or none for long enough. Received: {given.name}.", file=sys.stderr)
            return
        print(f"{folder}  {written} frames")
        print(path)

    def _name(self, given: "Input") -> str:
        from ferkeras.explain.report import name_of

        name = name_of(str(given.path), self._names)
        self._names[name] = given.name
        return name

    def _keep(self, name: str, faces: Sequence["FaceMap"]) -> None:
        from ferkeras.explain.sheet import MOST_ROWS

        for number, face in enumerate(faces):
            if len(self._faces) < MOST_ROWS:
                self._faces.append((name if len(faces) == 1 else f"{name} {number + 1}", face))


def _stn(args: argparse.Namespace, folder: RunFolder, output: Path) -> None:
    """One sheet of all pictures, each taken as one face that fills it."""
    paths = find_pictures(args.inputs)
    if len(paths) > MOST_PICTURES:
        raise InputError(f"One sheet shows {MOST_PICTURES} pictures at most", received=len(paths), action="Name fewer.")
    if args.dry_run:
        print(f"would explain {len(paths)} pictures by {args.method} in {output}")
        return
    load_tensorflow()
    import numpy as np

    from ferkeras.data.preprocess import Preprocessing
    from ferkeras.stn_sheet import write_stn_sheet

    settings = folder.preprocessing()
    preprocessing = Preprocessing(settings["height"], settings["width"], settings["channels"])
    images, unreadable = [], 0
    for path in paths:
        try:
            images.append(np.asarray(preprocessing(read_picture(path))))
        except InputError as error:
            unreadable += 1
            print(f"ferkeras: {error}", file=sys.stderr)
    if images:
        write_stn_sheet(folder.load_model(), np.stack(images), output / "stn_sheet.png")
        print(output / "stn_sheet.png")
    if unreadable:
        raise InputError(f"{unreadable} of {len(paths)} pictures could not be read; the lines above name them")
