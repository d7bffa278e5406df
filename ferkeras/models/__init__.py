"""Every model by name. A static table of import paths: reading it imports nothing heavy."""

import difflib
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferkeras.errors import InputError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Entry:
    """Where a model's function is, the options that make it this variant, and what it is."""

    function: str
    """`module:function`."""
    about: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, int, int] = (48, 48, 1)
    """H, W, C of the published network, the default of `ferkeras models`."""
    classes: int = 7
    """K of the published network, in each head that has classes."""
    frames: int | None = None
    """T of a sequence model's clips, likewise a default alone; None for a model of still images."""
    heads: tuple[str, ...] = ("emotion",)
    """Names of the outputs."""

    @property
    def is_sequence(self) -> bool:
        """Whether its input is a clip (T, H, W, C) rather than an image (H, W, C)."""
        return self.frames is not None


_VGG = "ferkeras.models.vgg:vgg"
_FER_VGG = "ferkeras.models.fer_vgg:fer_vgg"
_GIMEFIVE = "ferkeras.models.gimefive:gimefive"
_EMONEXT = "ferkeras.models.emonext:emonext"
_IMAGENET = "ferkeras.models.imagenet:imagenet_classifier"
_XCEPTION_LSTM = "ferkeras.models.xception_lstm:xception_lstm"
_EFFICIENTNET_LSTM = "ferkeras.models.efficientnet_lstm:efficientnet_lstm"

_SIMONYAN = "Simonyan & Zisserman, ICLR 2015"
_REPORT = "VGG-LSTM-attention report on FER2013"
_KHAIREDDIN = "Khaireddin & Chen, 2021"
_SE_REPORT = "SE-CNN report (GiMeFive)"
_EL_BOUDOURI = "El Boudouri & Bohi, MMSP 2023"
_LIU = "Liu et al., CVPR 2022"
_XCEPTION_REPORT = "Xception-LSTM report on segments"
_VA_REPORT = "EfficientNet-LSTM report on AFEW-VA"


def _vgg(about: str, source: str, **options: Any) -> Entry:
    return Entry(_VGG, about, source, options)


def _se_cnn(about: str, **options: Any) -> Entry:
    return Entry(_GIMEFIVE, about, _SE_REPORT, options, (64, 64, 3), 6)


def _emonext(size: str) -> Entry:
    about = f"spatial transformer, ConvNeXt {size} with squeeze-and-excitation, self-attention regularisation"
    return Entry(_EMONEXT, about, _EL_BOUDOURI, {"size": size}, (224, 224, 3))


def _convnext(size: str) -> Entry:
    plain = {"transformer": False, "excitation": False, "attention": 0.0, "pixels": "imagenet"}
    return Entry(_EMONEXT, f"ConvNeXt {size}", _LIU, {"size": size, **plain}, (224, 224, 3))


def _imagenet(about: str, source: str, *, backbone: str, side: int) -> Entry:
    return Entry(_IMAGENET, f"{about} of keras.applications", source, {"backbone": backbone}, (side, side, 3))


def _xception_lstm(about: str, **options: Any) -> Entry:
    return Entry(_XCEPTION_LSTM, about, _XCEPTION_REPORT, options, (224, 224, 3), 3, frames=16)


def _efficientnet_lstm(about: str, side: int = 224, **options: Any) -> Entry:
    heads = ("valence", "arousal")
    return Entry(_EFFICIENTNET_LSTM, about, _VA_REPORT, options, (side, side, 3), 21, frames=16, heads=heads)


