"""A stand-in for TensorFlow Serving: its REST JSON and its gRPC Predict on the signatures of a SavedModel.

The network is loaded by `tf.saved_model.load` alone, and requests are held against the SignatureDef as the server
does: names, types and shapes. Rules of the JSON are those of the server's documentation ("RESTful API"): row form
`instances` with all keys in each element, column form `inputs`, `{"b64": ...}` for bytes, the name of a single input or
output left out, errors as `{"error": ...}` with a status of 4xx or 5xx.
"""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


class RefusalError(Exception):
    """An answer with an error: HTTP status, name of the gRPC status, and message."""

    def __init__(self, http: int, grpc: str, message: str) -> None:
        super().__init__(message)
        self.http, self.grpc = http, grpc


class ServedModel:
    """A SavedModel under a name. `failures` holds what the next requests are answered with instead."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name, self.failures, self.requests = name, [], 0
        self._loaded = tf.saved_model.load(str(directory))

    def predict(self, model: str, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        self.requests += 1
        if self.failures:
            raise self.failures.pop(0)
        specs = self.inputs(model, signature)
        if set(inputs) != set(specs):
            raise RefusalError(400, "INVALID_ARGUMENT", f"input size does not match signature: {sorted(inputs)}")
        tensors = {}
        for key, spec in specs.items():
            tensors[key] = tf.constant(inputs[key])
            if tensors[key].dtype != spec.dtype or not spec.shape.is_compatible_with(tensors[key].shape):
                got = f"{tensors[key].dtype.name} {tensors[key].shape}"
                raise RefusalError(
                    400, "INVALID_ARGUMENT", f"Expected {key} of {spec.dtype.name} {spec.shape}, got {got}"
                )
        try:
            outputs = self._loaded.signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise RefusalError(400, "INVALID_ARGUMENT", error.message.splitlines()[-1]) from error
        return {key: value.numpy() for key, value in outputs.items()}

    def inputs(self, model: str, signature: str) -> dict[str, tf.TensorSpec]:
        if model != self.name:
            raise RefusalError(404, "NOT_FOUND", f"Servable not found for request: Latest({model})")
        if signature not in self._loaded.signatures:
            raise RefusalError(400, "INVALID_ARGUMENT", f"Serving signature name: {signature} not found")
        return self._loaded.signatures[signature].structured_input_signature[1]

    def metadata(self) -> dict[str, Any]:
        described = {
            name: {"inputs": _named(one.structured_input_signature[1]), "outputs": _named(one.structured_outputs)}
            for name, one in self._loaded.signatures.items()
        }
        return {"model_spec": {"name": self.name}, "metadata": {"signature_def": {"signature_def": described}}}

    def json(self, model: str, body: bytes) -> dict[str, Any]:
        """Answers a predict request, row or column form."""
        request = json.loads(body)
        signature = request.get("signature_name", "serving_default")
        specs = self.inputs(model, signature)
        if ("instances" in request) == ("inputs" in request):
            raise RefusalError(400, "INVALID_ARGUMENT", "expecting one of 'inputs' or 'instances'")
        rows = "instances" in request
        given = request["instances" if rows else "inputs"]
        if rows and isinstance(given[0], dict) and "b64" not in given[0]:
            if any(set(row) != set(specs) for row in given):
                raise RefusalError(400, "INVALID_ARGUMENT", f"keys must be equal to: {','.join(sorted(specs))}")
            given = {key: [row[key] for row in given] for key in specs}
        elif not isinstance(given, dict):
            if len(specs) > 1:
                raise RefusalError(400, "INVALID_ARGUMENT", "a plain list, but multiple input tensors required")
            given = {next(iter(specs)): given}
        missing = set(specs) - set(given)
        if missing:
            raise RefusalError(400, "INVALID_ARGUMENT", f"Missing named input: {missing.pop()} in 'inputs' object.")
        outputs = self.predict(model, signature, {key: _tensor(given[key], specs[key]) for key in specs})
        texts = {key: _plain(value) for key, value in outputs.items()}
        if not rows:
            return {"outputs": texts if len(texts) > 1 else next(iter(texts.values()))}
        lists = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
        return {"predictions": lists if len(texts) > 1 else next(iter(texts.values()))}


def serve_rest(served: ServedModel) -> ThreadingHTTPServer:
    """Starts on a free port of 127.0.0.1; end it by `shutdown()` and `server_close()`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(lambda model: served.inputs(model, "serving_default") and served.metadata())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(lambda model: served.json(model, body))

        def _answer(self, find: Any) -> None:
            model = self.path.removeprefix("/v1/models/").replace(":", "/").split("/")[0]
            try:
                status, answer = 200, find(model)
            except RefusalError as refusal:
                status, answer = refusal.http, {"error": str(refusal)}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def serve_grpc(served: ServedModel) -> tuple[Any, int]:
    """Starts on a free port of 127.0.0.1; the server, to be ended by `stop(None)`, and the port."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802  the name in the protocol
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            spec = request.model_spec
            try:
                outputs = served.predict(spec.name, spec.signature_name or "serving_default", inputs)
            except RefusalError as refusal:
                context.abort(grpc.StatusCode[refusal.grpc], str(refusal))
            response = predict_pb2.PredictResponse(model_spec=spec)
            for key, value in outputs.items():
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def _named(specs: dict[str, Any]) -> dict[str, Any]:
    return {name: {"dtype": spec.dtype.name} for name, spec in specs.items()}


def _tensor(value: Any, spec: tf.TensorSpec) -> np.ndarray:
    def decode(item: Any) -> Any:
        if isinstance(item, list):
            return [decode(i) for i in item]
        if isinstance(item, dict) != (spec.dtype == tf.string) or isinstance(item, bool) != (spec.dtype == tf.bool):
            raise RefusalError(
                400, "INVALID_ARGUMENT", f"JSON Value: {item} is not of expected type: {spec.dtype.name}"
            )
        return base64.b64decode(item["b64"], validate=True) if isinstance(item, dict) else item

    try:
        return np.array(decode(value), object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)
    except (ValueError, OverflowError) as error:
        raise RefusalError(400, "INVALID_ARGUMENT", f"Encountered list at unexpected size: {error}") from error


def _plain(value: np.ndarray) -> Any:
    return np.vectorize(bytes.decode, otypes=[object])(value).tolist() if value.dtype == object else value.tolist()
