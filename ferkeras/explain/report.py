"""What `ferkeras explain` leaves behind: overlays, arrays, sheets and the numbers of the checks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferkeras.explain.explainer import Explainer, FaceMap
from ferkeras.explain.faithfulness import faithfulness, random_maps
from ferkeras.explain.maps import explain
from ferkeras.explain.overlay import write_picture
from ferkeras.explain.sanity import sanity_check
from ferkeras.explain.sheet import MOST_ROWS, Cell, write_sheet
from ferkeras.files import staged, write_atomically
from ferkeras.prediction.result import FrameResult

#: Moments of a video on its sheet.
MOST_COLUMNS = 12
ABOUT = {
    "gradcam": "Grad-CAM: what raises the score",
    "hirescam": "HiResCAM: what raises the score",
    "cam": "Class activation map",
    "saliency": "Saliency: size of the gradient",
    "smoothgrad": "SmoothGrad: size of the mean gradient",
    "occlusion": "Occlusion: fall of the score when hidden",
    "attention": "Attention weights",
}


def write_maps(explainer: Explainer, result: FrameResult, faces: Sequence[FaceMap], path: Path) -> list[Path]:
    """The overlay as `path`.png and the arrays of N faces as `path`.npz; returns both.

    The arrays: `map` (N, [T,] H, W) in [0, 1], `raw` as the method gives it, `crop` (N, H, W, C), `box` (N, 4),
    `track_id`, `target`, `value` (N,), and `frames` (N, T) where the method says how much each frame counts.
    """
    picture, arrays = path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}.npz")
    write_picture(explainer.overlay(result, faces), picture)
    values: dict[str, np.ndarray] = {
        "map": np.concatenate([face.maps.map for face in faces]),
        "raw": np.concatenate([face.maps.raw for face in faces]),
        "crop": np.stack([face.crop for face in faces]),
        "box": np.stack([face.result.face.box for face in faces]),
        "track_id": np.array([face.result.face.track_id for face in faces]),
        "target": np.array([face.target.name for face in faces]),
        "value": np.array([face.value for face in faces]),
    }
    if faces[0].maps.frames is not None:
        values["frames"] = np.concatenate([face.maps.frames for face in faces if face.maps.frames is not None])
    with staged(arrays) as unfinished:
        np.savez_compressed(unfinished, allow_pickle=False, **values)
    return [picture, arrays]


def class_sheet(explainer: Explainer, faces: Sequence[tuple[str, FaceMap]], path: Path) -> Path:
    """A row for each face, at most `MOST_ROWS`, and a column for each class with its probability."""
    rows = []
    for name, face in faces[:MOST_ROWS]:
        cells = [Cell(face.crop, None, "seen")]
        if explainer.method == "attention":  # the same for every class
            weights = face.maps.raw[0]
            cells.append(Cell(face.crop, face.map, f"{face.target.name} {face.value:.2f}", True, weights))
        else:
            for target, value, found in explainer.by_class(face):
                cells.append(Cell(face.crop, found, f"{target.name} {value:.2f}", target == face.target))
        rows.append((name, cells))
    write_sheet(rows, path, title=f"{ABOUT[explainer.method]}, each on its own scale")
    return path


class TimeSheet:
    """A row for each person of a video and a column for each moment, in constant memory.

    Where there are more moments than columns every second one is left out, again and again.
    """

    def __init__(self) -> None:
        self._moments: list[tuple[float, dict[int, Cell]]] = []
        self._spacing, self._seen = 1, 0

    def add(self, result: FrameResult, faces: Sequence[FaceMap]) -> None:
        if self._seen % self._spacing == 0:
            time_s = result.time_s or 0.0
            cells = {
                face.result.face.track_id: Cell(
                    face.crop, face.map, f"{time_s:.1f} s\n{face.target.name} {face.value:.2f}"
                )
                for face in faces
            }
            self._moments.append((time_s, cells))
            if len(self._moments) > MOST_COLUMNS:
                self._moments, self._spacing = self._moments[::2], 2 * self._spacing
        self._seen += 1

    def write(self, path: Path, *, method: str) -> Path | None:
        """None, and no file, where no face was seen."""
        people = sorted({track for _, cells in self._moments for track in cells})[:MOST_ROWS]
        if not people:
            return None
        rows = [(f"person {track}", [cells[track] for _, cells in self._moments if track in cells]) for track in people]
        write_sheet(rows, path, title=f"{ABOUT[method]}, each on its own scale")
        return path


@dataclass(frozen=True)
class Check:
    """How far the maps of some faces can be trusted.

    Attributes:
        faces: For each its name, target, and the areas of deletion and insertion, beside those of a random order.
        randomised: See `sanity_check`.
    """

    faces: list[dict[str, Any]]
    randomised: list[dict[str, Any]]

    def write(self, path: Path) -> Path:
        write_atomically(path, json.dumps({"faces": self.faces, "randomised": self.randomised}, indent=2) + "\n")
        return path

    def table(self) -> str:
        """Two tables in Markdown."""
        keys = ("deletion", "deletion_random", "insertion", "insertion_random")
        lines = [
            "| face | target | deletion area (random order) | insertion area (random order) |",
            "| --- | --- | --- | --- |",
        ]
        for row in self.faces:
            a, b, c, d = (row[key] for key in keys)
            lines.append(f"| {row['face']} | {row['target']} | {a:.3f} ({b:.3f}) | {c:.3f} ({d:.3f}) |")
        lines += ["", "| layers randomised, from the outputs | rank correlation | SSIM |", "| --- | --- | --- |"]
        for row in self.randomised:
            alike = f"{row['rank_correlation']:.2f} | {row['ssim']:.2f}"
            lines.append(f"| {row['layers']}, down to {row['down_to']} | {alike} |")
        return "\n".join(lines)


def check(explainer: Explainer, faces: Sequence[tuple[str, FaceMap]], *, seed: int = 0) -> Check:
    """Faithfulness of the maps of at most `MOST_ROWS` faces, and the sanity check of the method on them."""
    faces = faces[:MOST_ROWS]
    rows = []
    for name, face in faces:
        found = faithfulness(explainer.model, face.inputs, face.target, face.maps.map)
        noise = random_maps(face.maps.map.shape, seed=seed)
        random = faithfulness(explainer.model, face.inputs, face.target, noise)
        rows.append(
            {
                "face": name,
                "target": face.target.name,
                "deletion": float(found.deletion_area[0]),
                "deletion_random": float(random.deletion_area[0]),
                "insertion": float(found.insertion_area[0]),
                "insertion_random": float(random.insertion_area[0]),
            }
        )

    def maps_of(model: Any) -> np.ndarray:
        found = [
            explain(model, face.inputs, face.target, method=explainer.method, options=explainer.options)
            for _, face in faces
        ]
        return np.concatenate([maps.map for maps in found])

    return Check(rows, sanity_check(explainer.model, maps_of, seed=seed))


def name_of(source: str, taken: Mapping[str, object]) -> str:
    """The name of the file without its suffix, numbered where it is `taken`."""
    stem = Path(source).stem or "picture"
    names = (stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)
