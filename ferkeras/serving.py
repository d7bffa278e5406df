"""Clients of TensorFlow Serving for the SavedModels of `ferkeras export`: REST with the standard library, and gRPC."""

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ferkeras.errors import InputError, MissingExtraError

#: Most that is read of a response, 256 MiB.
MAX_RESPONSE_BYTES = 256 * 1024**2

Outputs = dict[str, np.ndarray]
_Answer = TypeVar("_Answer")


class ServingError(RuntimeError):
    """The server could not be reached in time, or failed on a request that it understood.

    What the server refuses, for example bytes that are no picture or an unknown model, is an `InputError`.
    """


class _UnavailableError(Exception):
    """No connection, or a server that says it cannot answer now: the one failure after which trying again helps."""


class Client(ABC):
    """What both clients can do.

    Args:
        model: Name under which the server has the model.
        version: Of the model; None for the latest.
        timeout_s: Longest wait for an answer to one attempt, in seconds. An attempt that takes longer is not repeated:
            the server may still be at work on it.
        retries: Further attempts where there is no connection, or the server is unavailable.
        wait_s: Pause before the first of them, in seconds; each next one is twice as long.
    """

    def __init__(
        self, model: str, *, version: int | None = None, timeout_s: float = 30.0, retries: int = 4, wait_s: float = 0.2
    ) -> None:
        if timeout_s <= 0 or retries < 0 or wait_s < 0:
            raise InputError(
                "timeout_s must be positive, retries and wait_s at least 0",
                received=f"{timeout_s=}, {retries=}, {wait_s=}",
            )
        self.model, self.version = model, version
        self.timeout_s, self.retries, self.wait_s = timeout_s, retries, wait_s

    def predict(self, images: Any, *, frame_mask: np.ndarray | None = None) -> Outputs:
        """Outputs of a still or clip model, by name.

        Args:
            images: Images (B, H, W, C) or clips (B, T, H, W, C), uint8 or float32 in [0, 255], of the model's size; or
                encoded pictures, JPEG or PNG, of any size: one as bytes, a list of them, or a list of clips, each a
                list of frames, b"" for one without a face. Shorter clips are filled up with those.
            frame_mask: (B, T) bool, False where a frame counts for nothing; by default all count.

        Returns:
            `emotion` (logits), `probabilities`, `label`, `valence`, `arousal` and their logits, as far as the model
            has them.

        Raises:
            InputError: If the images are none of these, or the server refuses them.
            ServingError: If there is no answer.
        """
        signature, inputs = request_of(images, frame_mask=frame_mask)
        return self.call(signature, inputs)

    def call(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Outputs:
        """Any signature with its inputs by name, for example `encode` and `step`; strings as arrays of objects."""
        return self._repeated(lambda: self._send(signature, inputs))

    def _repeated(self, send: Callable[[], _Answer]) -> _Answer:
        for attempt in range(self.retries):
            try:
                return send()
            except _UnavailableError:
                time.sleep(self.wait_s * 2**attempt)
        try:
            return send()
        except _UnavailableError as error:
            raise ServingError(
                f"The server is not available, after {self.retries + 1} attempts: {error}. "
                "Look whether it runs, and at the address."
            ) from error

    @abstractmethod
    def _send(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Outputs: ...


class RestClient(Client):
    """Speaks the REST interface, in column form.

    Args:
        url: Of the server, such as `http://127.0.0.1:8501`.
        model: See `Client`, as are the others.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        version: int | None = None,
        timeout_s: float = 30.0,
        retries: int = 4,
        wait_s: float = 0.2,
    ) -> None:
        super().__init__(model, version=version, timeout_s=timeout_s, retries=retries, wait_s=wait_s)
        if not url.startswith(("http://", "https://")):
            raise InputError("The address of a server starts with http:// or https://", received=url)
        self._path = f"{url.rstrip('/')}/v1/models/{model}" + ("" if version is None else f"/versions/{version}")

    def metadata(self) -> dict[str, Any]:
        """The signatures of the model, name to a dict of inputs and outputs, as the server tells them."""
        return self._repeated(lambda: self._request("/metadata"))["metadata"]["signature_def"]["signature_def"]

    def _send(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Outputs:
        body = {"signature_name": signature, "inputs": {name: _to_json(value) for name, value in inputs.items()}}
        outputs = self._request(":predict", json.dumps(body).encode())["outputs"]
        if not isinstance(outputs, dict):  # the server leaves the name of a single output away
            (name,) = self.metadata()[signature]["outputs"]
            outputs = {name: outputs}
        return {name: _from_json(value) for name, value in outputs.items()}

    def _request(self, suffix: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self._path + suffix, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                text = response.read(MAX_RESPONSE_BYTES + 1)
        except urllib.error.HTTPError as error:
            raise _http_failure(error) from error
        except TimeoutError as error:
            raise self._too_slow() from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise self._too_slow() from error
            raise _UnavailableError(str(error.reason)) from error
        except (ConnectionError, http.client.HTTPException) as error:
            raise _UnavailableError(str(error) or type(error).__name__) from error
        if len(text) > MAX_RESPONSE_BYTES:
            raise ServingError(
                f"The response is longer than {MAX_RESPONSE_BYTES // 1024**2} MiB. Send smaller batches."
            )
        try:
            return json.loads(text)
        except ValueError as error:
            raise ServingError(f"The response is not JSON: {text[:80]!r}. Is this the REST port?") from error

    def _too_slow(self) -> ServingError:
        return ServingError(f"No answer within {self.timeout_s:g} s. Send smaller batches, or raise timeout_s.")


class GrpcClient(Client):
    """Speaks gRPC with tensorflow-serving-api, extra `serving`; faster than REST for arrays.

    It connects without encryption: put it on a trusted network, or behind a proxy that adds it. Close it after use, or
    use it in a `with` statement.

    Args:
        address: Host and port of the server, such as `127.0.0.1:8500`.
        model: See `Client`, as are the others.

    Raises:
        MissingExtraError: If tensorflow-serving-api is not installed.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        timeout_s: float = 30.0,
        retries: int = 4,
        wait_s: float = 0.2,
    ) -> None:
        super().__init__(model, version=version, timeout_s=timeout_s, retries=retries, wait_s=wait_s)
        try:
            import grpc
            from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
        except ImportError as error:
            raise MissingExtraError("tensorflow-serving-api", extra="serving") from error
        unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES)]
        self._channel = grpc.insecure_channel(address, options=unlimited)
        self._stub = PredictionServiceStub(self._channel)

    def __enter__(self) -> "GrpcClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def _send(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Outputs:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis.predict_pb2 import PredictRequest

        request = PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self.model, signature
        if self.version is not None:
            request.model_spec.version.value = self.version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self._stub.Predict(request, timeout=self.timeout_s)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            if code == grpc.StatusCode.UNAVAILABLE:
                raise _UnavailableError(details) from error
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise ServingError(
                    f"No answer within {self.timeout_s:g} s. Send smaller batches, or raise timeout_s."
                ) from error
            refused = (code.INVALID_ARGUMENT, code.NOT_FOUND, code.FAILED_PRECONDITION, code.OUT_OF_RANGE)
            raise _failure(code.name, details, refused=code in refused) from error
        return {name: _as_text(tf.make_ndarray(value)) for name, value in response.outputs.items()}


