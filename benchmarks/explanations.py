"""Do explanations point at what decides? Maps of networks of generated faces, whose deciding regions are known.

The expression of a generated face is drawn by its mouth, brows and eyes, and by lines beside them, and the generator
says where they are. For each method this prints the share of a map's mass that lies on them, for the trained network,
for the same with all weights shuffled, and for the same with fresh first weights; the share of the picture that they
cover is the level of chance. Beside that stand the areas of deletion and insertion (ferkeras/explain/faithfulness.py).

    python benchmarks/explanations.py RUN... [--faces 70] [--methods gradcam ...] [--layer NAME ...] [--output FILE]

RUN is a run trained on synthetic_faces/still. The faces are the first of its test split, drawn anew. The tables of
docs/explanations.md are its output.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.explain.faithfulness import faithfulness, random_maps
from ferkeras.explain.maps import Options, explain
from ferkeras.explain.network import FINE_SIDE, LEAST_SIDE, cut
from ferkeras.explain.sanity import randomised, weighted_layers
from ferkeras.explain.target import Target, targets_of
from ferkeras.files import write_atomically
from ferkeras.models import create_model
from ferkeras.runs import RunFolder
from tfds_builders.synthetic_faces.sampling import sample_still

#: Points of the 68 (iBUG 300-W) of the parts of a face.
BROWS, EYES, NOSE_BASE, MOUTH = range(17, 27), range(36, 48), range(31, 36), range(48, 68)
#: What lids, lips and their lines reach beyond the landmarks, as a fraction of the side.
MARGIN = 2 / 48
#: How far above the brows the generator draws the lines of a raised brow, in distances from brows to eyes.
FOREHEAD = 1.0
METHODS = ("gradcam", "hirescam", "cam", "saliency", "smoothgrad", "occlusion")
SEED = 0
#: Methods that take a layer, and how fine it is at least by default.
LEAST = {"gradcam": LEAST_SIDE, "hirescam": FINE_SIDE}


def features_of(landmarks: np.ndarray, side: int) -> np.ndarray:
    """(side, side) bool: mouth, brows and eyes of a face with landmarks (68, 2) in its pixels, each part by itself."""
    left, right = [*range(17, 22), *range(36, 42)], [*range(22, 27), *range(42, 48)]
    return _hulls([landmarks[list(points)] for points in (MOUTH, left, right)], side)


def lines_too(landmarks: np.ndarray, side: int) -> np.ndarray:
    """The same with the lines that the generator draws beside them: on the forehead and between the brows, and from
    the nose to the corners of the mouth."""
    brows, eyes = landmarks[list(BROWS)], landmarks[list(EYES)]
    forehead = brows - FOREHEAD * (eyes.mean(0) - brows.mean(0))
    upper = np.concatenate([forehead, brows, eyes])
    return _hulls([upper, landmarks[[*NOSE_BASE, *MOUTH]]], side)


#: Name -> where a face of known landmarks shows its expression.
REGIONS = {"features": features_of, "and lines": lines_too}


def _hulls(parts: Sequence[np.ndarray], side: int) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    for points in parts:
        hull = cv2.convexHull(points.astype(np.float32))
        cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 1)
    reach = max(1, round(MARGIN * side))
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)) > 0


def mass(maps: np.ndarray, masks: np.ndarray) -> float:
    """Mean over the faces of the share of a map's mass inside its mask, in percent; maps of zeros count as chance."""
    total = maps.sum(axis=(1, 2))
    shares = np.where(total > 0, (maps * masks).sum(axis=(1, 2)) / np.maximum(total, 1e-12), masks.mean(axis=(1, 2)))
    return 100 * float(shares.mean())


def maps_of(
    model: keras.Model, images: np.ndarray, chosen: Sequence[Target], method: str, options: Options
) -> np.ndarray:
    """(B, H, W): the map of each face for its own target."""
    maps = np.zeros(images.shape[:3], np.float32)
    for target in sorted(set(chosen), key=lambda target: target.name):
        own = np.array([other == target for other in chosen])
        maps[own] = explain(model, images[own], target, method=method, options=options).map
    return maps


