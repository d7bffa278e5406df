"""The clients, and the files for a server, against a stand-in that answers from a SavedModel as the server does."""

import base64
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ferkeras import serving
from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export.interface import interface_of
from ferkeras.export.saved_model import export_saved_model, load_saved_model
from ferkeras.export.serving_files import warm_up_requests, write_serving
from ferkeras.labels import EMOTIONS
from ferkeras.models.sequence import sequence_model
from ferkeras.models.temporal import recurrent_temporal
from ferkeras.runs import RunFolder
from ferkeras.serving import GrpcClient, RestClient, ServingError, request_of
from tests.serving_double import RefusalError, ServedModel, serve_grpc, serve_rest
from tests.test_saved_model import EMOTION, SIDE, T, clips, encoded, photo, still

NAME = "faces"
SERVER = shutil.which("tensorflow_model_server")


@pytest.fixture(scope="module")
def still_run(tmp_path_factory) -> RunFolder:
    return run_of(still(EMOTION, recurrent=False), tmp_path_factory.mktemp("runs") / NAME)


@pytest.fixture(scope="module")
def clip_run(tmp_path_factory) -> RunFolder:
    frame = still(EMOTION, recurrent=False)
    temporal = recurrent_temporal(frames=T, width=36, heads={"emotion": 7}, hidden=6)
    return run_of(sequence_model(frame, temporal, name="clip"), tmp_path_factory.mktemp("runs") / NAME)


def run_of(model, path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.write_json("preprocessing.json", {"height": SIDE, "width": SIDE, "channels": 1, "frames": T, "stride": 1})
    export_saved_model(model, path / "saved_model" / "1", interface=interface_of(model, heads=EMOTION))
    return folder


@pytest.fixture(autouse=True)
def without_a_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class Rest:
    """A stand-in under REST."""

    def __init__(self, folder: RunFolder) -> None:
        self.served = ServedModel(folder.path / "saved_model" / "1", NAME)
        self._server = serve_rest(self.served)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def client(self, **options) -> RestClient:
        return RestClient(self.url, NAME, **{"wait_s": 0.0, **options})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Grpc:
    """A stand-in under gRPC."""

    def __init__(self, folder: RunFolder) -> None:
        pytest.importorskip("tensorflow_serving", reason="the extra `serving` is not installed")
        self.served = ServedModel(folder.path / "saved_model" / "1", NAME)
        self._server, self._port = serve_grpc(self.served)
        self._clients: list[GrpcClient] = []

    def client(self, **options) -> GrpcClient:
        self._clients.append(GrpcClient(f"127.0.0.1:{self._port}", NAME, **{"wait_s": 0.0, **options}))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._server.stop(None)


@pytest.fixture(scope="module", params=[Rest, Grpc])
def stills(request, still_run):
    server = request.param(still_run)
    yield server
    server.close()


@pytest.fixture(scope="module", params=[Rest, Grpc])
def videos(request, clip_run):
    server = request.param(clip_run)
    yield server
    server.close()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 1), dtype=np.uint8)


def test_arrays_and_pictures_get_the_answers_of_the_network(stills, still_run, images):
    expected = load_saved_model(still_run.path / "saved_model" / "1")(images)["emotion"]
    pictures = [encoded(image) for image in images]
    for given in (images, images.astype(np.float64), pictures):
        outputs = stills.client().predict(given)
        assert set(outputs) == {"emotion", "probabilities", "label"}
        assert outputs["emotion"].dtype == np.float32
        np.testing.assert_allclose(outputs["emotion"], expected, atol=1e-5)
        np.testing.assert_allclose(outputs["probabilities"].sum(-1), 1, atol=1e-5)
        assert outputs["label"].tolist() == [EMOTIONS[k] for k in expected.argmax(-1)]
    assert stills.client().predict(pictures[0])["label"].tolist() == outputs["label"][:1].tolist()


def test_clips_of_different_lengths_are_filled_up(videos, clip_run):
    inputs = clips()
    client, frames, mask = videos.client(), inputs["frames"], inputs["frame_mask"]
    expected = load_saved_model(clip_run.path / "saved_model" / "1")(inputs)["emotion"]
    np.testing.assert_allclose(client.predict(frames, frame_mask=mask)["emotion"], expected, atol=1e-5)
    pictures = [[encoded(f) if m else b"" for f, m in zip(*one, strict=True)] for one in zip(frames, mask, strict=True)]
    pictures[0] = [data for data in pictures[0] if data]  # a frame that does not count is as good as none
    np.testing.assert_allclose(client.predict(pictures)["emotion"], expected, atol=1e-5)


