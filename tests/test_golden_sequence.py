"""The recurrent part of the sequence models against PyTorch; `golden/make_lstm_torch.py` made the numbers."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ferkeras.models.temporal import recurrent_temporal
from tests.golden.path_seeds import path_seeded

#: By name of the golden file.
CASES: dict[str, dict[str, Any]] = {
    "lstm": {"cell": "lstm"},
    "bilstm": {"cell": "lstm", "bidirectional": True},
    "gru": {"cell": "gru"},
}


@pytest.mark.parametrize("frames", [7, None])
@pytest.mark.parametrize("file", CASES)
def test_equals_the_reference(file: str, frames: int | None) -> None:
    with np.load(Path(__file__).parent / "golden" / f"{file}.npz") as golden:
        shape, lengths, expected = tuple(golden["input_shape"]), golden["lengths"], dict(golden)
    vectors = np.random.default_rng(int(expected["input_seed"])).standard_normal(shape)
    np.testing.assert_array_equal(vectors.ravel()[:4], expected["first_inputs"], "numpy draws other numbers: make anew")
    mask = np.arange(shape[1]) < lengths[:, None]
    inputs = {"features": np.where(mask[..., None], vectors, 1e3).astype("float32"), "frame_mask": mask}
    units = expected["last"].shape[-1] // (2 if CASES[file].get("bidirectional") else 1)
    settings = {
        **CASES[file],
        "frames": frames,
        "width": shape[2],
        "heads": {"emotion": 5},
        "hidden": units,
        "depth": 2,
    }

    last, all_states = recurrent_temporal(**settings), recurrent_temporal(**settings, per_frame=True)
    for model in (last, all_states):
        for weight in model.weights:
            weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    ends = keras.Model(last.input, {"last": last.layers[-2].output, "emotion": last.output["emotion"]})
    outputs = {name: np.asarray(value) for name, value in ends(inputs, training=False).items()}
    states = keras.Model(all_states.input, all_states.layers[-2].output)(inputs, training=False)
    outputs["states"] = np.where(mask[..., None], states, 0.0)
    for name, value in outputs.items():
        assert value.shape == expected[name].shape, name
        # float32 against float64: 1e-5 of the largest value of the tensor.
        np.testing.assert_allclose(
            value, expected[name], rtol=0, atol=1e-5 * np.abs(expected[name]).max(), err_msg=name
        )


@pytest.mark.parametrize("file", CASES)
def test_reference_tells_clips_and_lengths_apart(file: str) -> None:
    # Were the golden values all alike, agreement with them would prove nothing.
    with np.load(Path(__file__).parent / "golden" / f"{file}.npz") as golden:
        logits = golden["emotion"]
        assert logits.std(axis=0).min() > 1000 * 1e-5 * np.abs(logits).max()
        assert len(set(golden["lengths"])) == len(golden["lengths"])
        assert np.abs(golden["states"]).max() > 0.3
