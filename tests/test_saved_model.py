"""A SavedModel of each kind computes what the model computes, says so by name, and is whole or not there."""

import io
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.export.any_length import any_length
from ferkeras.export.archive import named_outputs
from ferkeras.export.interface import Interface, interface_of
from ferkeras.export.saved_model import export_saved_model, load_saved_model
from ferkeras.export.step import obstacle_to_steps, state_sizes
from ferkeras.labels import EMOTIONS, VALENCE_AROUSAL_BINS
from ferkeras.models.sequence import sequence_model
from ferkeras.models.temporal import recurrent_temporal
from ferkeras.pictures import read_picture
from ferkeras.runs import NUMBER
from ferkeras.valence_arousal import expected_values

SIDE = 12
T = 5
EMOTION = {"emotion": EMOTIONS}
AFFECT = {"valence": VALENCE_AROUSAL_BINS, "arousal": VALENCE_AROUSAL_BINS}


def still(heads: dict, *, channels: int = 1, recurrent: bool = True) -> keras.Model:
    """A stand-in with the parts of a real network: a convolution, normalisation, an LSTM over the rows."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, channels), name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    norm = layers.BatchNormalization(name="norm")
    x = norm(layers.Conv2D(4, 3, padding="same", name="conv")(scaled))
    random = np.random.default_rng(0)
    for variable in norm.variables:  # fresh ones are 0 and 1 and would hide a mistake
        variable.assign(random.uniform(0.5, 2.0, variable.shape))
    x = layers.Flatten(name="flat")(layers.MaxPooling2D(4, name="pool")(layers.ReLU(name="relu")(x)))
    if recurrent:
        rows = layers.Reshape((SIDE, SIDE * channels), name="rows")(scaled)
        x = layers.Concatenate(name="joined")([x, layers.LSTM(6, name="lstm")(rows)])
    features = layers.Activation("linear", name="features")(x)
    return keras.Model(image, {name: layers.Dense(len(m), name=name)(features) for name, m in heads.items()})


def clip(heads: dict, **options) -> keras.Model:
    frame = still(heads, recurrent=False)
    sizes = {name: len(meanings) for name, meanings in heads.items()}
    width = frame.get_layer("features").output.shape[-1]
    temporal = recurrent_temporal(frames=T, width=width, heads=sizes, hidden=6, **options)
    return sequence_model(frame, temporal, name="clip")


def clips(count: int = 3, steps: int = T) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    mask = random.random((count, steps)) > 0.3
    return {"frames": random.integers(0, 256, (count, steps, SIDE, SIDE, 1), dtype=np.uint8), "frame_mask": mask}


def encoded(image: np.ndarray, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return still(EMOTION)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (9, SIDE, SIDE, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def directory(model, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("run") / "saved_model" / "1"
    return export_saved_model(model, target, interface=interface_of(model, heads=EMOTION))


@pytest.fixture(scope="module")
def served(directory):
    return tf.saved_model.load(str(directory))


@pytest.fixture(scope="module")
def streaming():
    """A clip model of two LSTMs with both scales for each frame, and its SavedModel as a server has it."""
    return clip(AFFECT, depth=2, per_frame=True, dropout=0.4)


@pytest.fixture(scope="module")
def streaming_directory(streaming, tmp_path_factory) -> Path:
    interface = interface_of(streaming, heads=AFFECT, preprocessing={"frames": T, "stride": 1})
    return export_saved_model(streaming, tmp_path_factory.mktemp("run") / "1", interface=interface)


@pytest.mark.parametrize("batch", [1, 3, 9])
def test_a_still_network_is_what_it_was_at_any_batch_size(model, directory, images, batch):
    outputs = load_saved_model(directory)(images[:batch])
    assert list(outputs) == ["emotion"]
    assert outputs["emotion"].dtype == np.float32
    np.testing.assert_allclose(outputs["emotion"], model(images)["emotion"][:batch], atol=1e-5)


def test_signatures_are_what_a_server_reads(served):
    inputs = {
        "serving_default": {"image": tf.TensorSpec((None, SIDE, SIDE, 1), tf.float32, "image")},
        "serve_uint8": {"image": tf.TensorSpec((None, SIDE, SIDE, 1), tf.uint8, "image")},
        "serve_bytes": {"image_bytes": tf.TensorSpec((None,), tf.string, "image_bytes")},
    }
    assert {name: one.structured_input_signature[1] for name, one in served.signatures.items()} == inputs
    for signature in served.signatures.values():
        outputs = {name: (spec.shape.as_list(), spec.dtype) for name, spec in signature.structured_outputs.items()}
        assert outputs == {
            "emotion": ([None, 7], tf.float32),
            "probabilities": ([None, 7], tf.float32),
            "label": ([None], tf.string),
        }


def test_labels_and_probabilities_follow_the_logits(served, directory, images):
    outputs = served.signatures["serve_uint8"](image=tf.constant(images))
    logits = outputs["emotion"].numpy()
    assert [label.decode() for label in outputs["label"].numpy()] == [EMOTIONS[k] for k in logits.argmax(-1)]
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    np.testing.assert_allclose(outputs["probabilities"], exponentials / exponentials.sum(-1, keepdims=True), atol=1e-6)
    assert (directory / "assets.extra" / "labels.txt").read_text().split() == list(EMOTIONS)


def test_valence_and_arousal_are_values_beside_their_logits(tmp_path, images):
    model = still(AFFECT, recurrent=False)
    directory = export_saved_model(model, tmp_path / "1", interface=interface_of(model, heads=AFFECT))
    expected = model(images)
    outputs = tf.saved_model.load(str(directory)).signatures["serve_uint8"](image=tf.constant(images))
    assert set(outputs) == {"valence", "arousal", "valence_logits", "arousal_logits"}
    for head in AFFECT:
        np.testing.assert_allclose(outputs[head], expected_values(expected[head]), atol=1e-6)
        np.testing.assert_allclose(load_saved_model(directory)(images)[head], expected[head], atol=1e-5)
    assert not (directory / "assets.extra").exists()


def test_a_network_that_gives_the_number_itself_is_clipped():
    interface = Interface("still", (1, 1, 1), {"valence": (NUMBER,)})
    outputs = named_outputs({"valence": tf.constant([[0.25], [1.5], [-3.0]])}, interface)
    assert outputs["valence"].numpy().tolist() == [0.25, 1.0, -1.0]
    assert outputs["valence_raw"].numpy().tolist() == [[0.25], [1.5], [-3.0]]


def test_png_bytes_equal_the_pixels_exactly(served, images):
    from_bytes = served.signatures["serve_bytes"](image_bytes=tf.constant([encoded(image) for image in images]))
    from_pixels = served.signatures["serve_uint8"](image=tf.constant(images))
    from_floats = served.signatures["serving_default"](image=tf.constant(images, tf.float32))
    for name in from_floats:
        np.testing.assert_array_equal(from_bytes[name], from_floats[name])
        np.testing.assert_array_equal(from_pixels[name], from_floats[name])


def photo(height: int = 60, width: int = 80) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, 60 + (x + y) % 128], -1).astype(np.uint8)


def test_pictures_of_any_kind_are_seen_as_by_predict(served, model, tmp_path):
    wide, grey = photo(), photo()[..., 0]
    pictures = {
        "wide.jpg": encoded(wide, "JPEG", quality=95),
        "grey.png": encoded(grey),
        "rgba.png": encoded(np.dstack([wide, np.full_like(grey, 255)])),  # of what shows through, see docs/serving.md
        "dot.png": encoded(wide[:1, :1]),
        "12 megapixels.jpg": encoded(np.kron(wide, np.ones((50, 50, 1), np.uint8)), "JPEG"),
    }
    buffer = io.BytesIO()
    Image.fromarray(wide).convert("CMYK").save(buffer, "JPEG", quality=95)
    pictures["cmyk.jpg"] = buffer.getvalue()
    prepare = Preprocessing(SIDE, SIDE, 1)
    outputs = served.signatures["serve_bytes"](image_bytes=tf.constant(list(pictures.values())))
    for logits, (name, data) in zip(outputs["emotion"], pictures.items(), strict=True):
        (tmp_path / name).write_bytes(data)
        predicted = np.asarray(prepare(read_picture(tmp_path / name)))
        seen = np.asarray(prepare.decode(tf.constant(data)))
        # Two decoders round JPEG in their own ways.
        np.testing.assert_allclose(seen.astype(int), predicted, atol=3 if name.endswith("jpg") else 0, err_msg=name)
        np.testing.assert_allclose(logits, model(seen[None].astype("float32"))["emotion"][0], atol=1e-5)


def test_the_orientation_in_a_photo_is_not_read(served):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    turned = encoded(photo(), "JPEG", exif=exif)
    outputs = served.signatures["serve_bytes"](image_bytes=tf.constant([turned, encoded(photo(), "JPEG")]))
    np.testing.assert_allclose(outputs["emotion"][0], outputs["emotion"][1], atol=1e-5)


@pytest.mark.parametrize("kind", ["text", "empty", "cut JPEG", "cut PNG"])
def test_bytes_that_are_no_picture_are_refused(served, kind):
    jpeg, png = encoded(photo(), "JPEG"), encoded(photo())
    data = {"text": b"not a picture", "empty": b"", "cut JPEG": jpeg[: len(jpeg) // 2], "cut PNG": png[:-60]}[kind]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"image|JPEG|PNG"):
        served.signatures["serve_bytes"](image_bytes=tf.constant([jpeg, data]))


def test_a_colour_model_takes_grey_pictures(tmp_path):
    model = still(EMOTION, channels=3, recurrent=False)
    directory = export_saved_model(model, tmp_path / "1", interface=interface_of(model, heads=EMOTION))
    grey = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8)
    outputs = tf.saved_model.load(str(directory)).signatures["serve_bytes"](image_bytes=tf.constant([encoded(grey)]))
    np.testing.assert_allclose(outputs["emotion"], model(np.repeat(grey, 3, axis=-1)[None])["emotion"], atol=1e-5)


def test_a_clip_network_is_what_it_was_and_takes_any_length(streaming, streaming_directory):
    run, inputs = load_saved_model(streaming_directory), clips()
    outputs, expected = run(inputs), streaming(inputs)
    assert {name: value.shape for name, value in outputs.items()} == {name: (3, T, 21) for name in AFFECT}
    for head in AFFECT:
        np.testing.assert_allclose(outputs[head], expected[head], atol=1e-5)
    frames = np.concatenate([inputs["frames"], np.full((3, 4, SIDE, SIDE, 1), 200, np.uint8)], axis=1)
    mask = np.concatenate([inputs["frame_mask"], np.zeros((3, 4), bool)], axis=1)
    longer = run({"frames": frames, "frame_mask": mask})
    assert longer["valence"].shape == (3, T + 4, 21)
    np.testing.assert_allclose(longer["valence"][:, :T], expected["valence"], atol=1e-5)


def test_an_empty_frame_is_one_without_a_face(streaming_directory):
    served, inputs = tf.saved_model.load(str(streaming_directory)), clips()
    frames, mask = inputs["frames"], inputs["frame_mask"]
    data = [[encoded(f) if m else b"" for f, m in zip(*one, strict=True)] for one in zip(frames, mask, strict=True)]
    from_bytes = served.signatures["serve_bytes"](frame_bytes=tf.constant(data))
    from_pixels = served.signatures["serve_uint8"](frames=tf.constant(frames), frame_mask=tf.constant(mask))
    for name in from_pixels:
        np.testing.assert_allclose(from_bytes[name], from_pixels[name], atol=1e-6)


def follow(directory: Path, frames: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Outputs after each frame of clips (B, T, H, W, C), by `encode` and `step`."""
    served = tf.saved_model.load(str(directory))
    encode, step = served.signatures["encode"], served.signatures["step"]
    specs = step.structured_input_signature[1]
    states = {name: tf.zeros((len(frames), spec.shape[1])) for name, spec in specs.items() if name != "features"}
    found = []
    for index in range(frames.shape[1]):
        features = encode(image=tf.constant(frames[:, index], tf.float32))["features"]
        outputs = step(features=features, **states)
        states = {name: outputs[name] for name in states}
        found.append({name: value.numpy() for name, value in outputs.items()})
    return found


