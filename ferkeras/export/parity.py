"""The proof that an exported file computes what the trained model computes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ferkeras.errors import InputError

#: A Keras model, or a runner of an exported file: images (B, H, W, C) to outputs by name, each (B, K).
Predictor = Callable[[np.ndarray], Mapping[str, Any]]


class ParityError(RuntimeError):
    """An exported file disagrees with the trained model; `report` is what `check_parity` found."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


def check_parity(
    reference: Predictor,
    candidates: Mapping[str, Predictor],
    images: np.ndarray,
    *,
    tolerance: float = 1e-4,
    batch_size: int = 64,
) -> dict[str, Any]:
    """Compares exported files with the trained model on the same images.

    Args:
        reference: The trained model.
        candidates: The exported files by name.
        images: (N, H, W, C) in [0, 255]. Real images are better than noise, on which most networks name
            the same class always.
        tolerance: The largest absolute difference that a logit may have.
        batch_size: How many images are given at a time.

    Returns:
        A report for JSON: `tolerance`, `passed`, and `artifacts`, by name of the candidate: `n`, the number
        of images; `max_abs_diff` and `mean_abs_diff` over all outputs, None where an output is not finite;
        `top1_agreement`, the share of images on which every output has the same arg-max, in [0, 1]; `passed`.

    Raises:
        ParityError: If a candidate differs by more than the tolerance, or has outputs that are not finite.
        InputError: If there are no images, or the outputs of the reference are not finite.
    """
    if len(images) == 0:
        raise InputError("Parity is checked on at least one image", received=f"shape {np.shape(images)}")
    expected = _predict(reference, images, batch_size)
    if not all(np.isfinite(logits).all() for logits in expected.values()):
        raise InputError(
            "The model itself gives outputs that are not finite",
            action="Check its weights before exporting it.",
        )
    artifacts = {
        name: _compare(expected, _predict(candidate, images, batch_size), tolerance)
        for name, candidate in candidates.items()
    }
    failed = [name for name, result in artifacts.items() if not result["passed"]]
    report = {"tolerance": tolerance, "passed": not failed, "artifacts": artifacts}
    if failed:
        details = "; ".join(
            f"{name}: largest difference {artifacts[name]['max_abs_diff']}, "
            f"same top class on {artifacts[name]['top1_agreement']:.1%} of {len(images)} images"
            for name in failed
        )
        raise ParityError(f"Exported files differ from the model by more than {tolerance:g}. {details}.", report)
    return report


def _predict(predictor: Predictor, images: np.ndarray, batch_size: int) -> dict[str, np.ndarray]:
    batches = [predictor(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
    return {name: np.concatenate([np.asarray(batch[name]) for batch in batches]) for name in batches[0]}


def _compare(expected: dict[str, np.ndarray], actual: dict[str, np.ndarray], tolerance: float) -> dict[str, Any]:
    shapes = {name: logits.shape for name, logits in expected.items()}
    if shapes != {name: logits.shape for name, logits in actual.items()}:
        raise InputError(
            f"Expected outputs of the shapes {shapes}",
            received=f"{ {name: logits.shape for name, logits in actual.items()} }",
        )
    differences = np.concatenate([np.abs(expected[name] - actual[name]).ravel() for name in expected])
    same = np.all([expected[name].argmax(-1) == actual[name].argmax(-1) for name in expected], axis=0)
    finite = bool(np.isfinite(differences).all())
    return {
        "n": len(same),
        "max_abs_diff": float(differences.max()) if finite else None,
        "mean_abs_diff": float(differences.mean()) if finite else None,
        "top1_agreement": float(same.mean()),
        "passed": finite and bool(differences.max() <= tolerance),
    }
