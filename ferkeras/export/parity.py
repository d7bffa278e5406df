"""The proof that an exported file computes what the trained model computes, and what a quantised one loses."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ferkeras.affect_metrics import affect_scores
from ferkeras.affect_report import OUTPUTS
from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.evaluation import collect
from ferkeras.inference import Runner

#: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T) bool}, pixels in [0, 255].
Inputs = np.ndarray | Mapping[str, np.ndarray]

#: A Keras model, or a runner of an exported file: inputs to outputs by head, each (B, K) or (B, T, K).
Predictor = Callable[[Any], Mapping[str, Any]]

#: Accuracy, or concordance correlation, that a quantised file may lose.
POINT = 0.01


class ParityError(RuntimeError):
    """An exported file disagrees with the trained model; `report` is what `check_parity` found."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


def check_parity(
    reference: Predictor,
    candidates: Mapping[str, Predictor],
    inputs: Inputs,
    *,
    heads: Sequence[str] | None = None,
    quantised: Collection[str] = (),
    tolerance: float = 1e-4,
    batch_size: int = 64,
) -> dict[str, Any]:
    """Compares exported files with the trained model on the same images or clips.

    Frames that the mask leaves out count for nothing: what a network says of them means nothing.

    Args:
        reference: The trained model.
        candidates: The exported files by name.
        inputs: Of N examples. Real ones are better than noise, on which most networks name the same class always.
        heads: The outputs that are compared; None for all of the reference.
        quantised: Names of candidates that are rounded by design. They pass with outputs that are finite; their
            accuracy is what tells, see `split_score`.
        tolerance: The largest absolute difference that a logit of the others may have.
        batch_size: How many examples are given at a time.

    Returns:
        A report for JSON: `tolerance`, `passed`, and `artifacts`, by name of the candidate: `n`, the number of
        examples; `max_abs_diff` and `mean_abs_diff` over all outputs, None where an output is not finite;
        `top1_agreement`, the share in [0, 1] of examples, or frames, with the same arg-max, of the head where it is
        smallest, None without a head of classes; `passed`.

    Raises:
        ParityError: If a candidate differs by more than the tolerance, or has outputs that are not finite.
        InputError: If there are no examples, or the outputs of the reference are not finite.
    """
    mask = np.asarray(inputs["frame_mask"], bool) if isinstance(inputs, Mapping) else None
    count = len(inputs["frames"] if isinstance(inputs, Mapping) else inputs)
    if count == 0 or (mask is not None and not mask.any()):
        received = f"{count} examples" if mask is None else f"{count} clips that show {mask.sum()} frames"
        raise InputError("Parity is checked on at least one image, or a clip with a face", received=received)

    def predict(predictor: Predictor) -> dict[str, np.ndarray]:
        batches = [predictor(_part(inputs, slice(at, at + batch_size))) for at in range(0, count, batch_size)]
        outputs = {head: np.concatenate([np.asarray(batch[head]) for batch in batches]) for head in batches[0]}
        return {head: outputs[head] for head in heads or outputs if head in outputs}

    expected = predict(reference)
    if not all(np.isfinite(logits).all() for logits in _shown(expected, mask).values()):
        raise InputError(
            "The model itself gives outputs that are not finite",
            action="Check its weights before exporting it.",
        )
    artifacts = {}
    for name, candidate in candidates.items():
        allowed = np.inf if name in quantised else tolerance
        artifacts[name] = _compare(expected, predict(candidate), mask, allowed)
    failed = [name for name, result in artifacts.items() if not result["passed"]]
    report = {"tolerance": tolerance, "passed": not failed, "artifacts": artifacts}
    if failed:
        details = "; ".join(f"{name}: {_told(artifacts[name], count)}" for name in failed)
        raise ParityError(f"Exported files differ from the model by more than {tolerance:g}. {details}.", report)
    return report


def split_score(run: Runner, data: StillPipeline | ClipPipeline, *, split: str) -> tuple[str, float]:
    """What `run` is worth on every example of `split`, in one number.

    Returns:
        `accuracy` and its value in [0, 1], or of valence and arousal `mean_ccc`, the mean of both outputs, in [-1, 1].
    """
    found = collect(run, data, split=split)
    if found.class_names:
        return "accuracy", float((found.logits["emotion"].argmax(axis=-1) == found.labels["emotion"]).mean())
    ccc = [affect_scores(found.labels[head], found.logits[head])["ccc"] for head in OUTPUTS]
    return "mean_ccc", float(np.mean(ccc))


def stream_runner(stream: Any, *, per_frame: bool) -> Runner:
    """`stream`, which reads a video frame by frame, as a runner of whole clips.

    Args:
        stream: A `ferkeras.export.litert_streaming.Stream`. Masked frames are left out, as an app would.
        per_frame: Return the outputs of every frame (B, T, K), zeros at masked ones, rather than of the last (B, K).

    Raises:
        InputError: By the function, if a clip has no frame that the mask shows.
    """

    def read(frames: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        if not mask.any():
            raise InputError("A clip that is read frame by frame shows at least one frame", received="none")
        stream.reset()
        shown = [stream(frame) for frame in frames[mask]]
        if not per_frame:
            return shown[-1]
        outputs = {head: np.zeros((len(mask), *logits.shape), logits.dtype) for head, logits in shown[0].items()}
        for head, logits in outputs.items():
            logits[mask] = [found[head] for found in shown]
        return outputs

    def run(clips: Any) -> dict[str, np.ndarray]:
        pairs = zip(clips["frames"], np.asarray(clips["frame_mask"], bool), strict=True)
        rows = [read(frames, mask) for frames, mask in pairs]
        return {head: np.stack([row[head] for row in rows]) for head in rows[0]}

    return run


def _part(inputs: Inputs, rows: slice) -> Inputs:
    return {name: values[rows] for name, values in inputs.items()} if isinstance(inputs, Mapping) else inputs[rows]


def _shown(outputs: Mapping[str, np.ndarray], mask: np.ndarray | None) -> dict[str, np.ndarray]:
    """Outputs (M, K) of the examples, or of the frames that the mask (B, T) shows."""
    return {head: logits[mask] if logits.ndim == 3 else logits for head, logits in outputs.items()}


def _compare(
    expected: dict[str, np.ndarray], actual: dict[str, np.ndarray], mask: np.ndarray | None, tolerance: float
) -> dict[str, Any]:
    shapes, given = ({head: logits.shape for head, logits in outputs.items()} for outputs in (expected, actual))
    if shapes != given:
        raise InputError(f"Expected outputs of the shapes {shapes}", received=f"{given}")
    n = len(next(iter(expected.values())))
    expected, actual = _shown(expected, mask), _shown(actual, mask)
    differences = np.concatenate([np.abs(expected[head] - actual[head]).ravel() for head in expected])
    classes = [head for head, logits in expected.items() if logits.shape[-1] > 1]
    same = [float((expected[head].argmax(-1) == actual[head].argmax(-1)).mean()) for head in classes]
    finite = bool(np.isfinite(differences).all())
    return {
        "n": n,
        "max_abs_diff": float(differences.max()) if finite else None,
        "mean_abs_diff": float(differences.mean()) if finite else None,
        "top1_agreement": min(same, default=None),
        "passed": finite and bool(differences.max() <= tolerance),
    }


def _told(result: Mapping[str, Any], count: int) -> str:
    agreement = result["top1_agreement"]
    text = f"largest difference {result['max_abs_diff']}"
    return text if agreement is None else f"{text}, same top class on {agreement:.1%} of {count} examples"
