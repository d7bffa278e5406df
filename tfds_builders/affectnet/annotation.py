"""What AffectNet says of one picture, as both releases give it: expression code, valence, arousal."""

import math
from typing import Literal, NamedTuple

from ferkeras.errors import InputError
from ferkeras.labels import AFFECTNET_CODES, EMOTIONS, EMOTIONS_WITH_CONTEMPT

#: Valence and arousal of a picture without them.
NOT_ANNOTATED = -2.0
#: The class of code 8 where faces without one of the eight emotions are wanted, too.
NONE = "none"
#: Codes that are no emotion, and why an example with one is left out.
NONE_CODE = 8
_OTHER_CODES = {NONE_CODE: "labelled none of the eight emotions", 9: "labelled uncertain", 10: "labelled not a face"}

Target = Literal["expression", "expression_7", "valence_arousal"]
CLASSES: dict[Target, tuple[str, ...]] = {
    "expression": EMOTIONS_WITH_CONTEMPT,
    "expression_7": EMOTIONS,
    "valence_arousal": (*EMOTIONS_WITH_CONTEMPT, NONE),
}

#: Pictures per split and emotion.
OFFICIAL_COUNTS: dict[str, dict[str, int]] = {
    "train": dict(zip(AFFECTNET_CODES.values(), (74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750), strict=True)),
    "validation": dict.fromkeys(AFFECTNET_CODES.values(), 500),
}


class Annotation(NamedTuple):
    """The labels of one picture: code from 0 to 10, valence and arousal in [-1, 1] or `NOT_ANNOTATED`."""

    code: int
    valence: float
    arousal: float


def parse_annotation(code: str, valence: str, arousal: str, *, where: str) -> Annotation:
    """Parses numbers that may be written as text: `6`, `6.0`.

    Raises:
        InputError: if one is none, or out of its range; `where` names file and line.
    """
    number = _number(code, where=f"{where}: expression")
    if number not in (*AFFECTNET_CODES, *_OTHER_CODES):
        raise InputError(f"{where}: expression should be a code from 0 to 10", received=repr(code[:20]))
    values = []
    for name, text in (("valence", valence), ("arousal", arousal)):
        value = _number(text, where=f"{where}: {name}")
        if not (-1 <= value <= 1 or value == NOT_ANNOTATED):
            raise InputError(f"{where}: {name} should be in [-1, 1], or -2 without one", received=repr(text[:20]))
        values.append(value)
    return Annotation(int(number), *values)


def _number(text: str, *, where: str) -> float:
    # float() also takes "1_0" and digits of other scripts, which no official file has.
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where} should be a number", received=repr(text[:20]))
    return value


def class_of(annotation: Annotation, target: Target) -> tuple[str | None, str]:
    """The class for this target, or None and the reason for leaving the example out."""
    name = AFFECTNET_CODES.get(annotation.code)
    if target == "valence_arousal" and annotation.code == NONE_CODE:
        name = NONE
    if name is None:
        return None, _OTHER_CODES[annotation.code]
    if name not in CLASSES[target]:
        return None, f"labelled {name}"
    if target == "valence_arousal" and NOT_ANNOTATED in (annotation.valence, annotation.arousal):
        return None, "without valence and arousal"
    return name, ""


def official_counts(target: Target, *, reduced: bool) -> dict[str, dict[str, int]]:
    """Examples per split and emotion of a complete release; the number of `none` with valence is not known."""
    counts = {
        split: {name: n for name, n in of.items() if name in CLASSES[target]} for split, of in OFFICIAL_COUNTS.items()
    }
    if reduced and "contempt" in counts["validation"]:
        counts["validation"]["contempt"] -= 1  # 499 of 500
    return counts
