"""LSTM layers over clips with gaps against PyTorch, which never sees the frames that the mask leaves out.

The reference values are those of `test_golden_sequence.py`, of the same vectors one after another.
"""

from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.models.temporal import recurrent_temporal
from tests.golden.path_seeds import path_seeded

FRAMES = 11


@pytest.mark.parametrize("file", ["lstm", "bilstm"])
def test_frames_without_a_face_are_passed_over(file: str) -> None:
    with np.load(Path(__file__).parent / "golden" / f"{file}.npz") as golden:
        expected = dict(golden)
    (clips, steps, width), lengths = expected["input_shape"], expected["lengths"]
    vectors = np.random.default_rng(int(expected["input_seed"])).standard_normal((clips, steps, width))
    mask = np.zeros((clips, FRAMES), bool)
    features = np.full((clips, FRAMES, width), 1e3, np.float32)  # what a masked frame holds must not matter
    generator = np.random.default_rng(11)
    for clip, length in enumerate(lengths):
        places = np.sort(generator.choice(FRAMES, length, replace=False))
        mask[clip, places], features[clip, places] = True, vectors[clip, :length]
    gaps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(int)) == 1
    assert gaps.sum() > clips, "no clip has a gap"

    both = file == "bilstm"
    units = expected["last"].shape[-1] // (1 + both)
    model = recurrent_temporal(
        frames=FRAMES, width=int(width), heads={"emotion": 5}, bidirectional=both, hidden=units, depth=2
    )
    for weight in model.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    ends = keras.Model(model.input, {"last": model.layers[-2].output, "emotion": model.output["emotion"]})
    outputs = ends({"features": features, "frame_mask": mask}, training=False)
    for name, value in outputs.items():
        # float32 against float64: 1e-5 of the largest value of the tensor.
        atol = 1e-5 * np.abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=atol, err_msg=name)