def request_of(images: Any, *, frame_mask: np.ndarray | None = None) -> tuple[str, dict[str, np.ndarray]]:
    """Signature and inputs for what `Client.predict` takes.

    Raises:
        InputError: If it is none of that.
    """
    if isinstance(images, bytes):
        images = [images]
    if not isinstance(images, np.ndarray):
        if frame_mask is not None:
            raise InputError("Of encoded frames an empty one, b'', says that it does not count; leave frame_mask out")
        return "serve_bytes", _encoded(images)
    name = {4: "image", 5: "frames"}.get(images.ndim)
    if name is None or images.dtype.kind not in "uif" or 0 in images.shape:
        raise InputError(
            "Expected images (B, H, W, C) or clips (B, T, H, W, C) of numbers, at least one",
            received=f"{images.dtype} of shape {images.shape}",
        )
    signature = "serve_uint8" if images.dtype == np.uint8 else "serving_default"
    inputs = {name: images if images.dtype == np.uint8 else images.astype(np.float32)}
    if name == "frames":
        mask = np.ones(images.shape[:2], bool) if frame_mask is None else np.asarray(frame_mask, bool)
        if mask.shape != images.shape[:2]:
            raise InputError(f"Expected a frame_mask of shape {images.shape[:2]}", received=f"shape {mask.shape}")
        inputs["frame_mask"] = mask
    elif frame_mask is not None:
        raise InputError("Images have no frame_mask; clips have the shape (B, T, H, W, C)", received=str(images.shape))
    return signature, inputs


def _encoded(pictures: Any) -> dict[str, np.ndarray]:
    def all_are(kind: type | tuple[type, ...], values: Any) -> bool:
        return isinstance(values, Sequence) and len(values) > 0 and all(isinstance(value, kind) for value in values)

    if all_are(bytes, pictures):
        return {"image_bytes": _objects([len(pictures)], pictures)}
    if all_are((list, tuple), pictures) and all(all_are(bytes, clip) for clip in pictures):
        steps = max(len(clip) for clip in pictures)
        filled = [data for clip in pictures for data in (*clip, *[b""] * (steps - len(clip)))]
        return {"frame_bytes": _objects([len(pictures), steps], filled)}
    raise InputError(
        "Expected an array, or encoded pictures as bytes, a list of bytes, or a list of lists of bytes for clips",
        received=type(pictures).__name__,
        action="Open a file with Path(...).read_bytes().",
    )


def _objects(shape: Sequence[int], values: Sequence[bytes]) -> np.ndarray:
    array = np.empty(len(values), object)  # NumPy's own type of bytes loses zeros at the end
    array[:] = values
    return array.reshape(shape)


def _to_json(value: np.ndarray) -> Any:
    def encode(item: Any) -> Any:
        return [encode(i) for i in item] if isinstance(item, list) else {"b64": base64.b64encode(item).decode()}

    value = np.asarray(value)
    return encode(value.tolist()) if value.dtype == object else value.tolist()


def _from_json(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _as_text(value: np.ndarray) -> np.ndarray:
    if value.dtype != object:
        return value
    return np.array([item.decode() for item in value.ravel()]).reshape(value.shape)


def _http_failure(error: urllib.error.HTTPError) -> Exception:
    text = error.read(10_000).decode(errors="replace")
    try:
        message = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        message = text.strip()[:300] or str(error.reason)
    if error.code == 503:
        return _UnavailableError(f"HTTP 503, {message}")
    return _failure(f"HTTP {error.code}", message, refused=400 <= error.code < 500)


def _failure(status: str, message: str, *, refused: bool) -> Exception:
    message = message.strip().rstrip(".")
    if refused:
        return InputError("The server refuses the request", received=f"{status}, {message}")
    return ServingError(f"The server failed: {status}, {message}.")