def test_steps_equal_the_whole_clip_frame_by_frame(streaming, streaming_directory):
    inputs = clips(count=20) | {"frame_mask": np.ones((20, T), bool)}
    whole, steps = load_saved_model(streaming_directory)(inputs), follow(streaming_directory, inputs["frames"])
    assert set(state_sizes(streaming)) == {"lstm1_h", "lstm1_c", "lstm2_h", "lstm2_c"} <= set(steps[0])
    for head in AFFECT:
        by_step = np.stack([outputs[f"{head}_logits"] for outputs in steps], axis=1)
        np.testing.assert_allclose(by_step, whole[head], atol=1e-5)
        np.testing.assert_allclose(steps[-1][head], expected_values(whole[head])[:, -1], atol=1e-5)


def test_the_last_step_of_a_gru_equals_the_clip(tmp_path):
    model = clip(EMOTION, cell="gru")
    directory = export_saved_model(model, tmp_path / "1", interface=interface_of(model, heads=EMOTION))
    inputs = clips() | {"frame_mask": np.ones((3, T), bool)}
    last = follow(directory, inputs["frames"])[-1]
    np.testing.assert_allclose(last["emotion"], model(inputs)["emotion"], atol=1e-5)
    assert [label.decode() for label in last["label"]] == [EMOTIONS[k] for k in last["emotion"].argmax(-1)]


