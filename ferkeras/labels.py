"""The canonical emotion order and the maps of the data sets to it. Standard library only.

Every data set numbers its classes in its own way (0 is angry in FER2013, neutral in AffectNet, nothing at all in
RAF-DB). Inside ferkeras there is one order, FER2013's, with contempt appended for the sets that have it. A builder
turns its own codes into these names once; nothing after it knows of other numbers.

A code that is absent from a map is not one of these emotions: a builder leaves such an example out and counts it, or
refuses the file, as its README.md tells.
"""

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
EMOTIONS_WITH_CONTEMPT: tuple[str, ...] = (*EMOTIONS, "contempt")

#: The integer codes of `fer2013.csv` and `icml_face_data.csv`, column `emotion`.
FER2013_CODES: dict[int, str] = dict(enumerate(EMOTIONS))

#: The vote columns of FER+ (`fer2013new.csv`) that name an emotion; the other two are `unknown` and `NF`.
FER_PLUS_COLUMNS: dict[str, str] = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": "contempt",
}

#: RAF-DB, basic set: `list_patition_label.txt`, and the class folders of the copy on Kaggle.
RAF_DB_CODES: dict[int, str] = {
    1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral",
}  # fmt: skip

#: CK+: `*_emotion.txt`. Code 0 (neutral) is never stored: neutral frames are the first ones of a sequence.
CK_PLUS_CODES: dict[int, str] = {
    0: "neutral", 1: "angry", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise",
}  # fmt: skip

#: The class folders of AFEW.
AFEW_FOLDERS: dict[str, str] = {
    "Angry": "angry", "Disgust": "disgust", "Fear": "fear", "Happy": "happy", "Neutral": "neutral", "Sad": "sad",
    "Surprise": "surprise",
}  # fmt: skip

#: MMI: `<Metatag Name="Emotion" Value="n"/>`. From 7 on the codes are not basic emotions.
MMI_CODES: dict[int, str] = {1: "angry", 2: "disgust", 3: "fear", 4: "happy", 5: "sad", 6: "surprise"}

#: TFEID: the word in a folder's name, with the spelling that one copy has.
TFEID_WORDS: dict[str, str] = {
    "anger": "angry", "contempt": "contempt", "disgust": "disgust", "disguest": "disgust", "fear": "fear",
    "happiness": "happy", "neutral": "neutral", "sadness": "sad", "surprise": "surprise",
}  # fmt: skip

#: AffectNet, both releases; 8 is none, 9 uncertain, 10 no face.
AFFECTNET_CODES: dict[int, str] = {
    0: "neutral", 1: "happy", 2: "sad", 3: "surprise", 4: "fear", 5: "disgust", 6: "angry", 7: "contempt",
}  # fmt: skip

#: Aff-Wild2, expression challenge; -1 is not annotated, 7 is "other" from ABAW 3 on.
AFF_WILD2_CODES: dict[int, str] = {
    0: "neutral", 1: "angry", 2: "disgust", 3: "fear", 4: "happy", 5: "sad", 6: "surprise",
}  # fmt: skip

#: Words that people use for the emotions in folder and class names, to the canonical name.
SYNONYMS: dict[str, str] = {
    **{name: name for name in EMOTIONS_WITH_CONTEMPT},
    "anger": "angry", "disgusted": "disgust", "disguest": "disgust", "afraid": "fear", "fearful": "fear",
    "happiness": "happy", "joy": "happy", "sadness": "sad", "surprised": "surprise", "contemptuous": "contempt",
}  # fmt: skip

#: Classes of the aggregate of FER+, RAF-DB, CK+, TFEID and DISFA in the SE-CNN report, in its order (1 to 6 there).
AGGREGATE_CLASSES: tuple[str, ...] = ("happy", "surprise", "sad", "angry", "disgust", "fear")

#: Valence and arousal of AFEW-VA: 21 integer bins; the value of a bin is its position here.
VALENCE_AROUSAL_BINS: tuple[int, ...] = tuple(range(-10, 11))
#: Marks a frame without a valence or arousal annotation.
UNLABELLED: int = -99
#: Marks a frame without a class.
NO_CLASS: int = -1


def canonical(word: str) -> str | None:
    """The emotion that `word` names in any of the usual spellings and cases, None if it is none of them."""
    return SYNONYMS.get(word.strip().lower())
