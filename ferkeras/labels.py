"""The canonical emotion order and the maps of the data sets to it. Standard library only.

Every data set numbers its classes in its own way (0 is angry in FER2013, neutral in AffectNet,
nothing at all in RAF-DB). Inside ferkeras there is one order, FER2013's, with contempt appended for
the sets that have it. A builder turns its own codes into these names once; nothing after it knows
of other numbers.
"""

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
EMOTIONS_WITH_CONTEMPT: tuple[str, ...] = (*EMOTIONS, "contempt")

#: The integer codes of `fer2013.csv` and `icml_face_data.csv`, column `emotion`.
FER2013_CODES: dict[int, str] = dict(enumerate(EMOTIONS))

#: Valence and arousal of AFEW-VA: 21 integer bins; the value of a bin is its position here.
VALENCE_AROUSAL_BINS: tuple[int, ...] = tuple(range(-10, 11))
#: Marks a frame without a valence or arousal annotation.
UNLABELLED: int = -99
