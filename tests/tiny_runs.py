"""Run folders of `tests.tiny_networks`, as training would leave them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from ferkeras.recipe import Data, Model, Recipe
from ferkeras.recipe_data import ClipWindows
from ferkeras.runs import RunFolder, environment
from tests.tiny_networks import EMOTION, FRAMES, SIDE, clip, still


def still_run(path: Path, heads: Mapping[str, Sequence[Any]] = EMOTION) -> RunFolder:
    return _run(path, still(heads), heads, Data("fer2013"), {})


def clip_run(path: Path, heads: Mapping[str, Sequence[Any]] = EMOTION) -> RunFolder:
    data = Data("synthetic_faces/clips", clips=ClipWindows(frames=FRAMES, min_frames=3, stride=2))
    return _run(path, clip(heads), heads, data, {"frames": FRAMES, "stride": 2})


def _run(
    path: Path, model: keras.Model, heads: Mapping[str, Sequence[Any]], data: Data, of_clips: Mapping[str, int]
) -> RunFolder:
    folder = RunFolder(path)
    folder.save_model(model)
    folder.write_json("recipe.json", json.loads(Recipe(path.name, Model("vgg11"), data).to_json()))
    folder.write_json("labels.json", {head: list(meanings) for head, meanings in heads.items()})
    folder.write_json("preprocessing.json", {"height": SIDE, "width": SIDE, "channels": 1, "margin": 0.1, **of_clips})
    folder.write_json("env.json", environment(seed=0, fingerprint={}))
    return folder
