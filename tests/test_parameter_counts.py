"""Every model: its exact parameter count, against what is published or the definition gives."""

from collections.abc import Sequence
from itertools import pairwise

import keras
import numpy as np
import pytest

from ferkeras.models import MODELS, create_model

#: Trained parameters, and all with the moving statistics, at the input and classes of `MODELS`.
PARAMETERS: dict[str, tuple[int, int]] = {
    "vgg11": (9_291_399, 9_296_903),
    "vgg13": (9_476_295, 9_482_183),
    "vgg16": (14_788_551, 14_796_999),
    "vgg19": (20_100_807, 20_111_815),
    "vgg11_lstm": (9_529_991, 9_535_495),
    "vgg11_lstm_dropout": (9_529_991, 9_535_495),
    "vgg11_lstm_attention": (9_530_120, 9_535_624),
    "fer_vgg": (4_689_735, 4_693_575),
    "fer_vgg_dense": (40_374_599, 40_378_439),
    "fer_mobile": (684_935, 687_015),
    "emonext_tiny": (29_972_971, 29_973_007),
    "emonext_small": (51_607_531, 51_607_567),
    "emonext_base": (90_714_635, 90_714_671),
    "emonext_large": (202_220_107, 202_220_143),
    "emonext_xlarge": (358_113_931, 358_113_967),
    "gimefive4": (2_606_086, 2_608_006),
    "gimefive4_se_first": (2_606_598, 2_608_518),
    "gimefive4_se": (2_649_606, 2_651_526),
    "gimefive5": (10_478_086, 10_482_054),
    "gimefive5_se_first": (10_478_598, 10_482_566),
    "gimefive5_se": (10_652_678, 10_656_646),
    "gimefive_res": (95_051_014, 95_074_950),
    "resnet18": (11_179_590, 11_189_190),
    "resnet34": (21_287_750, 21_304_774),
    "vgg16_bn": (72_460_742, 72_461_638),
    "xception": (20_821_295, 20_875_823),
    "efficientnet_b0": (4_016_515, 4_058_531),
    "efficientnet_b2": (7_710_857, 7_778_425),
    "convnext_tiny": (27_825_511, 27_825_511),
    "convnext_small": (49_460_071, 49_460_071),
    "xception_dense": (23_562_027, 23_616_555),
    "xception_lstm": (23_758_507, 23_813_035),
    "xception_deep_lstm": (23_890_091, 23_944_619),
    "xception_bilstm": (24_087_083, 24_141_611),
    "xception_gru": (23_676_843, 23_731_371),
    "efficientnet_va": (4_020_358, 4_062_374),
    "efficientnet_lstm": (6_117_542, 6_159_558),
    "efficientnet_b2_lstm": (9_942_060, 10_009_628),
    "efficientnet_lstm_frames": (6_117_542, 6_159_558),
    "microexp_stcnn": (44_241_667, 44_241_667),
    "irnn": (1_264_231, 1_265_223),
    "two_stream_bilstm": (1_444_951, 1_446_935),
    "stc_nlstm": (1_793_815, 1_794_295),
}
#: Trained parameters that the reports and papers print.
PUBLISHED: dict[str, int] = {
    "gimefive4": 2_606_086,
    "gimefive5": 10_478_086,
    "gimefive5_se_first": 10_478_598,
    "gimefive_res": 95_051_014,
    "resnet18": 11_179_590,
    "resnet34": 21_287_750,
    "vgg16_bn": 72_460_742,
}
#: All parameters with a classifier of 1000, as the documentation of keras.applications prints them.
WITH_THOUSAND_CLASSES: dict[str, tuple[int, int]] = {
    "xception": (22_910_480, 2048),
    "efficientnet_b0": (5_330_571 - 7, 1280),  # less its own normalisation of pixels: 2 * 3 + 1 values
    "efficientnet_b2": (9_177_569 - 7, 1408),
    "convnext_tiny": (28_589_128, 768),
    "convnext_small": (50_223_688, 768),
}
VGG_WIDTHS = {
    11: [64, 128, 256, 256, 512, 512, 512, 512],
    13: [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
    16: [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512],
    19: [64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512],
}
CONVNEXT = {
    "tiny": ((96, 192, 384, 768), (3, 3, 9, 3)),
    "small": ((96, 192, 384, 768), (3, 3, 27, 3)),
    "base": ((128, 256, 512, 1024), (3, 3, 27, 3)),
    "large": ((192, 384, 768, 1536), (3, 3, 27, 3)),
    "xlarge": ((256, 512, 1024, 2048), (3, 3, 27, 3)),
}


def conv(a: int, b: int, *, kernel: int = 3, bias: bool = True) -> int:
    return kernel * kernel * a * b + b * bias


def dense(*widths: int) -> int:
    return sum(a * b + b for a, b in pairwise(widths))


def se(channels: int) -> int:
    return 2 * channels * (channels // 16)


def conv_bn(a: int, b: int, *, kernel: int = 3, bias: bool = True) -> int:
    return conv(a, b, kernel=kernel, bias=bias) + 2 * b


def vgg_by_formula(name: str) -> int:
    channels = [1, *VGG_WIDTHS[int(name[3:5])]]
    total = sum(conv_bn(a, b) for a, b in pairwise(channels))
    features = 512
    if "lstm" in name:
        total += 4 * 128 * (48 + 128 + 1) + 4 * 128 * (128 + 128 + 1)
        features += 128
    if "attention" in name:
        total += 128 + 1
    return total + dense(features, 128, 7)


def fer_by_formula(name: str) -> int:
    if name.startswith("fer_vgg"):
        channels = [1, 64, 64, 128, 128, 256, 256, 512, 512]
        head = dense(3 * 3 * 512, 4096, 4096, 7) if name == "fer_vgg_dense" else dense(512, 7)
        return sum(conv_bn(a, b, bias=False) for a, b in pairwise(channels)) + head
    total = conv_bn(1, 32, bias=False) + dense(192, 7)
    for a, b in pairwise([32, 48, 96, 192]):  # the first block of each stage
        total += conv_bn(a, b, bias=False) + conv_bn(b, b, bias=False) + conv_bn(a, b, kernel=1, bias=False)
    return total


def gimefive_by_formula(name: str) -> int:
    if name == "gimefive_res":
        blocks = [(64, 128), (128, 256), (256, 512), (512, 1024), (1024, 2048)]
        total = conv_bn(3, 64) + se(64) + dense(2048, 4096, 2048, 6)
        return total + sum(conv_bn(a, b) + conv_bn(b, b) + conv_bn(a, b, kernel=1) for a, b in blocks)
    channels = [64, 128, 256, 512, 1024][: int(name[8])]
    excited = channels if name.endswith("_se") else channels[:1] if name.endswith("first") else []
    head = dense(512, 1024, 512, 6) if name[8] == "4" else dense(1024, 2048, 1024, 6)
    return sum(conv_bn(a, b) for a, b in pairwise([3, *channels])) + sum(map(se, excited)) + head


def resnet_by_formula(name: str) -> int:
    total, inputs = conv_bn(3, 64, kernel=7, bias=False), 64
    for width, count in zip((64, 128, 256, 512), (2, 2, 2, 2) if name == "resnet18" else (3, 4, 6, 3), strict=True):
        for _ in range(count):
            total += conv_bn(inputs, width, bias=False) + conv_bn(width, width, bias=False)
            total += conv_bn(inputs, width, kernel=1, bias=False) if inputs != width else 0
            inputs = width
    return total + dense(512, 6)


def convnext_by_formula(widths: Sequence[int], blocks: Sequence[int]) -> int:
    """Up to the normalised features."""
    total = conv(3, widths[0], kernel=4) + 2 * widths[0]
    total += sum(2 * a + conv(a, b, kernel=2) for a, b in pairwise(widths))
    for c, count in zip(widths, blocks, strict=True):
        total += count * (49 * c + c + 2 * c + dense(c, 4 * c, c) + c)
    return total + 2 * widths[-1]


def emonext_by_formula(name: str) -> int:
    widths, blocks = CONVNEXT[name.removeprefix("emonext_")]
    localization = conv_bn(3, 8, kernel=7) + conv_bn(8, 10, kernel=5) + dense(10 * 52 * 52, 32, 6)
    last = widths[-1]
    attention = 2 * last + (last * last + last) + last * last  # normalisation, query, key
    total = localization + convnext_by_formula(widths, blocks) + sum(map(se, widths[1:])) + attention
    return total + dense(last, 7)


def backbone_of(name: str) -> str | None:
    """The model of `WITH_THOUSAND_CLASSES` that `name` is or has for its backbone."""
    if name.startswith("efficientnet"):
        return "efficientnet_b2" if "b2" in name else "efficientnet_b0"
    return "xception" if name.startswith("xception") else name if name in WITH_THOUSAND_CLASSES else None


def lstm(inputs: int, hidden: int) -> int:
    return 4 * hidden * (inputs + hidden + 1)


def after_backbone(name: str, features: int) -> int:
    """What stands on the pooled vector of the backbone."""
    if name in WITH_THOUSAND_CLASSES:
        return dense(features, 7)
    if name == "efficientnet_va":
        return dense(features, 8 + 2)
    if name.startswith("efficientnet"):
        return lstm(features, 256) + lstm(256, 256) + 2 * dense(256, 21)
    if name == "xception_dense":
        return dense(features, 1024, 512, 256, 3)
    temporal = {
        "xception_lstm": lstm(512, 128) + dense(128, 3),
        "xception_deep_lstm": lstm(512, 128) + lstm(128, 128) + dense(128, 3),
        "xception_bilstm": 2 * lstm(512, 128) + dense(256, 3),
        "xception_gru": 3 * 128 * (512 + 128 + 2) + dense(128, 3),  # a bias for each of the two products
    }
    return dense(features, 1024, 512) + temporal[name]


def small_cnn(channels: int = 1) -> int:
    return sum(conv_bn(a, b) for a, b in pairwise([channels, 16, 32, 64, 128, 256]))


def of_clips(name: str) -> int:
    """Of the surveyed sequence models."""
    levels = [1, 16, 32, 64, 128]
    return {
        # 3x3x15 on 96x64x64 leaves 82x62x62, of which the pooling leaves a third.
        "microexp_stcnn": 15 * conv(1, 32, bias=False) + 32 + dense(27 * 20 * 20 * 32, 128, 3),
        "irnn": small_cnn() + dense(256, 1024, 512) + 128 * (512 + 128 + 1) + dense(128, 7),
        "two_stream_bilstm": small_cnn(1) + small_cnn(2) + 2 * lstm(512, 128) + dense(256, 7),
        "stc_nlstm": sum(27 * a * b + 2 * b + lstm(9 * b, 128) for a, b in pairwise(levels))
        + lstm(128, 128)
        + dense(128, 7),
    }[name]


def by_formula(name: str) -> int:
    """Trained parameters, or with one of keras.applications for a backbone all, from the definition."""
    if name == "vgg16_bn":  # one normalisation for the two convolutions of a stage
        convolutions = sum(conv(a, b) for a, b in pairwise([3, 64, 64, 128, 128, 256, 256]))
        return convolutions + 2 * (64 + 128 + 256) + dense(8 * 8 * 256, 4096, 1024, 6)
    if backbone := backbone_of(name):
        total, features = WITH_THOUSAND_CLASSES[backbone]
        return total - dense(features, 1000) + after_backbone(name, features)
    if MODELS[name].is_sequence:
        return of_clips(name)
    family = name.rstrip("0123456789").partition("_")[0].rstrip("0123456789")
    return {
        "vgg": vgg_by_formula,
        "fer": fer_by_formula,
        "gimefive": gimefive_by_formula,
        "resnet": resnet_by_formula,
        "emonext": emonext_by_formula,
    }[family](name)


def test_no_model_is_missing_from_the_table() -> None:
    assert set(PARAMETERS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_parameter_count(name: str) -> None:
    entry = MODELS[name]
    with keras.StatelessScope(initialize_variables=False):  # shapes without values: the largest has 1.4 GB of them
        shape = (entry.frames, *entry.input_shape) if entry.is_sequence else entry.input_shape
        model = create_model(name, input_shape=shape, classes=entry.classes)
    keras.utils.clear_session()  # or the variables would be given values after all
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert (trained, model.count_params()) == PARAMETERS[name]
    assert by_formula(name) == (model.count_params() if backbone_of(name) else trained)
    assert PUBLISHED.get(name, trained) == trained
    moving = {w.path for w in model.non_trainable_weights}
    assert all(path.rsplit("/")[-1] in ("moving_mean", "moving_variance") for path in moving)
