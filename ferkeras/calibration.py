"""Temperature scaling: one number that makes a trained network as sure of itself as it is right.

Source: Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2: the logits
are divided by T > 0, which is fitted by least negative log-likelihood on examples the network was not trained on. The
most probable class, and with it accuracy, stays what it was.

Deviation: T is not kept beside the network but worked into the weights of its last dense layer, which gives the logits.
So every program that reads `model.keras`, and every file exported from it, is calibrated without knowing of it.
`calibration.json` tells what was done, and by a hash to which `model.keras` it belongs.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ferkeras.errors import InputError
from ferkeras.files import staged
from ferkeras.metrics import classification_report
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    import keras

CALIBRATION_FILE = "calibration.json"
HEAD = "emotion"
#: Temperatures that are tried. A least value at an end means that there is none.
LOWEST, HIGHEST = 0.05, 20.0


def model_hash(folder: RunFolder) -> str | None:
    """SHA-256 of the run's `model.keras`; None where there is none."""
    path = folder.path / "model.keras"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def read_calibration(folder: RunFolder) -> dict[str, Any] | None:
    """What `calibration.json` says of the `model.keras` that is there; None where it was not calibrated.

    The file is written before the model is put in its place. A kill in between leaves the old model, of which the file
    says what it said before under `previous`.
    """
    path = folder.path / CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        told: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        action = "Train the run again, or delete the file if its network was never calibrated."
        raise InputError("A file of the run folder is not JSON", received=str(path), action=action) from error
    found = model_hash(folder)
    while told is not None and told["model"] != found:
        told = told["previous"]
    return told


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T of least mean negative log-likelihood of `softmax(z / T)`.

    The likelihood is convex in 1/T, so that there is one least value, which Brent's method finds; nothing is drawn.

    Args:
        logits: (N, K).
        labels: (N,) integers in [0, K).

    Raises:
        InputError: where it falls to the end of the range: with labels that are all guessed right, or no better than
            by chance, no temperature is the best.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    z, rows = logits.astype(np.float64), np.arange(len(labels))
    right = float((z.argmax(axis=-1) == labels).mean())

    def nll(log_temperature: float) -> float:
        return -float(log_softmax(z / np.exp(log_temperature), axis=-1)[rows, labels].mean())

    low, high = np.log(LOWEST), np.log(HIGHEST)
    best = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-7})
    if right == 1 or not low + 0.01 < best.x < high - 0.01:
        raise InputError(
            f"There is no best temperature between {LOWEST} and {HIGHEST}",
            received=f"{len(labels)} examples, {right:.1%} of them named right",
            action="Take a larger split, and one that the network was not trained on.",
        )
    return float(np.exp(best.x))


def calibrated(
    logits: np.ndarray, labels: np.ndarray, *, subjects: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
    """The temperature, and what it does to the calibration of the examples it was fitted on and of others.

    Args:
        logits: (N, K) of the network as it was trained.
        labels: (N,).
        subjects: (N,) ids of the people, who are not torn apart by the folds; None where they are not known.
        seed: Of the folds.

    Returns:
        `temperature`; `n`; `before` and `after`, each with `nll` and `ece` as `ferkeras.metrics` defines them; and
        `cross_fitted`, the same of two halves, each with the temperature that was fitted on the other: None where a
        half has no best one.

    Raises:
        InputError: as `fit_temperature`.
    """
    temperature = fit_temperature(logits, labels)
    return {
        "temperature": temperature,
        "n": len(labels),
        "before": _scores(logits, labels),
        "after": _scores(logits / temperature, labels),
        "cross_fitted": _cross_fitted(logits, labels, subjects, seed),
    }


def _cross_fitted(
    logits: np.ndarray, labels: np.ndarray, subjects: np.ndarray | None, seed: int
) -> dict[str, float] | None:
    units = np.arange(len(labels)) if subjects is None else np.unique(subjects, return_inverse=True)[1]
    second = (np.random.default_rng(seed).permutation(int(units.max()) + 1) % 2 == 1)[units]
    if second.all() or not second.any():
        return None
    divided = np.empty(logits.shape)
    try:
        for half in (second, ~second):
            divided[half] = logits[half] / fit_temperature(logits[~half], labels[~half])
    except InputError:
        return None
    return _scores(divided, labels)


def _scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from scipy.special import softmax

    names = [str(index) for index in range(logits.shape[-1])]
    report = classification_report(labels, softmax(logits.astype(np.float64), axis=-1), names, bootstrap=0)
    return {name: report[name] for name in ("nll", "ece")}


def emotion_layer(model: "keras.Model") -> "keras.layers.Dense":
    """The dense layer that gives the emotion logits, of the network itself or of its part `temporal`.

    Raises:
        InputError: where there is none, or more than one, or one that does not give logits.
    """
    import keras

    def below(layer: Any) -> list[Any]:
        inner = getattr(layer, "layers", [])
        return [layer] if not inner else [found for part in inner for found in below(part)]

    found = [layer for layer in below(model) if layer.name == HEAD and isinstance(layer, keras.layers.Dense)]
    if len(found) != 1 or found[0].activation is not keras.activations.linear:
        raise InputError(
            f"A temperature is worked into one dense layer of logits named {HEAD}",
            received=f"the network {model.name} with {len(found)} of that name",
            action="Only networks that end in such a layer can be calibrated.",
        )
    return found[0]


def divide_logits(layer: "keras.layers.Dense", divisor: float) -> None:
    """Divides kernel and bias of a linear layer, and so everything it gives."""
    layer.set_weights([weight / np.float32(divisor) for weight in layer.get_weights()])


def save_calibrated(folder: RunFolder, model: "keras.Model", told: Mapping[str, Any]) -> None:
    """Writes `model`, whose logits are divided by now, as `model.keras`, and before it `calibration.json`.

    A kill at any moment leaves a pair that `read_calibration` understands.
    """
    previous = read_calibration(folder)
    if previous is not None:
        previous = {**previous, "previous": None}  # one kill leaves at most the last model
    with staged(folder.path / "model.keras") as unfinished:
        model.save(unfinished)
        mark = hashlib.sha256(unfinished.read_bytes()).hexdigest()
        folder.write_json(CALIBRATION_FILE, {**told, "model": mark, "previous": previous})