MODELS: dict[str, Entry] = {
    "vgg11": _vgg("VGG11 with batch normalisation", _SIMONYAN, depth=11),
    "vgg13": _vgg("VGG13 with batch normalisation", _SIMONYAN, depth=13),
    "vgg16": _vgg("VGG16 with batch normalisation", _SIMONYAN, depth=16),
    "vgg19": _vgg("VGG19 with batch normalisation", _SIMONYAN, depth=19),
    "vgg11_lstm": _vgg("VGG11 and an LSTM over image rows, last state", _REPORT, depth=11, rows="last"),
    "vgg11_lstm_dropout": _vgg(
        "the same with dropout after the LSTM layers and before the logits",
        _REPORT,
        depth=11,
        rows="last",
        lstm_dropout=0.3,
        dropout=0.3,
    ),
    "vgg11_lstm_attention": _vgg(
        "VGG11 and an LSTM over image rows with additive attention", _REPORT, depth=11, rows="attention"
    ),
    "fer_vgg": Entry(_FER_VGG, "VGG of eight convolutions with a slim head", _KHAIREDDIN),
    "fer_vgg_dense": Entry(_FER_VGG, "the same with three dense layers, as published", _KHAIREDDIN, {"head": "dense"}),
    "fer_mobile": Entry(
        "ferkeras.models.fer_mobile:fer_mobile",
        "small residual network for CPUs and phones, made to be distilled",
        "this library, blocks of He et al., CVPR 2016",
    ),
    "emonext_tiny": _emonext("tiny"),
    "emonext_small": _emonext("small"),
    "emonext_base": _emonext("base"),
    "emonext_large": _emonext("large"),
    "emonext_xlarge": _emonext("xlarge"),
    "gimefive4": _se_cnn("four convolutions, the baseline", convolutions=4),
    "gimefive4_se_first": _se_cnn("the same, excitation after the first", convolutions=4, excitation="first"),
    "gimefive4_se": _se_cnn("the same, excitation after every one", convolutions=4, excitation="all"),
    "gimefive5": _se_cnn("five convolutions", convolutions=5),
    "gimefive5_se_first": _se_cnn("the same, excitation after the first", convolutions=5, excitation="first"),
    "gimefive5_se": _se_cnn("the same, excitation after every one", convolutions=5, excitation="all"),
    "gimefive_res": Entry(
        "ferkeras.models.gimefive:gimefive_residual",
        "one convolution with excitation and five residual blocks",
        _SE_REPORT,
        input_shape=(64, 64, 3),
        classes=6,
    ),
    "resnet18": Entry(
        "ferkeras.models.resnet:resnet",
        "ResNet18, no max-pooling",
        "He et al., CVPR 2016",
        {"depth": 18},
        (64, 64, 3),
        6,
    ),
    "resnet34": Entry(
        "ferkeras.models.resnet:resnet",
        "ResNet34, no max-pooling",
        "He et al., CVPR 2016",
        {"depth": 34},
        (64, 64, 3),
        6,
    ),
    "vgg16_bn": Entry(
        "ferkeras.models.vgg_shared:vgg_shared",
        "what the SE-CNN report calls VGG16: six convolutions, shared normalisation, large classifier",
        _SE_REPORT,
        input_shape=(64, 64, 3),
        classes=6,
    ),
    "xception": _imagenet("Xception", "Chollet, CVPR 2017", backbone="xception", side=299),
    "efficientnet_b0": _imagenet("EfficientNet-B0", "Tan & Le, ICML 2019", backbone="efficientnet_b0", side=224),
    "efficientnet_b2": _imagenet("EfficientNet-B2", "Tan & Le, ICML 2019", backbone="efficientnet_b2", side=260),
    "convnext_tiny": _convnext("tiny"),
    "convnext_small": _convnext("small"),
    "xception_dense": Entry(
        "ferkeras.models.xception_lstm:xception_dense",
        "Xception and dense layers of 1024, 512 and 256: the frame classifier of the next four",
        _XCEPTION_REPORT,
        input_shape=(224, 224, 3),
        classes=3,
    ),
    "xception_lstm": _xception_lstm("Xception per frame, an LSTM over the frames, last state"),
    "xception_deep_lstm": _xception_lstm("the same with two LSTM layers", depth=2),
    "xception_bilstm": _xception_lstm("the same with a bidirectional LSTM", bidirectional=True),
    "xception_gru": _xception_lstm("the same with a GRU, not in the report", cell="gru"),
    "efficientnet_va": Entry(
        "ferkeras.models.efficientnet_lstm:efficientnet_va",
        "EfficientNet-B0 for eight emotions, and valence and arousal as numbers",
        "Savchenko, CVPRW 2022",
        input_shape=(224, 224, 3),
        classes=8,
        heads=("emotion", "valence", "arousal"),
    ),
    "efficientnet_lstm": _efficientnet_lstm("EfficientNet-B0 per frame, two LSTM layers, last state"),
    "efficientnet_b2_lstm": _efficientnet_lstm("the same with EfficientNet-B2", 260, backbone="efficientnet_b2"),
    "efficientnet_lstm_frames": _efficientnet_lstm(
        "EfficientNet-B0-LSTM, valence and arousal per frame", per_frame=True
    ),
    "microexp_stcnn": Entry(
        "ferkeras.models.microexp_stcnn:microexp_stcnn",
        "one convolution over space and time, for micro-expressions",
        "Reddy et al., IJCNN 2019",
        input_shape=(64, 64, 1),
        classes=3,
        frames=96,
    ),
    "irnn": Entry(
        "ferkeras.models.irnn:irnn",
        "small convolutional network per frame, recurrent network that begins with the identity",
        "Ebrahimi Kahou et al., ICMI 2015",
        frames=16,
    ),
    "two_stream_bilstm": Entry(
        "ferkeras.models.two_stream_bilstm:two_stream_bilstm",
        "small convolutional networks of picture and optical flow, bidirectional LSTM",
        "after Simonyan & Zisserman, NeurIPS 2014",
        frames=16,
    ),
    "stc_nlstm": Entry(
        "ferkeras.models.stc_nlstm:stc_nlstm",
        "four levels of 3-D convolutions, an LSTM over time at each, one over the levels",
        "Yu et al., Neurocomputing 2018",
        frames=16,
    ),
}


