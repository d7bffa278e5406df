"""The five-convolution SE-CNN on five data sets together.

Source: the SE-CNN report (GiMeFive), which trains on FER+, RAF-DB, CK+, TFEID and DISFA brought to 64 x 64 pixels, six
emotions in the order of `ferkeras.labels.AGGREGATE_CLASSES` (numbered 1 to 6 there, 0 to 5 here). The report stored
them as one folder of JPEG files with a random split; here each data set is prepared by its own builder, without loss,
and split by its own rule: the official splits of FER+ and RAF-DB, and a tenth of the people of CK+, TFEID and DISFA for
validation and for test, so that nobody stands in two splits. Its numbers cannot be compared with the report's.

Command: `python train.py gimefive5_aggregate --manual-dir DIR`, DIR with one folder of the official files for each of
fer_plus, raf_db, ck_plus, tfeid and disfa.
Cost and result: not measured; RAF-DB, CK+, TFEID and DISFA are given to researchers on request only.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.recipe_data import Part


def _by_subject(dataset: str) -> Part:
    return Part(dataset, "train@0-7/10", "train@8/10", "train@9/10")


RECIPE = Recipe(
    name="gimefive5_aggregate",
    model=Model("gimefive5_se_first"),
    data=Data(
        "fer_plus/majority",
        parts=(
            Part("raf_db/official", validation=""),
            _by_subject("ck_plus/stills"),
            _by_subject("tfeid/official"),
            _by_subject("disfa/stills"),
        ),
        classes=("happy", "surprise", "sad", "angry", "disgust", "fear"),
        image_size=(64, 64),
        channels=3,
        sampling="sqrt",
    ),
    augment=Augment(flip=True, rotation=10, translation=0.1, zoom=0.1, erasing=0.25),
    loss=Loss(label_smoothing=0.1),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=1e-4),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="30ep",
    batch_size=64,
    monitor="accuracy",
    dtype="mixed_bfloat16",
)