def test_a_video_is_followed_step_by_step(videos, clip_run):
    frames = clips()["frames"].astype(np.float32)
    client = videos.client()
    states = {name: np.zeros((3, 6), np.float32) for name in ("lstm1_h", "lstm1_c")}
    for index in range(T):
        features = client.call("encode", {"image": frames[:, index]})["features"]
        outputs = client.call("step", {"features": features, **states})
        states = {name: outputs[name] for name in states}
    whole = {"frames": frames, "frame_mask": np.ones((3, T), bool)}
    expected = load_saved_model(clip_run.path / "saved_model" / "1")(whole)["emotion"]
    np.testing.assert_allclose(outputs["emotion"], expected, atol=1e-5)


@pytest.mark.parametrize("data", [b"a text", encoded(photo(), "JPEG")[:700]])
def test_what_is_no_picture_is_refused_and_the_server_goes_on(stills, data):
    with pytest.raises(
        InputError, match=r"refuses the request\. Received: (HTTP 400|INVALID_ARGUMENT), .*(image|JPEG)"
    ):
        stills.client().predict([data])
    assert stills.client().predict(encoded(photo(), "JPEG"))["label"].shape == (1,)


def test_wrong_names_and_sizes_are_refused_at_once(stills, images):
    before = stills.served.requests
    wrong = stills.client()
    wrong.model, wrong._path = "other", getattr(wrong, "_path", "").replace(NAME, "other")
    with pytest.raises(InputError, match="Servable not found"):
        wrong.predict(images)
    with pytest.raises(InputError, match="Serving signature name: step not found"):
        stills.client().call("step", {"features": images})
    with pytest.raises(InputError, match=r"Expected image of uint8 \(None, 12, 12, 1\)"):
        stills.client().predict(images[:, 1:])
    assert stills.served.requests - before <= 3  # none is sent twice


def unavailable() -> RefusalError:
    return RefusalError(503, "UNAVAILABLE", "model is loading")


def test_an_unavailable_server_is_asked_again_with_growing_pauses(stills, images, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(serving.time, "sleep", pauses.append)
    stills.served.failures[:] = [unavailable() for _ in range(3)]
    assert stills.client(retries=3, wait_s=0.5).predict(images)["label"].shape == (3,)
    assert pauses == [0.5, 1.0, 2.0]
    stills.served.failures[:] = [unavailable() for _ in range(3)]
    with pytest.raises(ServingError, match=r"not available, after 3 attempts: .*model is loading"):
        stills.client(retries=2).predict(images)


def test_a_failure_of_the_server_is_told_and_not_repeated(stills, images):
    stills.served.failures[:] = [RefusalError(500, "INTERNAL", "out of memory"), unavailable()]
    with pytest.raises(ServingError, match=r"The server failed: .*out of memory"):
        stills.client().predict(images)
    assert len(stills.served.failures) == 1
    stills.served.failures.clear()


def test_nobody_at_the_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServingError, match=r"after 2 attempts: .*Look whether it runs"):
        RestClient(f"http://127.0.0.1:{port}", NAME, retries=1, wait_s=0.0).predict(b"picture")


def test_a_silent_server_is_given_up(images):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServingError, match=r"No answer within 0\.2 s"):
            RestClient(f"http://{address}", NAME, timeout_s=0.2).predict(images)


def test_rows_and_columns_are_answered_alike(still_run, clip_run):
    """The row form is not what the client speaks, but what the README shows for a shell."""
    picture = {"b64": base64.b64encode(encoded(photo())).decode()}
    for folder, row, column in (
        (still_run, picture, [picture]),
        (clip_run, [picture, {"b64": ""}], [[picture, {"b64": ""}]]),
    ):
        served = ServedModel(folder.path / "saved_model" / "1", NAME)
        ask = {"signature_name": "serve_bytes"}
        rows = served.json(NAME, json.dumps(ask | {"instances": [row]}).encode())["predictions"]
        columns = served.json(NAME, json.dumps(ask | {"inputs": column}).encode())["outputs"]
        assert rows == [{name: values[0] for name, values in columns.items()}]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 2)), r"clips \(B, T, H, W, C\)"),
        (np.zeros((0, 2, 2, 1)), "at least one"),
        (np.array([["a"]], object), "of numbers"),
        ([], "encoded pictures"),
        ("face.jpg", "encoded pictures"),
        ([[b"a"], b"b"], "encoded pictures"),
    ],
)
def test_what_cannot_be_sent_is_refused(images, message):
    with pytest.raises(InputError, match=message):
        request_of(images)