def create_model(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    input_shape: tuple[int | None, ...],
    classes: int,
    pretrained: bool = True,
) -> "keras.Model":
    """Builds the model `name` with `options` over its variant's own, in float32.

    Without `pretrained` the options `weights` and `encoder_weights`, where first weights come from, are left aside: for
    a model whose weights are not used or come from elsewhere.

    Args:
        name: In `MODELS`.
        options: Arguments of the model's function.
        input_shape: H, W, C of a still model; T, H, W, C of a sequence model, T possibly None.
        classes: K.

    Raises:
        InputError: for an unknown name or option (with a suggestion) or a value that the model refuses.
    """
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"Did you mean {close[0]}?" if close else "`ferkeras models` lists them."
        raise InputError("Unknown model", received=name, action=hint)
    entry = MODELS[name]
    wanted = "a sequence model: T, H, W, C" if entry.is_sequence else "a model of still images: H, W, C"
    if len(input_shape) != 3 + entry.is_sequence:
        raise InputError(f"{name} is {wanted}", received="x".join(map(str, input_shape)))
    module, _, function_name = entry.function.partition(":")
    function = getattr(importlib.import_module(module), function_name)
    known = [p for p in inspect.signature(function).parameters if p not in ("input_shape", "classes", "name")]
    for key in options or {}:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
            raise InputError(f"Unknown option model.options.{key} of {name}", action=hint)
    merged = {**entry.options, **(options or {})}
    if not pretrained:
        for key in ("weights", "encoder_weights"):
            merged.pop(key, None)
    try:
        return function(**merged, input_shape=tuple(input_shape), classes=classes, name=name)
    except (TypeError, ValueError) as error:
        received = f"input {'x'.join(map(str, input_shape))}, options {merged}"
        raise InputError(f"The model {name} cannot be built", received=received, action=str(error)) from error