def test_a_network_that_reads_from_both_ends_has_no_steps(tmp_path):
    model = clip(EMOTION, bidirectional=True)
    assert "both ends" in obstacle_to_steps(model)
    with pytest.raises(InputError, match="frame by frame"):
        state_sizes(model)
    directory = export_saved_model(model, tmp_path / "1", interface=interface_of(model, heads=EMOTION))
    assert "step" not in (signatures := tf.saved_model.load(str(directory)).signatures)
    assert "encode" in signatures
    np.testing.assert_allclose(load_saved_model(directory)(clips())["emotion"], model(clips())["emotion"], atol=1e-5)


def test_a_network_with_a_weight_for_each_moment_keeps_its_length(tmp_path):
    frames, mask = keras.Input((T, SIDE, SIDE, 1), name="frames"), keras.Input((T,), dtype="bool", name="frame_mask")
    kept = keras.ops.where(mask[:, :, None, None, None], frames, 0.0)
    logits = layers.Dense(7, name="emotion")(layers.Flatten()(kept))
    model = keras.Model({"frames": frames, "frame_mask": mask}, {"emotion": logits})
    assert any_length(model) is model
    directory = export_saved_model(model, tmp_path / "1", interface=interface_of(model, heads=EMOTION))
    run = load_saved_model(directory)
    np.testing.assert_allclose(run(clips())["emotion"], model(clips())["emotion"], rtol=1e-4, atol=1e-3)
    with pytest.raises(InputError, match=rf"\(B, {T}, 12, 12, 1\).*Received: frames \(3, 6, 12, 12, 1\)"):
        run(clips(steps=6))