def test_masks_belong_to_clips():
    with pytest.raises(InputError, match=r"\(2, 3\).*Received: shape \(3, 2\)"):
        request_of(np.zeros((2, 3, 4, 4, 1)), frame_mask=np.ones((3, 2)))
    with pytest.raises(InputError, match="no frame_mask"):
        request_of(np.zeros((2, 4, 4, 1)), frame_mask=np.ones((2, 1)))
    with pytest.raises(InputError, match="leave frame_mask out"):
        request_of([[b"a"]], frame_mask=np.ones((1, 1)))


def test_addresses_and_limits_are_checked():
    with pytest.raises(InputError, match="http"):
        RestClient("127.0.0.1:8501", NAME)
    with pytest.raises(InputError, match="timeout_s"):
        RestClient("http://127.0.0.1", NAME, timeout_s=0)


def test_the_extra_is_named_where_it_is_missing(still_run, tmp_path, monkeypatch):
    for module in ("tensorflow_serving.apis.prediction_service_pb2_grpc", "tensorflow_serving.apis.prediction_log_pb2"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[serving\]"):
        GrpcClient("127.0.0.1:1", NAME)
    shutil.copytree(still_run.path, tmp_path / NAME)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[serving\]"):
        write_serving(RunFolder(tmp_path / NAME))
    assert not (tmp_path / NAME / "serving").exists()


@pytest.mark.parametrize("kind", ["still_run", "clip_run"])
def test_the_files_for_a_server(kind, request, tmp_path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="no extra `serving`")
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    shutil.copytree(request.getfixturevalue(kind).path, tmp_path / "My run_2")
    folder = RunFolder(tmp_path / "My run_2")
    examples = clips() if kind == "clip_run" else np.zeros((2, SIDE, SIDE, 1), np.uint8)
    target = write_serving(folder, examples=examples)
    assert target == write_serving(folder)  # again, over what is there
    config = text_format.Parse((target / "models.config").read_text(), ModelServerConfig())
    assert config.model_config_list.config[0].name == "My_run_2"
    texts = {path.name: path.read_text() for path in target.iterdir()}
    assert "COPY saved_model /models/My_run_2\n" in texts["Dockerfile"]
    assert "image: my-run-2:1\n" in texts["kubernetes.yaml"]
    assert "${TF_SERVING_VERSION}" in texts.pop("Dockerfile")
    assert not [name for name, text in texts.items() if "$" in text.replace("$(base64", "")]

    served = ServedModel(folder.path / "saved_model" / "1", "My_run_2")
    asked = set()
    for record in tf.data.TFRecordDataset(str(folder.path / "saved_model/1/assets.extra/tf_serving_warmup_requests")):
        warm_up = logs.PredictionLog.FromString(record.numpy()).predict_log.request
        spec = warm_up.model_spec
        served.predict(spec.name, spec.signature_name, {k: tf.make_ndarray(v) for k, v in warm_up.inputs.items()})
        asked.add(spec.signature_name)
    steps = {"encode", "step"} if kind == "clip_run" else set()
    assert asked == {"serving_default", "serve_uint8", "serve_bytes"} | steps


def test_examples_for_the_warm_up_are_checked(still_run, tmp_path):
    signatures = tf.saved_model.load(str(still_run.path / "saved_model" / "1")).signatures
    with pytest.raises(InputError, match="Expected examples of shape"):
        list(warm_up_requests(signatures, np.zeros((2, 5, 5, 1), np.uint8)))
    with pytest.raises(InputError, match="no SavedModel yet"):
        write_serving(RunFolder(tmp_path))


@pytest.mark.skipif(SERVER is None, reason="tensorflow_model_server is not on the PATH")
def test_the_real_server(still_run, images, tmp_path):
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        grpc_port, rest_port = one.getsockname()[1], two.getsockname()[1]
    command = [SERVER, f"--port={grpc_port}", f"--rest_api_port={rest_port}", f"--model_name={NAME}"]
    command.append(f"--model_base_path={(still_run.path / 'saved_model').resolve()}")
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{rest_port}/v1/models/{NAME}", server)
        expected = load_saved_model(still_run.path / "saved_model" / "1")(images)["emotion"]
        clients = [RestClient(f"http://127.0.0.1:{rest_port}", NAME)]
        if find_spec("tensorflow_serving"):
            clients.append(GrpcClient(f"127.0.0.1:{grpc_port}", NAME))
        for client in clients:
            for given in (images, images.astype(np.float32), [encoded(image) for image in images]):
                np.testing.assert_allclose(client.predict(given)["emotion"], expected, atol=1e-4)
            with pytest.raises(InputError, match="refuses the request"):
                client.predict(b"a text")
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url: str, server: subprocess.Popen) -> None:
    for _ in range(120):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if b"AVAILABLE" in answer.read():
                    return
        except OSError:
            pass
        time.sleep(0.5)
    pytest.fail("the server was not ready in a minute")
