"""The part of a recipe that says which examples are trained on, how they are changed, and what else tells of them.

Standard library only.
"""

from dataclasses import dataclass, field
from typing import Literal

Target = Literal["label", "distribution", "drawn", "valence_arousal", "valence_arousal_frames"]


@dataclass(frozen=True)
class Part:
    """A further data set beside the first: its name, its three splits, and how much of it an epoch draws."""

    dataset: str
    train: str = "train"
    """A split of none of whose examples use is made is the empty string; so for the other two."""
    validation: str = "validation"
    test: str = "test"
    weight: float = 1.0
    """An epoch draws so many times the training examples: 0.5 half of them, other ones each time, 2 all twice."""


@dataclass(frozen=True)
class ClipWindows:
    """How clips are cut into sequences, see `ferkeras.data.clips.windows`."""

    frames: int = 16
    """T."""
    min_frames: int = 8
    """Shorter clips and remainders are left out."""
    stride: int = 1
    """Every so-manieth frame is used."""
    overlap: dict[str, float] = field(default_factory=dict)
    """Class name, or `default` for all others -> share of a window that the next one has too, in [0, 1). In training
    and validation only: windows of the test split never overlap."""


@dataclass(frozen=True)
class Data:
    """Which examples: a TFDS name with an optional `/config`, the three splits, and the size the model sees.

    A split may name folds of subjects, such as `train@0-4/10`: see `ferkeras.data.folds`.
    """

    dataset: str
    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    parts: tuple[Part, ...] = ()
    """Further data sets. Classes are matched by their names."""
    classes: tuple[str, ...] = ()
    """The classes of the model, in this order; examples of others are left out. Empty: those of the first data set."""
    target: Target = "label"
    """What is trained on: the label; where examples carry a distribution over the classes, as those of FER+ do, the
    distribution, or a class drawn from it each time an image is read; for clips with values by frame, valence and
    arousal of the last frame of a window, or of every frame."""
    clips: ClipWindows | None = None
    """For data sets of clips: how windows are cut out of them."""
    frame_stride: int | None = None
    """For models of stills on a data set of clips: every so-manieth frame with a face is an example, with the label of
    its clip."""
    group: str = "subject"
    """The feature whose values folds keep whole."""
    image_size: tuple[int, int] = (48, 48)
    """Height and width in pixels."""
    channels: Literal[1, 3] = 1
    sampling: Literal["natural", "balanced", "sqrt"] = "natural"
    """How often a class is drawn in an epoch, which has the same length whatever is chosen: as it stands, all classes
    equally often, or in proportion to the square root of their size; the last two with replacement."""


@dataclass(frozen=True)
class Augment:
    """Random changes of a training image; zero, False, or a crop of 1 switches one off.

    They happen in this order, whatever is switched on, and every image has its own draws:

    1. mirror image, one affine map (cut-out, rotation, translation and zoom together), brightness and contrast,
       each drawn uniformly from its range;
    2. RandAugment's operations;
    3. ten crops in the place of each image;
    4. random erasing;
    5. Gaussian noise;
    6. MixUp or CutMix with another image of the batch.
    """

    flip: bool = True
    """Mirror left and right with probability one half."""
    rotation: float = 0.0
    """Largest angle in degrees, either way."""
    translation: float = 0.0
    """Largest shift as a fraction of the side, either way."""
    zoom: float = 0.0
    """Largest relative change of scale, either way."""
    brightness: float = 0.0
    """Largest shift of the pixels as a fraction of 255, either way."""
    contrast: float = 0.0
    """Largest relative change of contrast about the image mean, either way."""
    crop: float = 1.0
    """Side of a cut-out at a random place, as a fraction of the image's side; it is scaled back to full size."""
    ten_crop: bool = False
    """Train on four corners and the centre of each image and on their mirror images, so that a batch has ten times its
    images. Their side is `crop`, or 40/48 of the image's where `crop` is 1; nothing is then cut out at random."""
    randaugment: int = 0
    """Operations per image (Cubuk et al., "RandAugment", CVPR workshops 2020)."""
    randaugment_strength: float = 0.3
    """Fraction in [0, 1] of AutoAugment's largest magnitudes."""
    erasing: float = 0.0
    """Probability that a rectangle of an image is overwritten with noise (Zhong et al., AAAI 2020)."""
    erasing_area: tuple[float, float] = (0.02, 0.33)
    """Least and largest fraction of the image that is overwritten."""
    noise: float = 0.0
    """Largest standard deviation of Gaussian noise as a fraction of 255; each image's is drawn evenly from 0 to it."""
    mixup: float = 0.0
    """alpha of the Beta distribution of the share of an image in its mixture (Zhang et al., ICLR 2018)."""
    cutmix: float = 0.0
    """alpha of the Beta distribution of the share of an image that no box of another one covers (Yun et al., ICCV
    2019). With `mixup` too, each batch gets one of them with even chance."""

    @property
    def ten_crop_fraction(self) -> float:
        """Side of each of ten crops, in training and in test-time augmentation, as a fraction of the image's side."""
        return self.crop if self.crop < 1 else 40 / 48

    @property
    def mixes(self) -> bool:
        """Whether labels become soft targets."""
        return self.mixup > 0 or self.cutmix > 0


@dataclass(frozen=True)
class Distill:
    """Trained networks whose probabilities are learned beside the labels, see `ferkeras.training.distillation`.

    The loss is `(1 - weight) * hard + weight * T^2 KL(teachers || student)`, with `hard` that of `Recipe.loss` and both
    sides of the divergence softened by the temperature T.
    """

    teachers: tuple[str, ...]
    """Runs: folders, or names of folders beside the new run. The mean of their softened probabilities counts."""
    temperature: float = 4.0
    """What logits are divided by before the softmax."""
    weight: float = 0.5
    """Share of the soft loss in [0, 1]; at 0 no teacher is read."""