def test_a_failed_write_keeps_the_old_saved_model(model, tmp_path, monkeypatch):
    def break_off(archive, directory, **options):
        Path(directory).mkdir()
        (Path(directory) / "saved_model.pb").write_bytes(b"half")
        raise OSError("disk full")

    target = tmp_path / "1"
    target.mkdir()
    (target / "saved_model.pb").write_bytes(b"old")
    monkeypatch.setattr(tf.saved_model, "save", break_off)
    with pytest.raises(OSError, match="disk full"):
        export_saved_model(model, target, interface=interface_of(model, heads=EMOTION))
    assert (target / "saved_model.pb").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_an_earlier_saved_model_is_replaced_and_nothing_else(tmp_path):
    model = still(EMOTION, recurrent=False)
    names = [name.upper() for name in EMOTIONS]
    for labels in (EMOTIONS, names):
        export_saved_model(model, tmp_path / "1", interface=interface_of(model, heads={"emotion": labels}))
    assert (tmp_path / "1" / "assets.extra" / "labels.txt").read_text().split() == names
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    with pytest.raises(InputError, match="new or hold an earlier SavedModel"):
        export_saved_model(model, tmp_path, interface=interface_of(model, heads=EMOTION))


def test_recurrent_layers_stay_portable_where_there_is_a_gpu(model, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("keras.src.backend.tensorflow.rnn"), "_is_gpu_available", lambda: True)
    before = model.get_layer("lstm").use_cudnn
    export_saved_model(model, tmp_path / "1", interface=interface_of(model, heads=EMOTION))
    assert b"CudnnRNN" not in (tmp_path / "1" / "saved_model.pb").read_bytes()
    assert model.get_layer("lstm").use_cudnn == before


def test_the_runner_explains_wrong_files_and_inputs(directory, streaming_directory, tmp_path):
    run = load_saved_model(directory)
    with pytest.raises(InputError, match=r"\(B, 12, 12, 1\).*Received: shape \(2, 12, 12, 3\)"):
        run(np.zeros((2, 12, 12, 3)))
    with pytest.raises(InputError, match="at least 1"):
        run(np.zeros((0, 12, 12, 1)))
    with pytest.raises(InputError, match="dict of frames and frame_mask"):
        load_saved_model(streaming_directory)(np.zeros((2, 12, 12, 1)))
    with pytest.raises(InputError, match=r"saved_model\.pb"):
        load_saved_model(tmp_path)