def measure(run: str, *, faces: int, methods: Sequence[str], layers: Sequence[str]) -> list[str]:
    """Lines of Markdown about one run."""
    folder = RunFolder.find(run)
    model = folder.load_model()
    settings, recipe = folder.preprocessing(), folder.recipe()
    side, channels = settings["height"], settings["channels"]
    stills = [sample_still(0, "test", index, size=side, channels=channels) for index in range(faces)]
    images = np.stack([still.image for still in stills])
    masks = {name: np.stack([find(still.landmarks, side) for still in stills]) for name, find in REGIONS.items()}
    targets = targets_of(folder.heads())
    logits = model.predict_on_batch(images.astype(np.float32))["emotion"]
    named = [target for target in targets.values() if target.head == "emotion"]
    chosen = [named[index] for index in np.argmax(logits, axis=1)]
    right = np.mean([target.name == still.emotion for target, still in zip(chosen, stills, strict=True)])
    keras.utils.set_random_seed(SEED)
    fresh = create_model(
        recipe.model.name,
        recipe.model.options,
        input_shape=(side, side, channels),
        classes=len(named),
        pretrained=False,
    )
    noise = areas(model, images, chosen, random_maps(images.shape[:3], seed=SEED))
    covered = " and ".join(f"{100 * mask.mean():.1f} % ({name})" for name, mask in masks.items())
    columns = [f"{name}, {weights}" for name in masks for weights in ("trained", "shuffled", "first weights")]
    lines = [
        f"{folder.path.name}: {faces} test faces of {side} x {side} pixels, {100 * right:.0f} % right. Regions cover"
        f" {covered} of a picture. A random order has areas of {noise}.",
        "",
        f"| method | {' | '.join(columns)} | deletion / insertion |",
        "| --- " * (len(columns) + 2) + "|",
    ]
    for method, options, label in rows_of(model, methods, layers):
        try:
            found = maps_of(model, images, chosen, method, options)
        except InputError:  # class activation maps, which few networks allow
            continue
        with randomised(weighted_layers(model), seed=SEED):
            shuffled = maps_of(model, images, chosen, method, options)
        untrained = maps_of(fresh, images, chosen, method, options)
        shares = [f"{mass(maps, mask):.1f} %" for mask in masks.values() for maps in (found, shuffled, untrained)]
        lines.append(f"| {label} | {' | '.join(shares)} | {areas(model, images, chosen, found)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, ""]


def rows_of(model: keras.Model, methods: Sequence[str], layers: Sequence[str]) -> list[tuple[str, Options, str]]:
    """Method, settings and name of each row; those that take a layer at their default one and at `layers`."""
    rows = []
    for method in methods:
        if method not in LEAST:
            rows.append((method, Options(seed=SEED), method))
            continue
        default = cut(model, None, least_side=LEAST[method]).layer
        for layer in dict.fromkeys((default, *layers)):
            height, width = model.get_layer(layer).output.shape[1:3]
            label = f"{method} at {layer}, {height} x {width}" + (" (default)" if layer == default else "")
            rows.append((method, Options(layer=layer, seed=SEED), label))
    return rows


def areas(model: keras.Model, images: np.ndarray, chosen: Sequence[Target], maps: np.ndarray) -> str:
    """Mean areas under the curves of deletion and insertion."""
    deletion, insertion = [], []
    for target in set(chosen):
        own = np.array([other == target for other in chosen])
        found = faithfulness(model, images[own], target, maps[own])
        deletion += found.deletion_area.tolist()
        insertion += found.insertion_area.tolist()
    return f"{np.mean(deletion):.3f} / {np.mean(insertion):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--faces", type=int, default=70, help="ten of each emotion (70)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--layer", nargs="+", default=["feature_map"], help="further layers (feature_map)")
    parser.add_argument("--output", type=Path, metavar="FILE.md")
    args = parser.parse_args()
    lines = [
        line for run in args.runs for line in measure(run, faces=args.faces, methods=args.methods, layers=args.layer)
    ]
    text = "\n".join(lines)
    print(text)
    if args.output is not None:
        write_atomically(args.output, text + "\n")


if __name__ == "__main__":
    main()
